# SPDX-License-Identifier: MIT
"""The networks of the zoo in PyTorch, for compare_pytorch.py: the tutorial's, the CIFAR ResNets and the ImageNet ResNets."""


def block(nn, inputs, outputs, stride, shortcut):
    """Two 3x3 convolutions. shortcut: "3x3" or "1x1" for a projection where shapes change, "pad" for zero channels."""
    changes = stride != 1 or inputs != outputs

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.shortcut = None
            if changes and shortcut != "pad":
                kernel = 3 if shortcut == "3x3" else 1
                self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
                                              nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            if self.shortcut is not None:
                x = self.shortcut(x)
            elif changes:
                pad = (outputs - inputs) // 2
                x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, pad, pad))
            return self.relu(y + x)

    return Block()


def bottleneck(nn, inputs, width, stride):
    """1x1, 3x3 with the stride, 1x1 to four times the width."""
    outputs = 4 * width

    class Bottleneck(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    return Bottleneck()


def cifar(nn, blocks, shortcut):
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    inputs = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(blocks):
            layers.append(block(nn, inputs, outputs, stride if i == 0 else 1, shortcut))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def imagenet(nn, depth):
    blocks, is_bottleneck = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}[depth]
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            layers.append(bottleneck(nn, inputs, width, stride) if is_bottleneck
                          else block(nn, inputs, width, stride, "1x1"))
            inputs = 4 * width if is_bottleneck else width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def build(torch, arch):
    if arch == "tutorial":
        return cifar(torch.nn, 2, "3x3")
    if arch.startswith("cifar_resnet"):
        return cifar(torch.nn, (int(arch[len("cifar_resnet"):]) - 2) // 6, "pad")
    if arch in ("resnet18", "resnet34", "resnet50"):
        return imagenet(torch.nn, int(arch[len("resnet"):]))
    raise SystemExit(f"no PyTorch model for {arch}: tutorial, cifar_resnetN, resnet18, resnet34 or resnet50 expected")
