# SPDX-License-Identifier: MIT
"""Ends a test with status 77 when NumPy is not installed; with 1 when RESNET_REQUIRE_TOOLS says that it must be."""
import os
import sys

try:
    import numpy  # noqa: F401
except ImportError as error:
    print(error)
    sys.exit(1 if os.environ.get("RESNET_REQUIRE_TOOLS") else 77)
