#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_autotune.py CHECKBACKEND MODULE: measured plans are kept in a file, found there again, and measured anew when
the file is of no use; where no plan can beat them, the module's own kernels are."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

checkbackend, module = sys.argv[1:]


def run(folder):
    """Lines of the file after convolutions were planned by measuring."""
    env = {**os.environ, "RN_CUDA_AUTOTUNE": "1", "RN_CUDA_CACHE": str(folder)}
    arguments = [checkbackend, "test", f"--module={module}", "--function=conv_backward_data", "--count=6"]
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, check=False)
    assert re.search(r"^conv_backward_data +ok$", done.stdout, re.M), done.stdout + done.stderr
    files = list(folder.iterdir())
    assert len(files) == 1 and files[0].name.startswith("cudnn-"), files
    return files[0], files[0].read_text(encoding="utf-8").splitlines()


with tempfile.TemporaryDirectory() as name:
    path, first = run(pathlib.Path(name))
    assert first, "nothing was kept"
    for line in first:
        shape, limit, plan = line.split("\t")
        assert shape.startswith("conv_backward_data ") and limit.isdigit() and plan.startswith('{"cudnnVersion"'), line
    assert len({line.rsplit("\t", 1)[0] for line in first}) == len(first), "a shape was measured twice"
    assert run(path.parent)[1] == first, "known shapes were measured again"

    others = [line.rsplit("\t", 1)[0] + "\t{}" for line in first]
    path.write_text("\n".join(others) + "\nno line of ours\n", encoding="utf-8")
    again = run(path.parent)[1]
    measured = again[len(others) + 1:]
    assert [line.rsplit("\t", 1)[0] for line in measured] == [line.rsplit("\t", 1)[0] for line in first]
    assert run(path.parent)[1] == again, "the last line of a shape did not count"
with tempfile.TemporaryDirectory() as name:
    # Every candidate fails to run: nothing was measured, nothing is kept.
    arguments = [checkbackend, "test", f"--module={module}", "--function=conv_backward_data", "--count=1"]
    environment = {**os.environ, "RN_CUDA_AUTOTUNE": "1", "RN_CUDA_CACHE": name, "RNI_SIM_FAIL_LIBRARY": "-1"}
    failed = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert "cudaErrorLaunchOutOfResources" in failed.stdout + failed.stderr, failed.stdout + failed.stderr
    kept = [path.read_text(encoding="utf-8") for path in pathlib.Path(name).iterdir()]
    assert not "".join(kept), kept
with tempfile.TemporaryDirectory() as name:
    # cuDNN fails to run, the module's own kernels do not: they are kept for what they serve, and found again.
    arguments = [checkbackend, "test", f"--module={module}", "--function=conv_backward_data", "--first=10"]
    environment = {**os.environ, "RN_CUDA_AUTOTUNE": "1", "RN_CUDA_CACHE": name}
    subprocess.run([*arguments, "--count=1"], env={**environment, "RNI_SIM_FAIL_LIBRARY": "-1"}, capture_output=True,
                   check=False)
    path, = pathlib.Path(name).iterdir()
    own = path.read_text(encoding="utf-8").splitlines()
    assert own and all(line.endswith("\town") and " f32" in line for line in own), own
    done = subprocess.run([*arguments, "--count=4"], env=environment, capture_output=True, text=True, check=False)
    assert re.search(r"^conv_backward_data +ok$", done.stdout, re.M), done.stdout + done.stderr
    both = path.read_text(encoding="utf-8").splitlines()
    assert both[:len(own)] == own and len(both) > len(own), both
    shapes = [line.rsplit("\t", 1)[0] for line in both]
    assert len(set(shapes)) == len(shapes), "what is the module's own was measured again"


with tempfile.TemporaryDirectory() as name:
    # Without RN_CUDA_CACHE: a folder of its own in XDG_CACHE_HOME, or in HOME; none without either, which is no failure.
    pathlib.Path(name, ".cache").mkdir()
    for variable, folder in (("XDG_CACHE_HOME", "libresnet"), ("HOME", ".cache/libresnet"), ("NONE", None)):
        environment = {key: value for key, value in os.environ.items() if key not in ("RN_CUDA_CACHE", "XDG_CACHE_HOME", "HOME")}
        environment.update({"RN_CUDA_AUTOTUNE": "1", variable: name})
        subprocess.run([checkbackend, "test", f"--module={module}", "--function=conv_backward_data", "--count=1"],
                       env=environment, check=True, stdout=subprocess.DEVNULL)
        assert not folder or list(pathlib.Path(name, folder).glob("cudnn-*.plans")), f"no file in {folder} of {variable}"

print(f"{len(first)} shapes measured, kept and found")
