#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files between libresnet and PyTorch, both ways, with the PyTorch that runs this (1.13 and 2.x are meant).

    RESNET_LIBRARY=build/lib/libresnet.so tests/golden/check_torch.py

Weights: a state_dict in every form that torch.save() has comes back number by number; what libresnet writes is loaded by
torch.load(weights_only=True). Training: one side does five steps, the other goes on from
its weights and optimizer state; the losses of the next ten steps must agree with the first side's own to 1e-4. The net
is small and its convolutions are plain sums, since a sum so near zero that ReLU decides differently sends two trainings
different ways.
Not among the tests of tests/run, which needs no PyTorch.
"""
import pathlib
import sys
import tempfile
from collections import OrderedDict

import numpy as np
import torch
from torch.nn import functional as F

import golden_nets as nets

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples" / "python"))
import resnet  # noqa: E402

SHAPE, CLASSES, BEFORE, AFTER = (4, 3, 8, 8), 10, 5, 10
TOLERANCE = 1e-4
WEIGHTS_ONLY = {"weights_only": True}
# That of PyTorch 1.13 knows no numbers but whole ones, and so not even its own optimizers' states.
NUMBERS_TOO = WEIGHTS_ONLY if int(torch.__version__.split(".")[0]) >= 2 else {}
failed = 0


def report(what, error, tolerance):
    global failed
    bad = not error <= tolerance
    failed += bad
    print("%s %s: %.2e" % ("FAIL" if bad else "ok", what, error))


def torch_model():
    torch.manual_seed(1)
    return nets.module(nets.sequential(
        conv=nets.conv2d(3, 8), bn=nets.batchnorm(8), relu=nets.simple("relu"), block1=nets.basic_block(8, 8),
        block2=nets.basic_block(8, 16, 2, nets.projection(8, 16, 1, 2)), pool=nets.simple("global_avgpool2d"),
        flatten=nets.simple("flatten"), fc=nets.linear(16, CLASSES)))


def our_block(ctx, inputs, outputs, stride=1, shortcut=None):
    main = ctx.sequential(conv1=ctx.conv2d(inputs, outputs, stride=stride), bn1=ctx.batchnorm2d(outputs),
                          relu=ctx.relu(), conv2=ctx.conv2d(outputs, outputs), bn2=ctx.batchnorm2d(outputs))
    return ctx.residual(main, shortcut)


def our_model(ctx):
    projection = ctx.sequential(ctx.conv2d(8, 16, 1, 2), ctx.batchnorm2d(16))
    return resnet.Model(ctx.sequential(
        conv=ctx.conv2d(3, 8), bn=ctx.batchnorm2d(8), relu=ctx.relu(), block1=our_block(ctx, 8, 8),
        block2=our_block(ctx, 8, 16, 2, projection), pool=ctx.global_avgpool2d(), flatten=ctx.flatten(),
        fc=ctx.linear(16, CLASSES)))


def state_of(model):
    """A state_dict with libresnet's names."""
    return OrderedDict((nets.state_name(name), value) for name, value in model.state_dict().items())


def give_state(model, state):
    model.load_state_dict({name: state[nets.state_name(name)] for name in model.state_dict()})


def batch(step):
    random = np.random.default_rng(step)
    return random.standard_normal(SHAPE, np.float32), random.integers(0, CLASSES, SHAPE[0])


def difference(model, state):
    """The largest difference between libresnet's entries and PyTorch's."""
    return max(float(np.abs(entry.value.read().astype(np.float64) - state[entry.name].double().numpy()).max())
               for entry in model)


def torch_steps(model, optimizer, first, count):
    losses = []
    model.train()
    for step in range(first, first + count):
        x, y = map(torch.from_numpy, batch(step))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def our_steps(plan, first, count):
    losses = []
    for step in range(first, first + count):
        plan.train_step(*batch(step))
        losses.append(plan.metrics().last_loss)
    return losses


OPTIMIZERS = {
    "sgd": (lambda p: torch.optim.SGD(p, lr=0.01), lambda m: m.sgd(lr=1, momentum=0, weight_decay=0)),
    "momentum": (lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-4),
                 lambda m: m.sgd(lr=1, momentum=0.9, weight_decay=1e-4)),
    "nesterov": (lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True),
                 lambda m: m.sgd(lr=1, momentum=0.9, weight_decay=5e-4, nesterov=True)),
    "adam": (lambda p: torch.optim.Adam(p, lr=1e-4), lambda m: m.adam(lr=1)),
    "adamw": (lambda p: torch.optim.AdamW(p, lr=1e-4, weight_decay=0.01),
              lambda m: m.adam(lr=1, weight_decay=0.01, decoupled=True)),
}


def check_weights(ctx, folder):
    model, source = our_model(ctx), torch_model()
    state = state_of(source)
    forms = {
        "zip": (state, {}), "legacy": (state, {"_use_new_zipfile_serialization": False}),
        "zip, protocol 4": (state, {"pickle_protocol": 4}),
        "nested": ({"epoch": 3, "state_dict": {"module." + k: v for k, v in state.items()}}, {}),
        "channels last": ({k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v
                           for k, v in state.items()}, {}),
        "double": ({k: v.double() if v.is_floating_point() else v for k, v in state.items()}, {}),
    }
    for name, (what, options) in forms.items():
        model.init(3)
        torch.save(what, folder / "weights.pth", **options)
        model.load(folder / "weights.pth", strip_prefix="module.")
        report("weights from PyTorch, " + name, difference(model, state), 0)
    model.init(4)
    model.save_torch(folder / "ours.pth")
    loaded = torch.load(folder / "ours.pth", **WEIGHTS_ONLY)
    give_state(source, loaded)
    report("weights to PyTorch", difference(model, state_of(source)), 0)


def check_optimizer(ctx, folder, name, combined):
    make_theirs, make_ours = OPTIMIZERS[name]
    # From PyTorch.
    theirs = torch_model()
    their_optimizer = make_theirs(theirs.parameters())
    torch_steps(theirs, their_optimizer, 0, BEFORE)
    if combined:
        torch.save({"model": state_of(theirs), "optimizer": their_optimizer.state_dict()}, folder / "both.pth")
    else:
        torch.save(state_of(theirs), folder / "model.pth")
        torch.save(their_optimizer.state_dict(), folder / "optimizer.pth")
    model, loss = our_model(ctx), ctx.cross_entropy()
    optimizer = make_ours(model)
    model.load(folder / ("both.pth" if combined else "model.pth"))
    optimizer.load_torch(folder / ("both.pth" if combined else "optimizer.pth"))
    plan = resnet.Plan(model, SHAPE, train=True, loss=loss, optimizer=optimizer, flags=resnet.PLAN_NO_WINOGRAD)
    expected = torch_steps(theirs, their_optimizer, BEFORE, AFTER)
    got = our_steps(plan, BEFORE, AFTER)
    how = name + (", one file" if combined else "")
    report("%s from PyTorch" % how, max(abs(a - b) for a, b in zip(expected, got)), TOLERANCE)
    # To PyTorch.
    if combined:
        resnet.save_torch_checkpoint(folder / "both.pth", ctx, model, optimizer, epoch=7)
        saved = torch.load(folder / "both.pth", **NUMBERS_TOO)
        report("%s, epoch" % how, abs(saved["epoch"] - 7), 0)
    else:
        model.save_torch(folder / "model.pth")
        optimizer.save_torch(folder / "optimizer.pth")
        saved = {"model": torch.load(folder / "model.pth", **WEIGHTS_ONLY),
                 "optimizer": torch.load(folder / "optimizer.pth", **NUMBERS_TOO)}
    theirs = torch_model()
    their_optimizer = make_theirs(theirs.parameters())
    give_state(theirs, saved["model"])
    their_optimizer.load_state_dict(saved["optimizer"])
    got = torch_steps(theirs, their_optimizer, BEFORE + AFTER, AFTER)
    expected = our_steps(plan, BEFORE + AFTER, AFTER)
    report("%s to PyTorch" % how, max(abs(a - b) for a, b in zip(expected, got)), TOLERANCE)


def main():
    print("PyTorch %s, libresnet %s" % (torch.__version__, resnet.version()))
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name, resnet.Context(seed=2) as ctx:
        folder = pathlib.Path(name)
        check_weights(ctx, folder)
        for optimizer in OPTIMIZERS:
            check_optimizer(ctx, folder, optimizer, combined=False)
        check_optimizer(ctx, folder, "adam", combined=True)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
