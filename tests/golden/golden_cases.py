# SPDX-License-Identifier: MIT
"""The cases of the golden files."""
from golden_nets import (basic_block, batchnorm, cifar_resnet20, conv2d, linear, numbered, option_a, pad_shortcut, pool,
                         projection, residual, sequential, simple, tutorial)

CE = {"kind": "cross_entropy", "smoothing": 0.0}
SMOOTHED = {"kind": "cross_entropy", "smoothing": 0.1}
SOFT = {"kind": "soft_cross_entropy", "smoothing": 0.0}
SOFT_SMOOTHED = {"kind": "soft_cross_entropy", "smoothing": 0.1}
MSE = {"kind": "mse"}


def layer(name, tree, x, low=-1.0, high=1.0, warm=0, infer_only=0, margin=3e-6, **more):
    """warm 1: a forward on other images goes before. infer_only 1: training is random.

    margin: the least distance of a ReLU's input from 0 in training. Nearer ones may end on the other side in float32,
    which changes gradients by far more than rounding does; other numbers are drawn (salt) until all are far enough.
    """
    return {"name": name, "salt": 0, "layer": tree, "x": x, "range": [low, high], "warm": warm,
            "infer_only": infer_only, "margin": margin, **more}


def convolutions():
    return [
        layer("conv_3x3", conv2d(5, 7), [2, 5, 9, 11]),
        layer("conv_3x3_wide", conv2d(16, 16), [3, 16, 16, 16]),
        layer("conv_3x3_deep", conv2d(64, 32), [2, 64, 8, 8]),
        layer("conv_3x3_s2", conv2d(16, 32, stride=2), [2, 16, 13, 12]),
        layer("conv_3x3_image", conv2d(3, 16), [2, 3, 17, 15]),
        layer("conv_3x3_valid", conv2d(4, 6, padding=0), [2, 4, 7, 8]),
        layer("conv_1x1", conv2d(16, 24, 1), [2, 16, 9, 7]),
        layer("conv_1x1_s2", conv2d(16, 32, 1, stride=2), [2, 16, 9, 10]),
        layer("conv_7x7_s2", conv2d(3, 16, 7, stride=2), [2, 3, 21, 18]),
        layer("conv_5x3_oblong", conv2d(6, 8, (5, 3), (1, 2), (2, 0)), [2, 6, 8, 13]),
        layer("conv_dilated", conv2d(8, 8, dilation=2), [2, 8, 11, 10]),
        layer("conv_groups", conv2d(8, 12, groups=4), [2, 8, 9, 9]),
        layer("conv_depthwise", conv2d(10, 10, stride=2, groups=10), [2, 10, 9, 8]),
        layer("conv_bias", conv2d(3, 5, bias=1), [3, 3, 6, 5]),
        layer("conv_groups_dilated_bias", conv2d(6, 9, (3, 2), (2, 1), (1, 2), (1, 3), 3, 1), [2, 6, 10, 9]),
        layer("conv_one_pixel", conv2d(8, 8), [3, 8, 1, 1]),
    ]


def pointwise():
    return [
        layer("batchnorm", batchnorm(6), [3, 6, 5, 7]),
        layer("batchnorm_warm", batchnorm(16), [4, 16, 8, 8], warm=1),
        layer("batchnorm_offset", batchnorm(5), [4, 5, 6, 6], 9.0, 11.0),
        layer("batchnorm_cumulative", batchnorm(7, None), [4, 7, 5, 3], warm=1),
        layer("batchnorm_eps", batchnorm(4, 0.3, 1, 1e-2), [2, 4, 3, 3], warm=1),
        layer("batchnorm_not_affine", batchnorm(6, affine=0), [3, 6, 4, 4]),
        layer("batchnorm_one_pixel", batchnorm(9), [5, 9, 1, 1]),
        layer("batchnorm_frozen", batchnorm(6, frozen=1), [3, 6, 5, 7], warm=1),
        layer("batchnorm_frozen_one", batchnorm(4, affine=0, frozen=1), [1, 4, 1, 1]),
        layer("relu", simple("relu"), [2, 5, 7, 3]),
        layer("relu_flat", simple("relu"), [3, 11]),
        layer("maxpool_3x3_s2", pool("maxpool2d", 3, 2, 1), [2, 6, 9, 10]),
        layer("maxpool_2x2", pool("maxpool2d", 2), [2, 5, 7, 8]),
        layer("maxpool_3x3_s1", pool("maxpool2d", 3, 1, 1), [2, 3, 6, 5]),
        layer("avgpool_2x2", pool("avgpool2d", 2), [2, 5, 8, 7]),
        layer("avgpool_3x3_pad", pool("avgpool2d", 3, 2, 1), [2, 4, 9, 8]),
        layer("avgpool_3x3_exclude", pool("avgpool2d", 3, 2, 1, 1), [2, 4, 9, 8]),
        layer("global_avgpool", simple("global_avgpool2d"), [3, 7, 5, 6]),
        layer("adaptive_avgpool_down", simple("adaptive_avgpool2d", output=[3, 4]), [3, 7, 5, 10]),
        layer("adaptive_avgpool_up", simple("adaptive_avgpool2d", output=[7, 7]), [2, 18, 2, 5]),
        layer("adaptive_avgpool_same", simple("adaptive_avgpool2d", output=[3, 4]), [2, 3, 3, 4]),
        layer("adaptive_avgpool_one", simple("adaptive_avgpool2d", output=[1, 1]), [2, 3, 3, 4]),
        layer("linear", linear(13, 7), [5, 13]),
        layer("linear_no_bias", linear(64, 10, 0), [4, 64]),
        layer("flatten_linear", numbered(simple("flatten"), linear(3 * 4 * 5, 6)), [3, 3, 4, 5]),
        layer("softmax", simple("softmax"), [4, 10], -3.0, 3.0),
        layer("softmax_images", simple("softmax"), [2, 5, 3, 4], -3.0, 3.0),
        layer("dropout_infer", simple("dropout", p=0.4), [3, 4, 5, 5], infer_only=1),
        layer("pad_shortcut_both", pad_shortcut(2, 3, 4), [2, 5, 7, 6]),
        layer("pad_shortcut_after", pad_shortcut(2, 0, 8), [2, 8, 6, 6]),
        layer("pad_shortcut_s1", pad_shortcut(1, 2, 0), [2, 3, 4, 5]),
    ]


def losses():
    flat = simple("identity")
    return [
        layer("cross_entropy", flat, [6, 10], -4.0, 4.0, loss=CE),
        layer("cross_entropy_smoothed", flat, [5, 7], -4.0, 4.0, loss=SMOOTHED),
        layer("cross_entropy_large", flat, [4, 100], -80.0, 80.0, loss=SMOOTHED),
        layer("cross_entropy_soft", flat, [6, 10], -4.0, 4.0, loss=SOFT),
        layer("cross_entropy_soft_smoothed", flat, [5, 7], -4.0, 4.0, loss=SOFT_SMOOTHED),
        layer("mse", flat, [5, 6], loss=MSE),
        layer("mse_images", numbered(conv2d(3, 4)), [2, 3, 5, 6], loss=MSE),
    ]


def bottleneck(inputs, width, outputs, stride):
    main = sequential(conv1=conv2d(inputs, width, 1), bn1=batchnorm(width), relu1=simple("relu"),
                      conv2=conv2d(width, width, stride=stride), bn2=batchnorm(width), relu2=simple("relu"),
                      conv3=conv2d(width, outputs, 1), bn3=batchnorm(outputs))
    return residual(main, projection(inputs, outputs, 1, stride))


def frozen_block(inputs, outputs):
    def norm():
        return batchnorm(outputs, frozen=1)
    main = sequential(conv1=conv2d(inputs, outputs, stride=2), bn1=norm(), relu=simple("relu"),
                      conv2=conv2d(outputs, outputs), bn2=norm())
    return residual(main, numbered(conv2d(inputs, outputs, 1, 2), norm()))


def blocks():
    stem = dict(conv=conv2d(3, 16), bn=batchnorm(16), relu=simple("relu"))
    return [
        layer("block_identity", basic_block(16, 16), [4, 16, 8, 8], warm=1),
        layer("block_no_relu", basic_block(8, 8, relu=0), [3, 8, 7, 6]),
        layer("block_3x3", basic_block(16, 32, 2, projection(16, 32, 3, 2)), [4, 16, 9, 8]),
        layer("block_1x1", basic_block(16, 24, 2, projection(16, 24, 1, 2)), [4, 16, 8, 9]),
        layer("block_option_a", basic_block(16, 32, 2, option_a(16, 32, 2)), [4, 16, 8, 8]),
        layer("block_zeros_after", basic_block(8, 16, 2, pad_shortcut(2, 0, 8)), [3, 8, 7, 7]),
        layer("block_bottleneck", bottleneck(16, 8, 32, 2), [4, 16, 8, 8]),
        layer("block_convs_only", residual(numbered(conv2d(5, 5, bias=1), simple("relu"), conv2d(5, 5))), [2, 5, 6, 7]),
        layer("block_frozen", frozen_block(16, 24), [4, 16, 8, 9], warm=1),
        layer("conv_bias_bn", numbered(conv2d(4, 6), batchnorm(6), simple("relu"), conv2d(6, 5, bias=1)), [3, 4, 6, 6]),
        layer("nested_residual", residual(basic_block(8, 8), relu=1), [3, 8, 6, 6]),
        layer("imagenet_stem", sequential(conv1=conv2d(3, 16, 7, 2), bn1=batchnorm(16), relu=simple("relu"),
                                          maxpool=pool("maxpool2d", 3, 2, 1)), [2, 3, 32, 32]),
        layer("small_net", sequential(**stem, layer1=numbered(basic_block(16, 16), basic_block(16, 16)),
                                      avgpool=simple("global_avgpool2d"), flatten=simple("flatten"),
                                      fc=linear(16, 10)), [4, 3, 12, 12], loss=SMOOTHED),
    ]


def nets():
    return [
        layer("tutorial", tutorial(), [8, 3, 32, 32], 0.0, 1.0, zoo="tutorial", loss=CE),
        layer("cifar_resnet20", cifar_resnet20(), [4, 3, 32, 32], -2.0, 2.0, zoo="cifar_resnet20", loss=CE),
    ]


def layers():
    return convolutions() + pointwise() + losses() + blocks() + nets()


def sgd(lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=0, groups=()):
    return {"kind": "sgd", "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "groups": list(groups)}


def adam(lr, weight_decay=0.0, decoupled=0, groups=()):
    return {"kind": "adam", "lr": lr, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": weight_decay,
            "decoupled": decoupled, "groups": list(groups)}


def group(glob, lr_factor=1.0, weight_decay=0.0):
    return {"glob": glob, "lr_factor": lr_factor, "weight_decay": weight_decay}


def training(name, optimizer, tree=None, x=(6, 3, 8, 8), low=-1.0, high=1.0, steps=10, loss=CE, clip=0.0, margin=1e-5,
             **more):
    small = sequential(conv=conv2d(3, 8), bn=batchnorm(8), relu=simple("relu"), block=basic_block(8, 8),
                       avgpool=simple("global_avgpool2d"), flatten=simple("flatten"), fc=linear(8, 10))
    return {"name": "train_" + name, "salt": 0, "layer": tree or small, "x": list(x), "range": [low, high],
            "steps": steps, "loss": loss, "clip": clip, "optimizer": optimizer, "margin": margin, **more}


def trainings():
    return [
        training("sgd", sgd(0.05)),
        training("momentum", sgd(0.05, 0.9, 0.0, 1e-3), loss=SMOOTHED),
        training("dampening", sgd(0.05, 0.9, 0.5, 1e-3)),
        training("nesterov", sgd(0.05, 0.9, 0.0, 5e-4, 1)),
        training("clipped", sgd(0.1, 0.9, 0.0, 1e-4), clip=0.5),
        training("groups", sgd(0.05, 0.9, 0.0, 1e-2, 1, [group("*bn*"), group("fc.*", 0.1, 1e-3)])),
        training("adam", adam(1e-3)),
        training("adam_decay", adam(1e-3, 1e-2)),
        training("adamw", adam(1e-3, 5e-2, 1)),
        training("adamw_groups", adam(1e-3, 5e-2, 1, [group("*.bias", 2.0, 0.0)])),
        training("mse", sgd(0.02, 0.9), loss=MSE),
        training("vectors", dict(sgd(0.05, 0.9, 0.0, 1e-2, 1, [group("fc.*", 0.5, 5e-3)]), exclude_rank=1)),
        training("ema", sgd(0.05, 0.9), ema={"decay": 0.8, "buffers": 0, "update_bn": 1}),
        training("ema_buffers", sgd(0.05, 0.9), ema={"decay": 0.4, "buffers": 1, "update_bn": 0}),
        training("accumulated", sgd(0.05, 0.9, 0.0, 1e-3), steps=9, accumulate=3, clip=0.5),
        training("soft", sgd(0.02, 0.9, 0.0, 1e-3), loss=SOFT_SMOOTHED),
        # After `split` steps PyTorch's float32 training is also saved as PyTorch does, for check_exchange.c to go on from.
        training("split_sgd", sgd(0.05, 0.9, 0.0, 1e-3, 1, [group("*bn*", 1.0, 0.0)]), steps=15, split=5),
        training("split_adam", adam(1e-3, 1e-2), steps=15, split=5),
        training("split_adamw", adam(1e-3, 5e-2, 1, [group("*.bias", 2.0, 0.0)]), steps=15, split=5),
        training("tutorial_adam_8px", adam(1e-3), tutorial(), (4, 3, 8, 8), 0.0, 1.0, zoo="tutorial", margin=3e-6),
        training("resnet20_sgd_8px", sgd(0.02, 0.9, 0.0, 1e-4), cifar_resnet20(), (4, 3, 8, 8), -2.0, 2.0,
                 zoo="cifar_resnet20", margin=3e-6),
        # At 32 pixels some ReLU always flips within ten steps; PyTorch's own errors say how much that may matter.
        training("tutorial_adam", adam(1e-3), tutorial(), (8, 3, 32, 32), 0.0, 1.0, zoo="tutorial", margin=0),
        training("resnet20_sgd", sgd(0.1, 0.9, 0.0, 1e-4), cifar_resnet20(), (8, 3, 32, 32), -2.0, 2.0,
                 zoo="cifar_resnet20", margin=0),
    ]
