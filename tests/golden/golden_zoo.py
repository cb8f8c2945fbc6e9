# SPDX-License-Identifier: MIT
"""The nets of the zoo as layer trees, written from the papers, and the cases of tests/golden/zoo and zoo_slow."""
from golden_nets import batchnorm, conv2d, linear, numbered, pad_shortcut, pool, residual, sequential, simple

CE = {"kind": "cross_entropy", "smoothing": 0.1}
DEPTHS = {18: ("basic", (2, 2, 2, 2)), 34: ("basic", (3, 4, 6, 3)), 50: ("bottleneck", (3, 4, 6, 3)),
          101: ("bottleneck", (3, 4, 23, 3)), 152: ("bottleneck", (3, 8, 36, 3))}


def norm(channels, net):
    return batchnorm(channels, frozen=net["frozen"])


def bottleneck(inputs, inner, outputs, stride, net):
    """He et al. 2015, figure 5; the stride on the first 1x1 (V1) or on the 3x3."""
    first, second = (stride, 1) if net["v1"] else (1, stride)
    return sequential(conv1=conv2d(inputs, inner, 1, first), bn1=norm(inner, net), relu=simple("relu"),
                      conv2=conv2d(inner, inner, 3, second, groups=net["groups"]), bn2=norm(inner, net),
                      relu2=simple("relu"), conv3=conv2d(inner, outputs, 1), bn3=norm(outputs, net))


def basic(inputs, outputs, stride, net):
    return sequential(conv1=conv2d(inputs, outputs, stride=stride), bn1=norm(outputs, net), relu=simple("relu"),
                      conv2=conv2d(outputs, outputs), bn2=norm(outputs, net))


def shortcut(inputs, outputs, stride, net):
    kind = net["shortcut"]
    if inputs == outputs and stride == 1 and kind != "C":
        return None
    if kind == "A":
        before = 0 if net["zeros_after"] else (outputs - inputs) // 2
        return pad_shortcut(stride, before, outputs - inputs - before)
    return numbered(conv2d(inputs, outputs, 3 if kind == "3x3" else 1, stride), norm(outputs, net))


def block(inputs, inner, outputs, stride, net):
    main = (bottleneck(inputs, inner, outputs, stride, net) if net["block"] == "bottleneck" else
            basic(inputs, outputs, stride, net))
    if net["plain"]:
        main["children"].append(["last_relu", simple("relu")])
        return main
    return residual(main, shortcut(inputs, outputs, stride, net))


def stages(channels, blocks, widths, net):
    """widths: (inner, outputs) of each stage; all but the first halve the image."""
    result = {}
    for index, (count, (inner, outputs)) in enumerate(zip(blocks, widths)):
        chain = []
        for i in range(count):
            chain.append(block(channels, inner, outputs, 2 if index and not i else 1, net))
            channels = outputs
        result["layer%d" % (index + 1)] = numbered(*chain)
    return result


def head(features, classes):
    return dict(avgpool=simple("global_avgpool2d"), flatten=simple("flatten"), fc=linear(features, classes))


def described(**net):
    return {"shortcut": "B", "block": "basic", "plain": 0, "v1": 0, "zeros_after": 0, "frozen": 0, "groups": 1,
            "width_per_group": 64, "width": 64, **net}


def resnet(depth=0, classes=1000, in_channels=3, blocks=(), **options):
    """Table 1 of the paper; width and groups as Xie et al. 2016 and torchvision have them."""
    net = described(**options)
    if depth:
        net["block"], blocks = DEPTHS[depth]
    width, widths = net["width"], []
    for index in range(4):
        planes = width << index
        inner = planes * net["width_per_group"] // 64 * net["groups"]
        widths.append((inner, 4 * planes) if net["block"] == "bottleneck" else (planes, planes))
    stem = dict(conv1=conv2d(in_channels, width, 7, 2), bn1=norm(width, net), relu=simple("relu"),
                maxpool=pool("maxpool2d", 3, 2, 1))
    return sequential(**stem, **stages(width, blocks, widths, net), **head(widths[3][1], classes))


def cifar(depth, classes=10, in_channels=3, width=16, **options):
    """Section 4.2 of the paper."""
    net = described(**{"shortcut": "A", **options})
    widths = [(width << i, width << i) for i in range(3)]
    stem = dict(conv1=conv2d(in_channels, width), bn1=norm(width, net), relu=simple("relu"))
    return sequential(**stem, **stages(width, [(depth - 2) // 6] * 3, widths, net), **head(4 * width, classes))


def vgg19(with_bn, classes=1000):
    """Configuration E of Simonyan and Zisserman 2014. Without dropout: it is random."""
    features, channels = [], 3
    for outputs, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            features += [conv2d(channels, outputs, bias=1)] + [batchnorm(outputs)] * with_bn + [simple("relu")]
            channels = outputs
        features.append(pool("maxpool2d", 2))
    return sequential(features=numbered(*features), avgpool=simple("adaptive_avgpool2d", output=[7, 7]),
                      flatten=simple("flatten"),
                      classifier=numbered(linear(25088, 4096), simple("relu"), simple("identity"), linear(4096, 4096),
                                          simple("relu"), simple("identity"), linear(4096, classes)))


def case(name, tree, size, batch=8, every=1, slow=1, folder="zoo_slow", **more):
    """every n: of the states' gradients and values, every n-th is kept. slow 1: too long to be computed in several ways."""
    return {"name": name, "salt": 0, "layer": tree, "x": [batch, 3, size, size], "range": [-2.0, 2.0], "every": every,
            "loss": CE, "slow": slow, "folder": folder, **more}


def named(name, tree, size=64, **more):
    return case(name, tree, size, zoo=name, **more)


def built(name, family, size, tree, options, **more):
    """A net that has options instead of a name."""
    return case(name, tree, size, family=family, options=options, **more)


def published():
    """Every net that rn_zoo_create() knows by name but the tutorial's, which golden_cases.py has."""
    small, quick = {"slow": 0}, {"slow": 0, "folder": "zoo"}
    cases = [named("resnet18", resnet(18), **quick), named("resnet34", resnet(34)), named("resnet50", resnet(50), **small),
             named("resnet101", resnet(101), every=3), named("resnet152", resnet(152), every=3),
             named("plain18", resnet(18, plain=1), **small), named("plain34", resnet(34, plain=1)),
             named("resnet34_a", resnet(34, shortcut="A", zeros_after=1), **small),
             named("resnet34_c", resnet(34, shortcut="C"), **small), named("resnet50_v1", resnet(50, v1=1), **small),
             named("resnet101_v1", resnet(101, v1=1), every=3), named("resnet152_v1", resnet(152, v1=1), every=3),
             named("resnext50_32x4d", resnet(50, groups=32, width_per_group=4), **small),
             named("resnext101_32x8d", resnet(101, groups=32, width_per_group=8), every=3),
             named("resnext101_64x4d", resnet(101, groups=64, width_per_group=4), every=3),
             named("wide_resnet50_2", resnet(50, width_per_group=128)),
             named("wide_resnet101_2", resnet(101, width_per_group=128), every=3),
             named("vgg19", vgg19(0), identities=["classifier.2", "classifier.5"]),
             named("vgg19_bn", vgg19(1), identities=["classifier.2", "classifier.5"]),
             named("cifar_resnet1202", cifar(1202), 32, batch=2, every=61)]
    for depth in (20, 32, 44, 56, 110):
        every = 3 if depth == 110 else 1
        cases.append(named("cifar_resnet%d" % depth, cifar(depth), 32, every=every))
        where = quick if depth == 20 else {}
        cases.append(named("cifar_resnet%d_b" % depth, cifar(depth, shortcut="B"), 32, every=every, **where))
        cases.append(named("cifar_plain%d" % depth, cifar(depth, plain=1), 32, every=every, **where))
    return cases


def combinations():
    """Options that no name stands for."""
    cases, quick = [], {"slow": 0, "folder": "zoo", "batch": 4}
    for family, make, size in (("cifar", lambda **o: cifar(14, width=12, **o), 32),
                               ("resnet", lambda **o: resnet(0, blocks=(2, 1, 2, 1), width=24, classes=10, **o), 64)):
        own = {"depth": 14, "width": 12} if family == "cifar" else {"blocks": [2, 1, 2, 1], "width": 24, "classes": 10}
        for what in ({"shortcut": "A"}, {"shortcut": "A", "zeros_after": 1}, {"shortcut": "B"}, {"shortcut": "C"},
                     {"shortcut": "3x3"}, {"shortcut": "B", "frozen": 1}):
            blocks = ("basic",) if family == "cifar" else ("basic", "bottleneck")
            for kind in blocks:
                options = {**what, **({"block": kind} if family == "resnet" else {})}
                name = "_".join([family, kind, what["shortcut"].lower(), *sorted(set(what) - {"shortcut"})])
                cases.append(built(name, family, size, make(**options), {**own, **options}, **quick))
    for name, options in (("resnet_bottleneck_plain", {"plain": 1}), ("resnet_bottleneck_a_v1", {"shortcut": "A", "v1": 1}),
                          ("resnet_bottleneck_wide_groups", {"groups": 3, "width_per_group": 128})):
        options = {"block": "bottleneck", "width": 24, "classes": 10, **options}
        cases.append(built(name, "resnet", 64, resnet(0, blocks=(2, 1, 2, 1), **options),
                           {"blocks": [2, 1, 2, 1], **options}, **quick))
    return cases
