#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_pictures.py WRITE_JPEGS TRAIN EVALUATE CLASSIFY FINETUNE: a folder of pictures in ImageNet's layout, from training
to answers."""
import csv
import os
import re
import struct
import subprocess
import sys
import unittest
import zlib

from made_up import ProgramCase

write_jpegs, train_classifier, evaluate, classify, finetune = map(os.path.abspath, sys.argv[1:6])
del sys.argv[1:6]
COLORS = {"brick": (190, 70, 50), "grass": (60, 160, 60), "sea, deep": (40, 80, 170)}


def pixels(color, width, height, seed):
    """A colour under noise and a gradient."""
    noise = [(seed * 7919 + i * 104729 + i * i % 61) % 41 - 20 for i in range(width)]
    return bytes(min(255, max(0, c + noise[(x * 3 + y * 5) % width] + 20 * y // height)) for y in range(height)
                 for x in range(width) for c in color)


def png(width, height, data):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    rows = b"".join(b"\0" + data[3 * width * y:3 * width * (y + 1)] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Pictures(ProgramCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data, jpegs = cls.folder / "data", []
        for split, count in ("train", 8), ("val", 4):
            for name, color in COLORS.items():
                folder = cls.data / split / name
                folder.mkdir(parents=True)
                for i in range(count):
                    width, height = 44 + 9 * (i % 3), 40 + 11 * (i % 2)
                    data = pixels(color, width, height, i + 100 * len(split))
                    if i == 1:
                        (folder / f"{i}.PNG").write_bytes(png(width, height, data))
                    else:
                        jpegs.append(f"{width} {height} {folder}/{i}.jpeg\n".encode() + data)
        subprocess.run([write_jpegs], input=b"".join(jpegs), check=True)
        cls.sizes = ["--set", "size=32", "--set", "short_side_test=36"]
        cls.out = cls.folder / "trained"
        cls.flags = ["--dataset", "folder", "--data", cls.data, "--threads", 1]
        cls().run_it(*cls.flags, *cls.sizes, "--recipe", "imagenet", "--arch", "tutorial", "--epochs", 8, "--lr", 0.01,
                     "--batch", 8, "--out", cls.out, "--workers", 2, program=train_classifier)
        cls.net = ["--arch", "tutorial", "--weights", cls.out / "model.safetensors", "--recipe", cls.out / "recipe.txt",
                   "--threads", 1]
        with open(cls.out / "history.csv", newline="") as file:
            cls.accuracy = float(list(csv.DictReader(file))[-1]["test_accuracy"])

    def top1(self, *flags):
        done = self.run_it(*self.flags, *self.net, *flags, program=evaluate)
        return float(re.search(r"^Top-1 accuracy: ([0-9.]+) %", done.stdout, re.MULTILINE)[1]), done.stdout

    def test_learns(self):
        self.assertGreater(self.accuracy, 0.8)
        self.assertEqual((self.out / "labels.txt").read_text().splitlines(), sorted(COLORS))

    def test_evaluates(self):
        top1, text = self.top1("--out", self.folder / "evaluated", "--batch", 5)
        self.assertAlmostEqual(top1, 100 * self.accuracy, places=2)
        self.assertNotIn("Top-5", text)
        with open(self.folder / "evaluated" / "confusion.csv", newline="") as file:
            self.assertEqual(next(csv.reader(file))[1:], sorted(COLORS))

    def test_ten_crops_and_scales(self):
        losses = set()
        for flags in [], ["--ten-crop"], ["--scales", "32,40"], ["--scales", "48,36", "--ten-crop", "--batch", 3]:
            top1, text = self.top1(*flags)
            self.assertGreater(top1, 80)
            losses.add(text.splitlines()[-1])
        self.assertEqual(len(losses), 4, losses)
        # The recipe's own short side, ten crops or the middle, named or not.
        self.assertEqual(self.top1("--ten-crop")[1], self.top1("--ten-crop", "--scales", 36)[1])
        self.assertEqual(self.top1("--scales", "36,36,36")[1], self.top1("--scales", 36)[1])
        for flags, message in ((["--scales", "x"], "--scales: expected whole numbers from 1 to 4096, got 'x'"),
                               (["--scales", "20", "--ten-crop"], "--scales: expected whole numbers from 32")):
            done = self.run_it(*self.flags, *self.net, *flags, program=evaluate, status=2)
            self.assertIn(message, done.stderr)

    def test_classifies(self):
        flags = [*self.net, "--labels", self.out / "labels.txt"]
        one = self.data / "val" / "grass" / "1.PNG"
        lines = self.run_it(*flags, one, program=classify).stdout.splitlines()
        self.assertEqual((len(lines), lines[0]), (4, str(one)))
        shares = [re.fullmatch(r" +([0-9.]+) %  (.+)", line).groups() for line in lines[1:]]
        self.assertEqual({name for _, name in shares}, set(COLORS))
        self.assertAlmostEqual(sum(float(share) for share, _ in shares), 100, places=1)
        self.assertTrue(float(shares[0][0]) >= float(shares[1][0]) >= float(shares[2][0]))

        # A folder, in batches of another size, and the same files as a list: the same answers, as evaluate counts them.
        folder = self.run_it(*flags, "--batch", 5, "--top", 1, self.data / "val", program=classify).stdout
        paths = sorted(str(path) for path in (self.data / "val").rglob("*") if path.is_file())
        listed = self.run_it(*flags, "--top", 1, "-", program=classify, text="\n".join(paths) + "\n").stdout
        self.assertEqual(folder, listed)
        lines = folder.splitlines()
        self.assertEqual(lines[::2], paths)
        right = sum(path.split("/")[-2] == answer.split("%  ")[1] for path, answer in zip(lines[::2], lines[1::2]))
        self.assertAlmostEqual(right / 12, self.accuracy)
        numbers = self.run_it(*self.net, "--classes", 3, "--top", 1, one, program=classify).stdout
        self.assertRegex(numbers, r"%  class \d\n$")

    def test_broken_pictures(self):
        text = self.folder / "text.jpg"
        text.write_text("no picture")
        one = self.data / "val" / "grass" / "2.jpeg"
        done = self.run_it(*self.net, "--classes", 3, text, one, "/nowhere.png", program=classify, status=1)
        self.assertEqual(len(done.stdout.splitlines()), 4)
        self.assertRegex(done.stderr, "(?s)classify: .*text.jpg: .*classify: /nowhere.png: .*2 of 3 pictures could not be read")

        broken = self.folder / "broken"
        for name in COLORS:
            (broken / name).mkdir(parents=True)
            (broken / name / "a.jpeg").write_bytes((self.data / "val" / name / "0.jpeg").read_bytes())
        (broken / "grass" / "b.jpg").write_bytes(one.read_bytes()[:200])
        done = self.run_it(*self.flags, *self.net, "--test", broken, program=evaluate, status=1)
        self.assertIn("grass/b.jpg", done.stderr)
        done = self.run_it(*self.flags, *self.net, "--test", broken, "--skip-broken", program=evaluate)
        self.assertIn("of 3)", done.stdout)

        # Training goes on without them, also when what is left is mixed.
        flags = ["--recipe", "imagenet", "--arch", "tutorial", "--epochs", 1, "--batch", 3, *self.sizes, "--train", broken]
        for mix in [], ["--set", "mixup=1"]:
            done = self.run_it(*self.flags, *flags, *mix, "--skip-broken", "--out", self.folder / "some",
                               program=train_classifier)
            self.assertRegex(done.stdout, r"Step \[2/2\] Loss: [0-9.]+\n")
        self.run_it(*self.flags, *flags, "--out", self.folder / "some", program=train_classifier, status=1)
        done = self.run_it(*self.flags, *flags, "--skip-broken", "--batch", 1, "--out", self.folder / "some",
                           program=train_classifier)
        self.assertRegex(done.stdout, r"Step \[4/4\] Loss: [0-9.]+\n")
        for name in COLORS:
            (broken / name / "a.jpeg").write_text("no picture")
        for program, more in (train_classifier, flags), (finetune, [*self.net, "--train", broken]), (
                evaluate, [*self.net, "--test", broken]):
            done = self.run_it(*self.flags, *more, "--skip-broken", "--out", self.folder / "some", program=program, status=1)
            self.assertRegex(done.stderr, "none of the (training|test) images can be read")

    def test_fine_tunes(self):
        done = self.run_it(*self.flags, *self.net, "--epochs", 2, "--freeze", "*", "--batch", 8, "--out",
                           self.folder / "tuned", program=finetune)
        self.assertRegex(done.stdout, r"Epoch \[2/2\] Loss: ")

    def test_mistakes(self):
        for program, flags, status, message in (
                (train_classifier, ["--dataset", "folder"], 2, "--data is missing: the folder with train"),
                (train_classifier, ["--dataset", "folder", "--data", "/nowhere"], 1, "/nowhere/train"),
                (train_classifier, [*self.flags, "--set", "validation=3"], 1, "validation: expected 0 for folders"),
                (classify, [], 2, "--weights is missing"),
                (classify, ["--weights", "x"], 2, "a picture is missing"),
                (classify, ["--weights", "x", "--dataset", "y", "z"], 2, "--dataset: expected"),
                (classify, ["--weights", "x", self.folder / "trained"], 1, "there is no picture to look at"),
                (classify, [*self.net, "x.jpg"], 1, "--weights do not fit tutorial: .*misshapen")):
            done = self.run_it(*flags, program=program, status=status)
            self.assertRegex(done.stderr, message)
        self.assertIn("usage: classify", self.run_it("--help", program=classify).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=1)
