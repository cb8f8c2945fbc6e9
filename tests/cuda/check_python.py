#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_python.py MODULE [LIBRARY]: arrays go to a GPU and come back through the ctypes module of examples/python.

The same training is done on the CPU and on cuda:0, by own loops, by whole steps and in bf16; results must agree. MODULE is the
simulator's or the real one, and not loaded where the library has found a GPU by itself. LIBRARY: what RESNET_LIBRARY would name.
"""
import os
import sys

sys.dont_write_bytecode = True
if len(sys.argv) > 2:
    os.environ["RESNET_LIBRARY"] = sys.argv[2]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "python"))
try:
    import numpy as np
except ImportError:
    print("there is no NumPy")
    sys.exit(1 if os.environ.get("RESNET_REQUIRE_TOOLS") else 77)
import resnet

SHAPE = (4, 3, 8, 8)
X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
LABELS = [0, 1, 2, 3]


def small_net(ctx):
    main = ctx.sequential(ctx.conv2d(4, 4), ctx.batchnorm2d(4), ctx.relu(), ctx.conv2d(4, 4), ctx.batchnorm2d(4))
    return ctx.sequential(ctx.conv2d(3, 4), ctx.batchnorm2d(4), ctx.relu(), ctx.residual(main), ctx.global_avgpool2d(),
                          ctx.flatten(), ctx.linear(4, 5))


def own_loop(ctx, device):
    with resnet.Model(small_net(ctx), device) as model:
        plan = resnet.Plan(model, SHAPE, train=True, flags=resnet.PLAN_INPUT_GRAD)
        loss, optimizer, results = ctx.cross_entropy(), model.sgd(lr=0.1), []
        for _ in range(3):
            model.zero_grad()
            value, dy = loss.compute(plan.forward(X), LABELS, device)
            dx = np.full(SHAPE, np.nan, np.float32)
            plan.backward(dy, dx)
            optimizer.step()
            results += [value, dy, dx]
        return results + [entry.value.read() for entry in model]


def whole_steps(ctx, device, dtype=np.float32):
    with resnet.Model(small_net(ctx), device) as model:
        plan = resnet.Plan(model, SHAPE, train=True, loss=ctx.cross_entropy(), optimizer=model.adam(), dtype=dtype)
        for _ in range(3):
            plan.train_step(X, LABELS)
        logits = resnet.Plan(model, SHAPE).forward(X)
        return [plan.metrics().loss_sum, logits, resnet.softmax(device, logits), resnet.topk(device, logits, LABELS, 2)]


def given_tensors(ctx, device):
    """Results go to a tensor, or to part of an array, as to a new array."""
    with resnet.Model(small_net(ctx), device) as model:
        plan = resnet.Plan(model, SHAPE)
        own, large = resnet.Tensor.create(device, (4, 5)), np.zeros((6, 5), np.float32)
        plan.forward(X, own)
        plan.forward(X, large[1:5])
        try:
            plan.forward(X, np.zeros((5, 4), np.float32).T)
        except ValueError:
            return [own.read(), large]
        sys.exit("FAILED: an array in another order was filled")


def differ(name, first, second, tolerance):
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        largest = np.max(np.abs(np.asarray(a, np.float64) - b)) / max(np.max(np.abs(a)), 1e-3)
        if not largest <= tolerance:
            print(f"FAILED: {name}: result {i} is off by {largest:.2g} of the CPU's, {tolerance} allowed")
            return 1
    print(f"  {name}: {len(first)} results agree")
    return 0


def main():
    with resnet.Context(threads=2, seed=3) as ctx:
        if "cuda:0" not in [device.name for device in ctx.devices()]:
            ctx.load_backend(sys.argv[1])
        cpu, gpu = ctx.device("cpu"), ctx.device("cuda:0")
        print(f"{gpu.name}, {gpu.description}")
        if gpu.reads_host_memory or not cpu.reads_host_memory:
            sys.exit("FAILED: which devices can read the host's memory")
        return (differ("own loop", own_loop(ctx, cpu), own_loop(ctx, gpu), 1e-4) |
                differ("whole steps", whole_steps(ctx, cpu), whole_steps(ctx, gpu), 1e-4) |
                differ("whole steps in bf16", whole_steps(ctx, cpu, "bf16"), whole_steps(ctx, gpu, "bf16"), 3e-2) |
                differ("tensors and parts of arrays", given_tensors(ctx, cpu), given_tensors(ctx, gpu), 1e-5))


sys.exit(main())
