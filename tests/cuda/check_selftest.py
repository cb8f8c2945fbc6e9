#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_selftest.py SELFTEST SIMULATED: resnet-cuda-selftest on the simulator, well and with planted failures."""
import os
import pathlib
import subprocess
import sys
import tempfile

selftest, simulated = sys.argv[1:3]
failures = []

SANITIZER = """#!/bin/sh
echo "$@" >> "$SANITIZER_CALLS"
exit "$SANITIZER_STATUS"
"""


def run(arguments, **environment):
    """The exit status and the report."""
    done = subprocess.run(
        [selftest, *arguments], env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False)
    return done.returncode, done.stdout


def expect(what, got, status, *texts):
    """Of a run: its exit status, and that the report has these texts."""
    missing = [text for text in texts if text not in got[1]]
    if got[0] == status and not missing:
        print(f"{what}: ok")
        return
    failures.append(what)
    print(f"{what}: FAILED: status {got[0]}, expected {status}; missing: {missing}\n{got[1]}")


def on_simulator(steps, **environment):
    return run(["--quick", "--module", simulated, "--steps", steps], **environment)


def check_all_steps(folder):
    """Every step, with a sanitizer that finds nothing."""
    calls = folder / "calls"
    got = run(["--quick", "--module", simulated], SANITIZER_CALLS=str(calls), SANITIZER_STATUS="0")
    print(got[1])
    expect("all steps", got, 0, "SIMULATED", "== step 9", "racecheck: nothing found", "== result: passed")
    lines = calls.read_text(encoding="utf-8").splitlines()
    tools = [line.split()[1] for line in lines]
    own = [line.split()[1] for line in lines if " --direct " in line and "--steps 2,3,7 " in line]
    if own != ["racecheck", "initcheck"]:
        failures.append("racecheck and initcheck of the module's kernels")
        print("\n".join(lines))
    if tools != ["memcheck", "racecheck", "initcheck", "synccheck"]:
        failures.append("tools")
        print(f"tools of compute-sanitizer: {tools}")


def check_planted(folder):
    """Each failure must be told where it is, and in the exit status."""
    expect("allocation fails", on_simulator("1,2", RNI_SIM_FAIL_MALLOC="1"), 1,
           "FAILED memory_alloc: out of memory", "== result: FAILED, steps 2\n")
    expect("kernel takes the device", on_simulator("2,3", RNI_SIM_LOSE_AFTER="30"), 1,
           "FAILED bn_", "op_run: status -12: cuda:0: cannot wait for the device: unspecified launch failure",
           "the device is lost", "== result: FAILED, steps 3\n")
    expect("no capture", on_simulator("7", RNI_SIM_REFUSE_CAPTURE="1"), 1, "FAILED tutorial: no graph was captured")
    expect("no device", on_simulator("1,6", RNI_SIM_DEVICES="0"), 1,
           "there is no device 'cuda:0'", "the NVIDIA driver sees no GPU", "== result: FAILED, steps 1 6\n")
    expect("sanitizer", on_simulator("5", SANITIZER_CALLS=str(folder / "again"), SANITIZER_STATUS="99"), 1,
           "FAILED memcheck: found errors", "FAILED synccheck: found errors")
    record = folder / "record.json"
    record.write_text("no record", encoding="utf-8")
    expect("record", run(["--quick", "--module", simulated, "--steps", "1", "--record", str(record)]), 1,
           "FAILED device record")


def check_arguments():
    expect("no such step", run(["--steps", "10"]), 2, "usage:")
    expect("no such flag", run(["--fast"]), 2, "usage:")
    expect("help", run(["--help"]), 0, "usage:", "step 4")
    expect("no such module", run(["--module", "/nowhere/module.so"]), 1, "there is no such file")


with tempfile.TemporaryDirectory() as name:
    place = pathlib.Path(name)
    tool = place / "compute-sanitizer"
    tool.write_text(SANITIZER, encoding="utf-8")
    tool.chmod(0o755)
    os.environ["PATH"] = f"{place}:{os.environ['PATH']}"
    os.environ["TMPDIR"] = name
    check_arguments()
    expect("a GPU without bf16", on_simulator("2,3", RNI_SIM_CAPABILITY="75"), 0, "== result: passed")
    check_planted(place)
    check_all_steps(place)
    left = list(place.glob("resnet-cuda-selftest.*"))
    if left:
        failures.append("folders")
        print(f"left behind: {left}")
print(f"{len(failures)} failed: {failures}")
sys.exit(1 if failures else 0)
