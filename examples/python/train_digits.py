#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Trains a small residual network on digits drawn with NumPy, through resnet.py.

    RESNET_LIBRARY=build/lib/libresnet.so examples/python/train_digits.py [--epochs 6] [--images 2000]
"""
import argparse

import numpy as np

import resnet

# Ten digits, five columns by seven rows.
GLYPHS = """
.###. ..#.. .###. .###. ...#. ##### .###. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... #...# ....# #...# #...#
#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# #...#
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .###.
"""
SIZE = 16


def glyphs():
    rows = [line.split() for line in GLYPHS.split("\n") if line]
    return np.array([[[pixel == "#" for pixel in row[digit]] for row in rows] for digit in range(10)], np.float32)


def draw(count, seed):
    """Digits twice as large, somewhere in the image, of different brightness, under noise."""
    random, shapes = np.random.default_rng(seed), glyphs().repeat(2, axis=1).repeat(2, axis=2)
    labels = random.integers(0, 10, count)
    images = random.normal(0.0, 0.35, (count, 1, SIZE, SIZE)).astype(np.float32)
    height, width = shapes.shape[1:]
    for image, label in zip(images, labels):
        top, left = random.integers(0, SIZE - height + 1), random.integers(0, SIZE - width + 1)
        image[0, top:top + height, left:left + width] += shapes[label] * random.uniform(0.6, 1.2)
    return images, labels


def block(ctx, inputs, outputs, stride):
    main = ctx.sequential(conv1=ctx.conv2d(inputs, outputs, stride=stride), bn1=ctx.batchnorm2d(outputs),
                          relu=ctx.relu(), conv2=ctx.conv2d(outputs, outputs), bn2=ctx.batchnorm2d(outputs))
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = ctx.sequential(ctx.conv2d(inputs, outputs, 1, stride), ctx.batchnorm2d(outputs))
    return ctx.residual(main, shortcut)


def net(ctx):
    return ctx.sequential(conv1=ctx.conv2d(1, 8), bn1=ctx.batchnorm2d(8), relu=ctx.relu(),
                          layer1=block(ctx, 8, 8, 1), layer2=block(ctx, 8, 16, 2), layer3=block(ctx, 16, 32, 2),
                          avgpool=ctx.global_avgpool2d(), flatten=ctx.flatten(), fc=ctx.linear(32, 10))


def evaluate(plan, images, labels, batch):
    for first in range(0, len(images), batch):
        plan.eval_step(images[first:first + batch], labels[first:first + batch])
    metrics = plan.metrics(reset=True)
    return metrics.loss_sum / metrics.count, metrics.correct / metrics.count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--save", metavar="FILE", help="write the weights as safetensors")
    arguments = parser.parse_args()

    train_images, train_labels = draw(arguments.images, arguments.seed)
    test_images, test_labels = draw(500, arguments.seed + 1)
    shape = (arguments.batch, 1, SIZE, SIZE)
    with resnet.Context(threads=arguments.threads, seed=arguments.seed) as ctx:
        model = resnet.Model(net(ctx))
        print("%d parameters, %d training images" % (model.parameter_count(), len(train_images)))
        loss, optimizer = ctx.cross_entropy(), model.adam(lr=3e-3)
        train = resnet.Plan(model, shape, train=True, loss=loss, optimizer=optimizer)
        test = resnet.Plan(model, shape, loss=loss)
        schedule = ctx.schedule("cosine", lr=3e-3, steps=arguments.epochs)
        loader = ctx.array_dataset(train_images, train_labels).loader(arguments.batch, shuffle=True,
                                                                      seed=arguments.seed)
        for epoch in range(arguments.epochs):
            schedule.apply(epoch, optimizer)
            for images, labels in loader:
                train.train_step(images, labels)
            metrics = train.metrics(reset=True)
            test_loss, accuracy = evaluate(test, test_images, test_labels, arguments.batch)
            print("epoch %d: training loss %.4f, test loss %.4f, test accuracy %.1f %%" %
                  (epoch + 1, metrics.loss_sum / metrics.count, test_loss, 100 * accuracy))
        if arguments.save:
            model.save(arguments.save)


if __name__ == "__main__":
    main()
