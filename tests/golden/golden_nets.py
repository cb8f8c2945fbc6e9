# SPDX-License-Identifier: MIT
"""Layer trees as plain dictionaries, and the PyTorch modules made of them.

The same dictionary is written into a golden file, where golden_net.c makes libresnet's layers of it. State names
are libresnet's and torchvision's: the main branch of a residual block adds no path component.
"""
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F


def conv2d(inputs, outputs, kernel=3, stride=1, padding=None, dilation=1, groups=1, bias=0):
    def pair(value):
        return list(value) if isinstance(value, (tuple, list)) else [value, value]
    if padding is None:
        padding = [(k - 1) // 2 * d for k, d in zip(pair(kernel), pair(dilation))]
    return {"kind": "conv2d", "in": inputs, "out": outputs, "kernel": pair(kernel), "stride": pair(stride),
            "padding": pair(padding), "dilation": pair(dilation), "groups": groups, "bias": bias}


def batchnorm(channels, momentum=0.1, affine=1, eps=1e-5, frozen=0):
    """momentum None: the cumulative average. frozen 1: running statistics in training, too."""
    return {"kind": "batchnorm2d", "channels": channels, "momentum": momentum, "affine": affine, "eps": eps,
            "frozen": frozen}


def pool(kind, kernel, stride=0, padding=0, exclude_padding=0):
    return {"kind": kind, "kernel": [kernel] * 2, "stride": [stride] * 2, "padding": [padding] * 2,
            "exclude_padding": exclude_padding}


def linear(inputs, outputs, bias=1):
    return {"kind": "linear", "in": inputs, "out": outputs, "bias": bias}


def simple(kind, **more):
    """relu, flatten, softmax, identity, global_avgpool2d; dropout with p; adaptive_avgpool2d with output."""
    return {"kind": kind, **more}


def pad_shortcut(stride, before, after):
    return {"kind": "pad_shortcut", "stride": [stride, stride], "before": before, "after": after}


def sequential(**children):
    return {"kind": "sequential", "children": [[name, child] for name, child in children.items()]}


def numbered(*children):
    return {"kind": "sequential", "children": [[str(i), child] for i, child in enumerate(children)]}


def residual(main, shortcut=None, relu=1):
    return {"kind": "residual", "main": main, "shortcut": shortcut, "relu": relu}


def basic_block(inputs, outputs, stride=1, shortcut=None, relu=1):
    main = sequential(conv1=conv2d(inputs, outputs, stride=stride), bn1=batchnorm(outputs), relu=simple("relu"),
                      conv2=conv2d(outputs, outputs), bn2=batchnorm(outputs))
    return residual(main, shortcut, relu)


def projection(inputs, outputs, kernel, stride):
    return numbered(conv2d(inputs, outputs, kernel, stride), batchnorm(outputs))


def option_a(inputs, outputs, stride):
    extra = outputs - inputs
    return pad_shortcut(stride, extra // 2, extra - extra // 2)


def stages(blocks, shortcut):
    """Three stages of basic blocks with 16, 32, 64 channels."""
    result, inputs = OrderedDict(), 16
    for stage, outputs in enumerate((16, 32, 64)):
        chain = []
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            chain.append(basic_block(inputs, outputs, stride, shortcut(inputs, outputs, stride) if stride > 1 else None))
            inputs = outputs
        result["layer%d" % (stage + 1)] = numbered(*chain)
    return result


def tutorial():
    """The ResNet of the well-known PyTorch tutorial: [2, 2, 2] blocks, 3x3 projections."""
    return sequential(conv=conv2d(3, 16), bn=batchnorm(16), relu=simple("relu"),
                      **stages(2, lambda i, o, s: projection(i, o, 3, s)),
                      avg_pool=simple("global_avgpool2d"), flatten=simple("flatten"), fc=linear(64, 10))


def cifar_resnet20():
    """He et al. 2015, section 4.2, n = 3, option A."""
    return sequential(conv1=conv2d(3, 16), bn1=batchnorm(16), relu=simple("relu"), **stages(3, option_a),
                      avgpool=simple("global_avgpool2d"), flatten=simple("flatten"), fc=linear(64, 10))


class Residual(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.main = module(spec["main"])
        self.downsample = module(spec["shortcut"]) if spec["shortcut"] else nn.Identity()
        self.relu = nn.ReLU() if spec["relu"] else nn.Identity()

    def forward(self, x):
        return self.relu(self.main(x) + self.downsample(x))


class FrozenBatchNorm2d(nn.BatchNorm2d):
    def train(self, mode=True):
        return super().train(False)


class PadShortcut(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.stride, self.pad = spec["stride"], (0, 0, 0, 0, spec["before"], spec["after"])

    def forward(self, x):
        return F.pad(x[:, :, ::self.stride[0], ::self.stride[1]], self.pad)


def module(spec):
    """The PyTorch module of a layer tree."""
    kind = spec["kind"]
    if kind == "sequential":
        return nn.Sequential(OrderedDict((name, module(child)) for name, child in spec["children"]))
    if kind == "residual":
        return Residual(spec)
    if kind == "conv2d":
        return nn.Conv2d(spec["in"], spec["out"], spec["kernel"], spec["stride"], spec["padding"], spec["dilation"],
                         spec["groups"], bool(spec["bias"]))
    if kind == "batchnorm2d":
        kind = FrozenBatchNorm2d if spec["frozen"] else nn.BatchNorm2d
        return kind(spec["channels"], spec["eps"], spec["momentum"], bool(spec["affine"]))
    if kind == "maxpool2d":
        return nn.MaxPool2d(spec["kernel"], spec["stride"] if spec["stride"][0] else None, spec["padding"])
    if kind == "avgpool2d":
        return nn.AvgPool2d(spec["kernel"], spec["stride"] if spec["stride"][0] else None, spec["padding"],
                            count_include_pad=not spec["exclude_padding"])
    if kind == "linear":
        return nn.Linear(spec["in"], spec["out"], bool(spec["bias"]))
    if kind == "pad_shortcut":
        return PadShortcut(spec)
    return {"relu": nn.ReLU, "flatten": nn.Flatten, "softmax": lambda: nn.Softmax(1), "identity": nn.Identity,
            "global_avgpool2d": lambda: nn.AdaptiveAvgPool2d(1),
            "adaptive_avgpool2d": lambda: nn.AdaptiveAvgPool2d(spec["output"]),
            "dropout": lambda: nn.Dropout(spec["p"])}[kind]()


def state_name(name):
    """libresnet's name of an entry of the module's state_dict."""
    return ".".join(part for part in name.split(".") if part != "main")
