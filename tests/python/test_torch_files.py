# SPDX-License-Identifier: MIT
"""What libresnet writes for torch.load(), read without PyTorch: by an unpickler that knows no more than PyTorch's own for
weights_only=True does.

    test_torch_files.py LIBRARY [unittest's arguments]     exit status 77 without NumPy
"""
import os
import pathlib
import pickle
import pickletools
import sys
import tempfile
import unittest
import zipfile
from collections import OrderedDict

SOURCE = pathlib.Path(os.environ.get("RESNET_SOURCE", pathlib.Path(__file__).parents[2]))
if __name__ == "__main__" and len(sys.argv) > 1:
    os.environ["RESNET_LIBRARY"] = sys.argv.pop(1)
sys.dont_write_bytecode = True
sys.path.insert(0, str(SOURCE / "examples" / "python"))
try:
    import numpy as np
except ImportError:
    print("NumPy is not installed")
    sys.exit(77)
import resnet

# The opcodes that torch/_weights_only_unpickler.py of PyTorch 1.13 knows, as far as they are of use; 2.x adds BINFLOAT.
OPCODES = {"PROTO", "GLOBAL", "EMPTY_TUPLE", "REDUCE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MARK",
           "BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "BINPERSID",
           "NEWTRUE", "NEWFALSE", "NONE", "EMPTY_DICT", "EMPTY_LIST", "SETITEM", "SETITEMS", "APPEND", "APPENDS",
           "BUILD", "STOP"}
TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class Unpickler(pickle.Unpickler):
    def __init__(self, archive):
        super().__init__(archive.open("archive/data.pkl"))
        self.archive, self.keys = archive, set()

    def find_class(self, module, name):
        allowed = {"collections.OrderedDict": OrderedDict, "torch._utils._rebuild_tensor_v2": self.tensor,
                   **{"torch." + kind: kind for kind in TYPES}}
        return allowed[module + "." + name]

    def persistent_load(self, pid):
        word, kind, key, location, count = pid
        assert word == "storage" and location == "cpu" and key not in self.keys, pid
        self.keys.add(key)
        storage = np.frombuffer(self.archive.read("archive/data/" + key), TYPES[kind])
        assert len(storage) == count, pid
        return storage

    @staticmethod
    def tensor(storage, offset, sizes, strides, requires_grad, hooks):
        assert offset == 0 and requires_grad is False and hooks == OrderedDict()
        return np.lib.stride_tricks.as_strided(storage, sizes, [s * storage.itemsize for s in strides])


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name, "file.pth")
        self.ctx = resnet.Context(seed=3)
        self.model = resnet.Model(self.ctx.zoo("tutorial"))

    def tearDown(self):
        self.folder.cleanup()

    def load(self):
        """The pickle's value, its opcodes; the archive as PyTorch wants it."""
        with zipfile.ZipFile(self.path) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(archive.read("archive/version"), b"3\n")
            self.assertEqual(archive.read("archive/byteorder"), b"little")
            whole = self.path.read_bytes()
            for entry in archive.infolist():
                self.assertEqual(entry.compress_type, zipfile.ZIP_STORED)
                lengths = whole[entry.header_offset + 26:entry.header_offset + 30]
                begin = entry.header_offset + 30 + sum(np.frombuffer(lengths, "<u2").tolist())
                self.assertEqual(begin % 64, 0, entry.filename)
            opcodes = {opcode.name for opcode, _, _ in pickletools.genops(archive.read("archive/data.pkl"))}
            return Unpickler(archive).load(), opcodes

    def assert_weights(self, state):
        self.assertEqual(list(state), [entry.name for entry in self.model])
        for entry in self.model:
            np.testing.assert_array_equal(state[entry.name], entry.value.numpy())

    def test_model(self):
        self.model.save_torch(self.path)
        state, opcodes = self.load()
        self.assertIs(type(state), OrderedDict)
        self.assertLessEqual(opcodes, OPCODES)
        self.assert_weights(state)

    def train(self, optimizer):
        random = np.random.default_rng(1)
        plan = resnet.Plan(self.model, (4, 3, 8, 8), train=True, loss=self.ctx.cross_entropy(), optimizer=optimizer)
        for _ in range(2):
            plan.train_step(random.random((4, 3, 8, 8), np.float32), np.arange(4))

    def parameters(self):
        return [entry for entry in self.model if entry.kind == 0]

    def test_sgd(self):
        optimizer = self.model.sgd(lr=0.125, momentum=0.5, weight_decay=0.25, nesterov=True)
        optimizer.save_torch(self.path)
        self.assertEqual(self.load()[0]["state"], {})
        self.train(optimizer)
        optimizer.save_torch(self.path)
        state, opcodes = self.load()
        self.assertLessEqual(opcodes, OPCODES | {"BINFLOAT"})
        group, = state["param_groups"]
        self.assertEqual({key: group[key] for key in ("lr", "momentum", "dampening", "weight_decay", "nesterov")},
                         {"lr": 0.125, "momentum": 0.5, "dampening": 0, "weight_decay": 0.25, "nesterov": True})
        self.assertEqual(group["params"], list(range(47)))
        self.assertEqual([state["state"][i]["momentum_buffer"].shape for i in range(47)],
                         [entry.value.shape for entry in self.parameters()])
        self.assertTrue(all(np.any(moments["momentum_buffer"]) for moments in state["state"].values()))

    def test_adam_groups_and_epoch(self):
        optimizer = self.model.adam(lr=0.25, weight_decay=0.5, decoupled=True)
        optimizer.add_group("*bn*", lr_factor=0.5)
        self.train(optimizer)
        resnet.save_torch_checkpoint(self.path, self.ctx, self.model, optimizer, epoch=4, step=1 << 40)
        saved, opcodes = self.load()
        self.assertLessEqual(opcodes, OPCODES | {"BINFLOAT"})
        self.assertEqual((saved["epoch"], saved["step"]), (4, 1 << 40))
        self.assert_weights(saved["model"])
        first, second = saved["optimizer"]["param_groups"]
        self.assertEqual((first["lr"], first["weight_decay"], second["lr"], second["weight_decay"]), (0.25, 0.5, 0.125, 0))
        self.assertEqual(first["betas"], (0.9, 0.999))
        self.assertTrue(first["decoupled_weight_decay"])
        self.assertEqual(first["params"] + second["params"], list(range(47)))
        order = [e for e in self.parameters() if "bn" not in e.name] + [e for e in self.parameters() if "bn" in e.name]
        for i, entry in enumerate(order):
            moments = saved["optimizer"]["state"][i]
            self.assertEqual((moments["step"].shape, float(moments["step"])), ((), 2.0))
            self.assertEqual(moments["exp_avg"].shape, entry.value.shape)
            self.assertTrue((moments["exp_avg_sq"] >= 0).all())


if __name__ == "__main__":
    unittest.main()
