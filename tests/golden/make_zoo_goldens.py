#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files of whole nets, tests/golden/zoo and zoo_slow, with PyTorch (1.13 was used).

One training step of SGD is taken: inference before it, the loss, gradients, running statistics, inference after it. Weights
and images are made from names, as in make_goldens.py. A net has millions of numbers, so of each tensor only two sums are kept,
s1 and s2, in which every element stands with a random sign (golden_file.signs). If a computed tensor is off by e, its sums are
off by about |e|, the norm: two random projections of the error.

make_zoo_goldens.py [--only GLOB] [--out DIR] [--show] [--torchvision]

--torchvision makes nothing: it compares the trees of golden_zoo.py with the installed torchvision's nets, outputs and names.
"""
import argparse
import fnmatch
import pathlib

import numpy as np
import torch

import golden_file
import golden_nets as nets
import golden_zoo
from make_goldens import EXACT, Way, array, draw, loss_of

WAYS = [(1, False, True), (2, True, True), (2, False, False)]
SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}


def draw_state(case, name, dims):
    """As draw_state() in check_zoo.c.

    Where a ReLU's input is near 0, rounding decides about its mask, and in a deep net that moves gradients by far more than
    rounding does. So the shifts of batch normalisations are several deviations away from 0, to both sides of it; only to the
    upper one before the additions of blocks, whose sums stay positive then.
    """
    if len(dims) > 1:
        bound = float(np.sqrt(6.0 / np.prod(dims[1:])))
        return draw(case, name, -bound, bound, dims)
    if name.endswith("weight"):
        return draw(case, name, 0.25, 0.5, dims)
    if name.endswith("running_var"):
        return draw(case, name, 0.5, 1.0, dims)
    value = draw(case, name, -1.0, 1.0, dims)
    if not name.endswith("bias"):
        return value
    if any(part in name for part in ("bn2", "bn3", "downsample")):
        return np.abs(value) + np.float32(1.5)
    return value + np.copysign(np.float32(1.5), value)


def make_model(case, way):
    model = nets.module(case["layer"])
    values, about = model.state_dict(), ""
    for name, value in values.items():
        ours = nets.state_name(name)
        about += "%s[%s];" % (ours, ",".join(map(str, value.shape)))
        if not name.endswith("num_batches_tracked"):
            values[name] = torch.from_numpy(draw_state(case, ours, list(value.shape)))
    case["states"] = "%016x" % golden_file.hash_name(about)
    model.load_state_dict(values)
    model = model.to(way.dtype)
    return model.to(memory_format=torch.channels_last) if way.channels_last else model


def run(case, way):
    """{key: array}, in the order of check_zoo.c."""
    with way:
        model, out = make_model(case, way), {}
        x = way.tensor(draw(case, "x", *case["range"], case["x"]))
        optimizer = torch.optim.SGD(model.parameters(), **SGD)
        with torch.no_grad():
            out["infer.y"] = array(model.eval()(x))
        loss = loss_of(case, way, model.train()(x))
        loss.backward()
        optimizer.step()
        out["loss"] = array(loss)
        parameters = dict(model.named_parameters())
        for name, value in model.state_dict().items():
            tensor = parameters[name].grad if name in parameters else value
            if not name.endswith("num_batches_tracked"):
                out[nets.state_name(name)] = array(tensor)
        with torch.no_grad():
            out["after.y"] = array(model.eval()(x))
        return out


def kept(case, exact):
    """Every n-th of the states, all of the rest."""
    ends = ("infer.y", "loss", "after.y")
    states = [key for key in exact if key not in ends]
    return [key for key in exact if key in ends or states.index(key) % case["every"] == 0]


def macs(case):
    """Multiply-adds of one image, counted where they happen."""
    total = [0]

    def count(part, _, y):
        if isinstance(part, (torch.nn.Conv2d, torch.nn.Linear)):
            total[0] += y.numel() * part.weight[0].numel()

    model = nets.module(case["layer"]).eval()
    for part in model.modules():
        part.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, *case["x"][1:]))
    return total[0], sum(value.numel() for value in model.parameters())


def make(case, out, show):
    exact = run(case, EXACT)
    keys = kept(case, exact)
    norms = np.array([golden_file.norm(exact[key]) for key in keys])
    errors = np.zeros(len(keys))
    for way in WAYS:
        rounded = run(case, Way(torch.float32, *way))
        errors = np.maximum(errors, [golden_file.norm(rounded[key] - exact[key]) for key in keys])
    case["macs"], case["parameters"] = macs(case)
    tensors = {"sums": np.concatenate([golden_file.signed_sums(exact[key]) for key in keys]),
               "norms": norms.astype(np.float32), "errors": errors.astype(np.float32)}
    if show:
        shares = sorted(errors / norms)
        print("%-32s PyTorch's float32 is off by %.1e of a norm in the median, by %.1e in three of four tensors" %
              (case["name"], shares[len(shares) // 2], shares[len(shares) * 3 // 4]))
    folder = out / case["folder"]
    folder.mkdir(parents=True, exist_ok=True)
    about = {key: value for key, value in case.items() if key not in ("layer", "folder")}
    golden_file.write(folder / (case["name"] + ".safetensors"), about, tensors)


def compare(case):
    """The tree against torchvision's net of that name: same names and shapes, and the same bits of output."""
    import torchvision
    if not hasattr(torchvision.models, case["name"]):
        return
    theirs = getattr(torchvision.models, case["name"])(weights=None).double()
    ours = nets.module(case["layer"]).double()
    values = {nets.state_name(name): name for name in ours.state_dict()}
    assert list(values) == list(theirs.state_dict()), case["name"]
    ours.load_state_dict({values[name]: value for name, value in theirs.state_dict().items()})
    x = torch.rand(2, 3, 64, 96, dtype=torch.double)
    same = torch.equal(ours.eval()(x), theirs.eval()(x))
    if "identities" not in case:
        same = same and torch.equal(ours.train()(x), theirs.train()(x))
    assert same, case["name"]
    print("%s: names, shapes and outputs equal torchvision's" % case["name"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--show", action="store_true", help="print how far PyTorch's float32 is off")
    parser.add_argument("--torchvision", action="store_true")
    arguments = parser.parse_args()
    for case in golden_zoo.published() + golden_zoo.combinations():
        if not fnmatch.fnmatch(case["name"], arguments.only):
            continue
        if arguments.torchvision:
            compare(case)
        else:
            make(case, arguments.out, arguments.show)


if __name__ == "__main__":
    main()
