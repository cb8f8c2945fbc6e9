#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_no_driver.py SELFTEST MODULE: resnet-cuda-selftest with the real module where there is no NVIDIA driver."""
import subprocess
import sys

sys.dont_write_bytecode = True
import driver


def main():
    if driver.has_driver():
        print("there is an NVIDIA driver")
        return 77
    selftest, module = sys.argv[1:3]
    done = subprocess.run([selftest, "--module", module, "--steps", "1"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    missing = [text for text in ("cuDNN", "there is no NVIDIA driver", "== result: FAILED") if text not in done.stdout]
    print(f"status {done.returncode}, 1 expected; missing: {missing}")
    return 1 if missing or done.returncode != 1 else 0


sys.exit(main())
