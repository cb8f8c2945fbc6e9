#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exported files pass onnx's checker, and ONNX Runtime computes what a plan computes.

    test_onnx.py LIBRARY EXPORT_ONNX [unittest's arguments]

Exit status 77 when NumPy, onnx or onnxruntime is not installed; 1 when the environment variable RESNET_REQUIRE_TOOLS
says that they must be.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("RESNET_SOURCE", pathlib.Path(__file__).parents[2]))
if __name__ == "__main__" and len(sys.argv) > 2:
    os.environ["RESNET_LIBRARY"] = sys.argv.pop(1)
    PROGRAM = sys.argv.pop(1)
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "examples" / "python"))
try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as error:
    print(error)
    sys.exit(1 if os.environ.get("RESNET_REQUIRE_TOOLS") else 77)
import resnet

BATCH = 3
SMALL_NETS = ("tutorial", "cifar_resnet20", "cifar_resnet20_b", "cifar_plain20")
LARGE_NETS = ("resnet18", "resnet50")


def every_kind(ctx):
    """A net with every kind of layer and every option of each, on [N, 3, 24, 20]."""
    branch = ctx.sequential(ctx.batchnorm2d(12), ctx.relu(), ctx.conv2d(12, 12, 3, padding=1, groups=3, bias=True),
                            ctx.batchnorm2d(12, affine=False))
    inner = ctx.residual(ctx.conv2d(12, 20, 3, stride=(2, 1), padding=1),
                         ctx.pad_shortcut(stride=(2, 1), before=3, after=5), relu=False)
    outer = ctx.residual(ctx.sequential(inner, ctx.batchnorm2d(20)),
                         ctx.sequential(ctx.conv2d(12, 20, 1, stride=(2, 1)), ctx.batchnorm2d(20)))
    return ctx.sequential(
        ctx.conv2d(3, 12, (5, 3), stride=(1, 2), padding=(2, 0), dilation=(1, 2), bias=True),
        ctx.batchnorm2d(12, eps=0.25),
        ctx.maxpool2d(3, stride=2, padding=1), ctx.residual(branch, relu=False), ctx.identity(), outer,
        ctx.avgpool2d(3, stride=1, padding=1), ctx.avgpool2d((2, 1), padding=(1, 0), count_include_pad=False),
        ctx.softmax(), ctx.pad_shortcut(stride=1, after=4), ctx.dropout(0.4), ctx.flatten(), ctx.flatten(),
        ctx.linear(24 * 4 * 4, 11, bias=False), ctx.relu(), ctx.linear(11, 7), ctx.softmax())


def disturb(model, seed):
    """Statistics and parameters of batch normalisation that are not those of the start."""
    generator = np.random.default_rng(seed)
    for entry in model:
        shape = entry.value.shape
        if entry.name.endswith("running_mean") or entry.name.endswith("bias"):
            entry.value.write(generator.normal(0, 0.2, shape).astype(np.float32))
        elif entry.name.endswith("running_var") or (entry.name.endswith("weight") and len(shape) == 1):
            entry.value.write(generator.uniform(0.5, 1.5, shape).astype(np.float32))


class Exported(unittest.TestCase):
    def setUp(self):
        self.ctx = resnet.Context(threads=2, seed=3)
        self.addCleanup(self.ctx.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.path = str(self.folder / "net.onnx")

    def session(self):
        onnx.checker.check_model(self.path, full_check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])

    def compare(self, session, plan, shape, seed=5):
        images = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
        ours = plan.forward(images)
        theirs, = session.run(["output"], {"input": images})
        self.assertEqual(theirs.shape, ours.shape)
        self.assertLess(np.abs(theirs - ours).max() / np.abs(ours).max(), 1e-4)

    def check(self, layer, shape):
        """All ways of writing a net; returns the graph of the plainest."""
        model = resnet.Model(layer)
        disturb(model, 1)
        plan = resnet.Plan(model, (BATCH, *shape))
        for flags in (resnet.ONNX_FIXED_BATCH, resnet.ONNX_FOLD_BATCHNORM, 0):
            model.export_onnx(self.path, (BATCH, *shape), flags)
            session = self.session()
            batch = BATCH if flags & resnet.ONNX_FIXED_BATCH else "batch"
            self.assertEqual(session.get_inputs()[0].shape, [batch, *shape])
            self.compare(session, plan, (BATCH, *shape))
            if batch == "batch":
                self.compare(session, plan, (1, *shape))
        graph = onnx.load(self.path).graph
        expected = {entry.name for entry in model if not entry.name.endswith("num_batches_tracked")}
        extra = {w.name for w in graph.initializer} - expected
        self.assertEqual({w.name for w in graph.initializer} & expected, expected)
        self.assertTrue(all(re.search(r"[A-Z]\w+_\d+\.\w+$", name) for name in extra), extra)
        return graph

    def test_small_nets(self):
        for name in SMALL_NETS:
            with self.subTest(name):
                self.check(self.ctx.zoo(name), (3, 32, 32))

    def test_large_nets(self):
        for name in LARGE_NETS:
            with self.subTest(name):
                self.check(self.ctx.zoo(name), (3, 64, 64))

    def test_every_kind_of_layer(self):
        graph = self.check(every_kind(self.ctx), (3, 24, 20))
        self.assertEqual({node.op_type for node in graph.node},
                         {"Conv", "BatchNormalization", "Relu", "Add", "MaxPool", "AveragePool", "Softmax", "Slice",
                          "Pad", "Flatten", "Gemm"})
        self.check(self.ctx.sequential(self.ctx.global_avgpool2d(), self.ctx.softmax()), (6, 5, 4))
        for size in ((6, 4), (9, 4), (6, 3), (1, 1), (4, 7)):
            self.check(self.ctx.adaptive_avgpool2d(*size), (6, 9, 4))
        self.check(self.ctx.identity(), (6, 5, 4))
        self.check(self.ctx.linear(9, 4), (9,))
        self.check(self.ctx.residual(self.ctx.identity()), (9,))

    def test_names_and_opset(self):
        graph = self.check(self.ctx.zoo("cifar_resnet20"), (3, 32, 32))
        model = onnx.load(self.path)
        self.assertEqual([(o.domain, o.version) for o in model.opset_import], [("", 17)])
        self.assertEqual((model.ir_version, model.producer_name), (8, "libresnet"))
        self.assertEqual(len({node.name for node in graph.node}), len(graph.node))
        self.assertEqual(graph.node[0].name, "conv1/Conv_0")

    def test_the_example(self):
        weights, shape = str(self.folder / "weights.safetensors"), (BATCH, 1, 28, 28)
        model = resnet.Model(self.ctx.zoo("tutorial", classes=4, in_channels=1))
        disturb(model, 2)
        model.save(weights)
        command = [PROGRAM, "--arch", "tutorial", "--classes", "4", "--channels", "1", "--size", "28",
                   "--weights", weights, "--out", self.path]
        for flags in ([], ["--fold"]):
            done = subprocess.run(command + flags, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.compare(self.session(), resnet.Plan(model, shape), shape)


if __name__ == "__main__":
    unittest.main()
