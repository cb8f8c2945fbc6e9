#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_corpus.py DIR: writes the seeds of each target into a folder of its own."""
import gzip
import io
import json
import pathlib
import struct
import sys
import zipfile


def safetensors(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_seeds():
    weight = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    bias = {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]}
    good = {"fc.weight": weight, "fc.bias": bias}
    yield safetensors(good, bytes(32))
    yield safetensors({"__metadata__": {"format": "pt"}, **good}, bytes(32))
    yield safetensors({"fc.weight": dict(weight, dtype="F64", data_offsets=[0, 48]),
                       "fc.bias": dict(bias, dtype="BF16", data_offsets=[48, 52])}, bytes(52))
    yield safetensors({"fc.weight": dict(weight, shape=[1 << 62, 4])}, bytes(24))
    yield safetensors({"fc.weight": dict(weight, data_offsets=[8, 0])}, bytes(24))
    yield safetensors({"x": dict(weight, shape=[])}, bytes(24))
    yield safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":[]}', b"")
    yield safetensors(b"{" * 2000, b"")
    yield struct.pack("<Q", 1 << 63) + b"{}"
    yield b""


def idx(kind, dims, data):
    return bytes([0, 0, kind, len(dims)]) + b"".join(struct.pack(">I", d) for d in dims) + data


def dataset_seeds():
    def pair(images, labels):
        return b"\2" + struct.pack(">H", len(images)) + images + labels

    yield b"\0\0\0" + (b"\3" + bytes(3072)) * 2
    yield b"\0\0\0" + b"\12" + bytes(3072)
    yield b"\1\0\0" + (b"\3\x50" + bytes(3072))
    images, labels = idx(8, [2, 3, 4], bytes(range(24))), idx(8, [2], b"\1\0")
    yield pair(images, labels)
    yield pair(gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0))
    yield pair(idx(8, [2, 3, 2, 2], bytes(24)), labels)
    yield pair(idx(8, [0xffffffff, 0xffffffff, 0xffffffff], bytes(24)), labels)
    yield pair(idx(13, [2, 3, 4], bytes(24)), labels)


def option_seeds():
    def options(kind, *fields):
        body = struct.pack("<Q", 0) + b"".join(struct.pack("<d" if isinstance(f, float) else "<q", f) for f in fields)
        return bytes([kind]) + struct.pack("<Q", len(body) + 8) + body

    yield options(0, 3, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    yield options(0, 3, 6, 1, 5, 2, 1, 0, 2, 1, 2, 3, 0)
    yield options(0, 1 << 61, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1)
    yield options(1, 3, 1e-5, 0.1)
    yield options(2, 3, 3, 2, 2, 1, 1)
    yield options(3, 2, 2, 0, 0, 0, 0)
    yield options(4, 3, 10, 1)
    yield options(5, 2, 2, 8, 8)
    yield options(6, 0.1, 0.1, 30)
    yield options(7, 0.1, 0.0, 200)
    yield options(8, 0.1, 0.3, 25.0, 1e4, 100)
    yield options(9, 0.1, 0.1, 1e-4, 0.0, 1e-8, 10, 0)
    yield options(10, 20, 10, 3, 1 << 32, 16)
    yield options(11, 50, 0, 0, 0, 0, 1000, 3, 64, 1, 64, 1 << 32, 2)
    yield options(11, 0, 1, 2, 1, 1, 10, 3, 32, 4, 8, 2, 1)
    yield options(12, 0.1)


def picture_seeds(ending):
    """The pictures that the unit tests decode, one that claims to be huge, and one whose header is all there is."""
    data = pathlib.Path(__file__).resolve().parent.parent / "image" / "data"
    for path in sorted(data.glob(f"*.{ending}")):
        yield path.read_bytes()
    first = next(data.glob(f"rgb*.{ending}")).read_bytes()
    size = first.index(b"\xff\xc0") + 5 if ending == "jpg" else 16
    yield first[:size] + b"\xff" * 4 + first[size + 4:]
    yield first[:200]


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def real(value):
    return b"G" + struct.pack(">d", value)


def tensor(key, count, dims, strides, offset=0, kind="Float"):
    sizes = [b"(" + b"".join(map(number, values)) + b"t" for values in (dims, strides)]
    storage = b"(" + text("storage") + b"ctorch\n%sStorage\n" % kind.encode() + text(key) + text("cpu") + number(count)
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + number(offset) + b"".join(sizes) + b"\x89"
            b"ccollections\nOrderedDict\n)RtR")


def dictionary(*pairs):
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def pickled(value):
    return b"\x80\2" + value + b"."


def weights(prefix="", strided=False):
    return dictionary((text(prefix + "fc.weight"), tensor("0", 6, [2, 3], [1, 2] if strided else [3, 1])),
                      (text(prefix + "fc.bias"), tensor("1", 16, [2], [5], 3)))


def optimizer(state, **settings):
    group = dictionary(*((text(key), value) for key, value in settings.items()),
                       (text("params"), b"](" + number(0) + number(1) + b"e"))
    return dictionary((text("state"), state), (text("param_groups"), b"](" + group + b"e"))


def archive(pickle, *storages, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        out.writestr(zipfile.ZipInfo("a/data.pkl"), pickle, method)
        for i, storage in enumerate(storages):
            out.writestr(zipfile.ZipInfo("a/data/%d" % i), storage, method)
    return file.getvalue()


def legacy(value, *storages):
    magic, protocol = b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", pickled(b"M\xe9\3")
    system = pickled(dictionary((text("little_endian"), b"\x88")))
    keys = pickled(b"](" + b"".join(text(str(i)) for i in range(len(storages))) + b"e")
    data = b"".join(struct.pack("<q", len(s) // 4) + s for s in storages)
    return magic + protocol + system + pickled(value) + keys + data


def cifar_pickle(labels, encoded):
    shape = b"(K\1K\1M\0\x0c\x86cnumpy\ndtype\n(U\2u1K\0K\1tR(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89"
    pixels = b"c_codecs\nencode\n(" + text("\xe9" * 3072) + text("latin1") + b"tR" if encoded else \
        b"T" + struct.pack("<I", 3072) + bytes(3072)
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\1btR" + shape + pixels + b"tb"
    return pickled(dictionary((text("data"), array), *((text(key), b"](K\3e") for key in labels)))


def torch_seeds():
    storages = bytes(24), bytes(64)
    sgd = {"lr": real(0.1), "momentum": real(0.9), "dampening": number(0), "weight_decay": real(1e-4), "nesterov": b"\x89"}
    adam = {"lr": real(1e-3), "betas": b"(" + real(0.9) + real(0.999) + b"t", "eps": real(1e-8),
            "weight_decay": number(0), "amsgrad": b"\x89"}
    first, second = tensor("0", 6, [2, 3], [3, 1]), tensor("1", 16, [2], [1])
    buffers = dictionary((number(0), dictionary((text("momentum_buffer"), first))),
                         (number(1), dictionary((text("momentum_buffer"), second))))
    moments = dictionary(*((number(i), dictionary((text("step"), number(3)), (text("exp_avg"), t), (text("exp_avg_sq"), t)))
                           for i, t in enumerate((first, second))))
    yield b"\0" + archive(pickled(weights()), *storages)
    yield b"\0" + archive(pickled(weights()), *storages, method=zipfile.ZIP_DEFLATED)
    yield b"\0" + legacy(weights("module."), *storages)
    yield b"\0" + legacy(dictionary((text("state_dict"), weights(strided=True))), *storages)
    for value in (weights(), weights(strided=True), dictionary((text("model"), weights())), optimizer(buffers, **sgd),
                  dictionary((text("optimizer"), optimizer(moments, **adam)), (text("model"), weights("module."))),
                  tensor("0", 6, [1 << 30, 1 << 30], [0, 0]), b"](]q\0h\0e", b"cposix\nsystem\n(" + text("true") + b"tR",
                  b"(" * 500, b"]" * 500, b"N" + b"2\x86" * 100):
        yield b"\1" + pickled(value)
    yield b"\2" + cifar_pickle(["labels"], False)
    yield b"\2" + cifar_pickle(["labels"], True)
    yield b"\3" + cifar_pickle(["fine_labels", "coarse_labels"], False)


def main():
    root = pathlib.Path(sys.argv[1])
    for name, seeds in (("safetensors", safetensors_seeds()), ("datasets", dataset_seeds()),
                        ("options", option_seeds()), ("torch_file", torch_seeds()),
                        ("jpeg", picture_seeds("jpg")), ("png", picture_seeds("png"))):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds):
            (root / name / f"{number:02}").write_bytes(seed)
    (root / "made").touch()


if __name__ == "__main__":
    main()
