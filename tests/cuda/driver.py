#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""driver.py: exits with 0 where there is an NVIDIA driver, which brings its library; else with 77, and says so."""
import ctypes
import sys


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if not has_driver():
        print("there is no NVIDIA driver")
        sys.exit(77)
