#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""results.py FILE.json...: counts in meson's test logs, "passed failed skipped"; then a line for each skipped test."""
import json
import sys


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    skipped = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for line in log:
                test = json.loads(line)
                if test["result"] in ("OK", "EXPECTEDFAIL"):
                    counts["passed"] += 1
                elif test["result"] == "SKIP":
                    counts["skipped"] += 1
                    output = (test.get("stdout") or test.get("stderr") or "").strip()
                    skipped.append(f"{test['name']}: {output.splitlines()[-1] if output else 'no reason given'}")
                else:
                    counts["failed"] += 1
    print(*counts.values())
    print("\n".join(skipped))


if __name__ == "__main__":
    main()
