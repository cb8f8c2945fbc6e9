# SPDX-License-Identifier: MIT
"""What tests need besides Python. Where it is missing they end with status 77, or 1 when RESNET_REQUIRE_TOOLS says that it
must be there, and say so. Called when modules are loaded: a test that has begun would end as a failure."""
import ctypes
import importlib
import os
import shutil
import sys


def _end(reason):
    print(reason)
    sys.exit(1 if os.environ.get("RESNET_REQUIRE_TOOLS") else 77)


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        return _end(error)


def tool(name):
    """The path of a program."""
    return shutil.which(name) or _end(f"{name} is not on the PATH")


def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        return _end(error)
