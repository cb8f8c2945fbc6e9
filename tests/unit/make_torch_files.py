#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the small files in tests/unit/data that test_torch_file.c and test_cifar_python.c read.

    make_torch_files.py [DIR]

Run it with PyTorch 2.x for all files, and with PyTorch 1.13 for those named old_*, which it makes then. Every weight's
number i of tensor k is k + i/8, which all types of floats hold exactly.
"""
import io
import pathlib
import pickle
import struct
import sys
from collections import Counter, OrderedDict

import numpy as np
import torch
from torch import nn

SHAPES = OrderedDict([
    ("conv.weight", (2, 1, 3, 3)), ("bn.weight", (2,)), ("bn.bias", (2,)), ("bn.running_mean", (2,)),
    ("bn.running_var", (2,)), ("bn.num_batches_tracked", ()), ("fc.weight", (3, 2)), ("fc.bias", (3,))])


def state():
    values = OrderedDict()
    for k, (name, shape) in enumerate(SHAPES.items()):
        if not shape:
            values[name] = torch.tensor(7)
        else:
            values[name] = k + torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape) / 8
    return values


def floats(convert):
    return OrderedDict((name, convert(value) if value.is_floating_point() else value) for name, value in state().items())


def strided():
    """The same numbers, in other orders and in pieces of larger storages."""
    values = state()
    values["conv.weight"] = values["conv.weight"].permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    values["fc.weight"] = values["fc.weight"].t().contiguous().t()
    values["fc.bias"] = torch.stack([values["fc.bias"], torch.zeros(3)], dim=1)[:, 0]
    pool = torch.cat([torch.full((3,), 99.0)] + [values[name] for name in list(SHAPES)[1:5]])
    for i, name in enumerate(list(SHAPES)[1:5]):
        values[name] = pool[3 + 2 * i:5 + 2 * i]
    return values


def parameters():
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3, bias=False), bn=nn.BatchNorm2d(2), fc=nn.Linear(2, 3)))
    model.load_state_dict(state())
    return model.state_dict(keep_vars=True)


def train(make):
    """A state of an optimizer after three steps on gradients of number i / 4 - 1."""
    values = [nn.Parameter(value) for name, value in state().items() if "running" not in name and value.dim() > 0]
    optimizer = make(values)
    for _ in range(3):
        for value in values:
            value.grad = (torch.arange(value.numel(), dtype=torch.float32) / 4 - 1).reshape(value.shape)
        optimizer.step()
    return optimizer.state_dict()


def weights(folder):
    torch.save(state(), folder / "zip.pth")
    (folder / "zip64.pth").write_bytes(zip64((folder / "zip.pth").read_bytes()))
    torch.save(state(), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(state(), folder / "protocol4.pth", pickle_protocol=4)
    torch.save(state(), folder / "protocol5.pth", pickle_protocol=5)
    torch.save(strided(), folder / "strided.pth")
    torch.save(strided(), folder / "strided_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(floats(torch.Tensor.double), folder / "double.pth")
    torch.save(floats(torch.Tensor.half), folder / "half.pth")
    torch.save(floats(torch.Tensor.bfloat16), folder / "bfloat16.pth")
    torch.save(parameters(), folder / "parameters.pth")
    nested = {"epoch": 3, "best": torch.tensor(0.5), "lr": np.float64(0.1), "schedule": Counter([80, 120]), "args": None,
              "device": torch.device("cpu"),
              "state_dict": OrderedDict(("module." + name, value) for name, value in state().items())}
    torch.save(nested, folder / "nested.pth")
    torch.save({"model": {"state_dict": state()}, "optimizer": {"state": {}, "param_groups": []}}, folder / "nested2.pth")


def zip64(source):
    """The archive with all numbers of its list in 64-bit fields, as one beyond 4 GiB has them."""
    place, = struct.unpack_from("<Q", source, source.index(b"PK\6\6") + 48)
    entries, at = b"", place
    while source[at:at + 4] == b"PK\1\2":
        name, extra, comment = struct.unpack_from("<3H", source, at + 28)
        packed, size = struct.unpack_from("<2I", source, at + 20)
        offset, = struct.unpack_from("<I", source, at + 42)
        wide = struct.pack("<2H3Q", 1, 24, size, packed, offset)
        entries += (source[at:at + 20] + b"\xff" * 8 + struct.pack("<3H", name, len(wide), 0) + source[at + 34:at + 42]
                    + b"\xff" * 4 + source[at + 46:at + 46 + name] + wide)
        at += 46 + name + extra + comment
    count = source[place:at].count(b"PK\1\2")
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(entries), place)
    end += struct.pack("<4sIQI", b"PK\6\7", 0, place + len(entries), 1)
    return source[:place] + entries + end + struct.pack("<4s4H2IH", b"PK\5\6", 65535, 65535, 65535, 65535, 0xffffffff,
                                                        0xffffffff, 0)


def optimizers(folder):
    torch.save(train(lambda p: torch.optim.SGD(p, lr=0.25, momentum=0.5)), folder / "sgd.pth")
    torch.save(train(lambda p: torch.optim.SGD(p, lr=0.25)), folder / "sgd_plain.pth")
    torch.save(train(lambda p: torch.optim.Adam(p, lr=0.25)), folder / "adam.pth")
    torch.save({"optimizer_state_dict": train(lambda p: torch.optim.AdamW(p, lr=0.25, weight_decay=0.5))},
               folder / "adamw.pth")
    torch.save(train(lambda p: torch.optim.Adam(p, lr=0.25, amsgrad=True)), folder / "amsgrad.pth")


class Python2(pickle._Pickler):
    """Protocol 2 as Python 2 writes it: texts are bytes, and numbers in the memo begin with 1."""

    def __init__(self, file):
        super().__init__(file, 2)
        self.memo["nothing"] = (0, None)

    def save_str(self, text):
        data = text if isinstance(text, bytes) else text.encode("latin1")
        self.write((b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + len(data).to_bytes(4, "little")) + data)
        self.memoize(text)

    dispatch = dict(pickle._Pickler.dispatch)
    dispatch[str] = dispatch[bytes] = save_str


def python2(value):
    file = io.BytesIO()
    Python2(file).dump(value)
    return file.getvalue().replace(b"numpy._core", b"numpy.core")  # NumPy's name then


def images(count, first):
    i, j = np.arange(first, first + count)[:, None], np.arange(3072)[None, :]
    return ((i * 31 + j // 16) % 256).astype(np.uint8)


def cifar(folder):
    ten = {"batch_label": "training batch 1 of 5", "labels": [3, 9], "data": images(2, 0), "filenames": ["a.png", "b.png"]}
    hundred = {"filenames": ["a", "b"], "batch_label": "testing", "fine_labels": [99, 0], "coarse_labels": [19, 5],
               "data": images(2, 5)}
    (folder / "cifar10_python2").write_bytes(python2(ten))
    (folder / "cifar10_protocol2").write_bytes(pickle.dumps(ten, 2))
    (folder / "cifar10_protocol4").write_bytes(pickle.dumps(ten, 4))
    (folder / "cifar10_protocol5").write_bytes(pickle.dumps(ten, 5))
    (folder / "cifar10_fortran").write_bytes(pickle.dumps(dict(ten, data=np.asfortranarray(ten["data"])), 4))
    (folder / "cifar100_python2").write_bytes(python2(hundred))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "data")
    folder.mkdir(parents=True, exist_ok=True)
    if torch.__version__.startswith("1."):
        torch.save(state(), folder / "old_zip.pth")
        torch.save(state(), folder / "old_legacy.pth", _use_new_zipfile_serialization=False)
        torch.save(train(lambda p: torch.optim.Adam(p, lr=0.25)), folder / "old_adam.pth")
        return
    weights(folder)
    optimizers(folder)
    cifar(folder)


if __name__ == "__main__":
    main()
