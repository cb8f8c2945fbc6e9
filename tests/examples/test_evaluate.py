#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_evaluate.py EVALUATE TRAIN_CLASSIFIER: examples/evaluate agrees with what the training program measured."""
import csv
import os
import re
import sys
import unittest
import xml.dom.minidom

from made_up import ProgramCase, write_cifar, write_idx

evaluate, train_classifier = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:3]


class Evaluate(ProgramCase):
    program = evaluate

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(3):
            write_cifar(cls.folder / f"part{i}.bin", 40 * i, 40)
        write_idx(cls.folder, "t10k", 30, pack=True)
        cls.trained = cls.folder / "trained"
        cls.test = ["--dataset", "cifar10", "--test", cls.folder / "part2.bin", "--threads", 1]
        train = cls()
        train.run_it(*cls.test, "--train", f"{cls.folder}/part0.bin,{cls.folder}/part1.bin", "--epochs", 4, "--batch", 20,
                     "--recipe", "cosine", "--set", "flip=0", "--set", "crop_padding=0", "--out", cls.trained,
                     program=train_classifier)
        with open(cls.trained / "history.csv", newline="") as file:
            cls.last = list(csv.DictReader(file))[-1]
        cls.flags = [*cls.test, "--weights", cls.trained / "model.safetensors"]

    def test_agrees_with_the_training(self):
        out = self.folder / "out"
        text = self.run_it(*self.flags, "--recipe", self.trained / "recipe.txt", "--out", out, "--batch", 7).stdout
        top1 = re.search(r"^Top-1 accuracy: ([0-9.]+) % \((\d+) of 40\)$", text, re.MULTILINE)
        top5 = re.search(r"^Top-5 accuracy: ([0-9.]+) % \((\d+) of 40\)$", text, re.MULTILINE)
        loss = re.search(r"^Mean loss: ([0-9.]+)$", text, re.MULTILINE)
        self.assertAlmostEqual(float(top1[1]), 100 * float(self.last["test_accuracy"]), places=2)
        self.assertAlmostEqual(float(loss[1]), float(self.last["test_loss"]), places=3)
        self.assertTrue(int(top1[2]) <= int(top5[2]) <= 40)
        with open(out / "confusion.csv", newline="") as file:
            head, *rows = csv.reader(file)
        self.assertEqual(head[:3], ["true class", "airplane", "automobile"])
        counts = [[int(field) for field in row[1:]] for row in rows]
        self.assertEqual([sum(row) for row in counts], 10 * [4])
        self.assertEqual(sum(counts[i][i] for i in range(10)), int(top1[2]))
        svg = xml.dom.minidom.parse(str(out / "confusion.svg"))
        cells = [rect for rect in svg.getElementsByTagName("rect") if rect.getAttribute("class") in ("right", "wrong")]
        self.assertEqual(len(cells), sum(field > 0 for row in counts for field in row))

        # Another normalisation than the one it was trained with: the answers are others.
        other = self.run_it(*self.flags, "--recipe", "cosine", "--set", "mean=0.9 0.9 0.9", "--set", "std=1 1 1").stdout
        self.assertNotEqual(other.splitlines()[-1], text.splitlines()[-1])

    def test_names(self):
        names = self.folder / "names.txt"
        names.write_text("\n".join('a,b "c"<&' if i == 3 else f"class {i}" for i in range(10)) + "\n\n")
        self.run_it(*self.flags, "--out", self.folder / "named", "--labels", names)
        with open(self.folder / "named" / "confusion.csv", newline="") as file:
            self.assertEqual(next(csv.reader(file))[3:5], ["class 2", 'a,b "c"<&'])
        texts = xml.dom.minidom.parse(str(self.folder / "named" / "confusion.svg")).getElementsByTagName("text")
        self.assertIn('a,b "c"<&', [text.firstChild.data for text in texts])
        names.write_text("one\ntwo\n")
        self.fails(1, "names.txt: expected the names of 10 classes, got 2", *self.flags, "--labels", names)
        names.write_text("\n\n")
        self.fails(1, "names.txt: expected the name of a class on each line", *self.flags, "--labels", names)

    def test_mistakes(self):
        self.assertIn("--weights FILE", self.run_it("--help").stdout)
        self.fails(2, "--weights is missing", *self.test)
        self.fails(2, "--dataset is missing", "--weights", "x")
        self.fails(2, "--data is missing", "--dataset", "cifar10", "--weights", "x")
        self.fails(2, "--dtype: expected fp32, bf16 or fp16, got 'fp8'", *self.flags, "--dtype", "fp8")
        self.fails(2, "unknown flag --weight; did you mean --weights", *self.test, "--weight", "x")
        self.fails(1, "/nowhere/w", *self.test, "--weights", "/nowhere/w")
        self.fails(1, "--classes: expected at least the 10", *self.flags, "--classes", 3)
        self.fails(1, "--weights do not fit cifar_resnet20: .*names missing", *self.flags, "--arch", "cifar_resnet20", lines=13)
        self.fails(1, "--weights do not fit tutorial: .*misshapen", *self.flags, "--classes", 11, lines=3)
        self.fails(1, "--weights do not fit tutorial: ", "--dataset", "fashion-mnist", "--data", self.folder, "--weights",
                   self.trained / "model.safetensors", lines=2)


if __name__ == "__main__":
    unittest.main(verbosity=1)
