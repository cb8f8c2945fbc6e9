#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_finetune.py FINETUNE TRAIN_CLASSIFIER: examples/finetune keeps what is to be kept and learns the rest."""
import os
import re
import sys
import unittest

from made_up import ProgramCase, safetensors, write_idx

finetune, train_classifier = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:3]
line = re.compile(r"Epoch \[(\d)/(\d)\] Loss: \d+\.\d{4}, training accuracy \d+\.\d\d %, test accuracy \d+\.\d\d %")


class Finetune(ProgramCase):
    program = finetune

    @classmethod
    def setUpClass(cls):
        """Ten classes to start from, seven to go to."""
        super().setUpClass()
        write_idx(cls.folder, "train", 30, pack=True)
        write_idx(cls.folder, "t10k", 30, pack=True)
        trained = cls.folder / "trained"
        cls().run_it("--dataset", "fashion-mnist", "--data", cls.folder, "--limit-train", 30, "--epochs", 2, "--batch", 10,
                     "--out", trained, "--threads", 1, program=train_classifier)
        cls.weights = trained / "model.safetensors"
        for split in "train", "t10k":
            write_idx(cls.folder, split, 7, pack=True)
        cls.flags = ["--dataset", "fashion-mnist", "--data", cls.folder, "--weights", cls.weights, "--threads", 1, "--batch", 5,
                     "--epochs", 2, "--out", cls.folder / "out"]

    def differing(self, *flags):
        """Names of weights that are others than those it started from, and its lines."""
        done = self.run_it(*self.flags, *flags)
        before, after = safetensors(self.weights), safetensors(self.folder / "out" / "model.safetensors")
        self.assertEqual(before.keys(), after.keys())
        return {name for name in before if before[name] != after[name]}, done

    def test_head_is_new(self):
        names, done = self.differing()
        self.assertEqual(len([line.fullmatch(text) for text in done.stdout.splitlines()[:-1]]), 2)
        self.assertIn("out/model.safetensors", done.stdout.splitlines()[-1])
        self.assertRegex(done.stderr, r"tutorial, (\d+) of \1 parameters are trained, 7 classes")
        self.assertEqual(safetensors(self.folder / "out" / "model.safetensors")["fc.weight"][0], [7, 64])
        self.assertTrue({"conv.weight", "layer3.1.conv2.weight", "fc.weight", "fc.bias"} <= names)

    def test_frozen_layers_stay(self):
        names, _ = self.differing("--freeze", "conv.*,bn.*,layer1.*")
        learned = {name for name in names if not re.search("running_|num_batches", name)}
        self.assertFalse([name for name in learned if re.match(r"(conv|bn|layer1)\.", name)], learned)
        self.assertIn("layer2.0.conv1.weight", learned)
        names, done = self.differing("--freeze", "*")
        self.assertEqual({name for name in names if not re.search("running_|num_batches", name)}, {"fc.weight", "fc.bias"})
        self.assertIn("455 of ", done.stderr)

    def test_groups(self):
        """With next to no rate for the body, what is learned is the head."""
        names, _ = self.differing("--body-lr", "1e-30")
        self.assertEqual({name for name in names if not re.search("running_|num_batches", name)}, {"fc.weight", "fc.bias"})

    def test_mistakes(self):
        self.assertIn("--freeze GLOB,GLOB", self.run_it("--help").stdout)
        self.fails(2, "--weights is missing", "--dataset", "fashion-mnist")
        self.fails(1, "--freeze: .*no parameter matches 'layer9.*'", *self.flags, "--freeze", "layer9.*")
        self.fails(1, "--head: tutorial has no layer 'classifier'", *self.flags, "--head", "classifier")
        self.fails(1, "--weights do not fit tutorial: .*/nowhere", *self.flags, "--weights", "/nowhere")
        self.fails(1, "--weights do not fit cifar_resnet20", *self.flags, "--arch", "cifar_resnet20", lines=13)
        self.fails(2, "unexpected argument 'x'", *self.flags, "x")


if __name__ == "__main__":
    unittest.main(verbosity=1)
