#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_train_classifier.py PROGRAM: the command line of examples/train_classifier on small made-up images."""
import csv
import gzip
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom
import zipfile

program = os.path.abspath(sys.argv.pop(1))
step_line = re.compile(r"Epoch \[(\d+)/(\d+)\], Step \[(\d+)/(\d+)\] Loss: \d+\.\d{4}")
last_line = re.compile(r"Accuracy of the model on the test images: (\d+\.\d\d) %")
columns = "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_second"


def pixels(label, n, count):
    """Brightness tells the class; the rest is noise that depends on n alone."""
    return bytes((20 * label + (n * 7919 + i * 104729) % 53) % 256 for i in range(count))


def write_cifar(path, first, count):
    path.write_bytes(b"".join(bytes([n % 10]) + pixels(n % 10, n, 3072) for n in range(first, first + count)))


def write_idx(folder, split, count, pack):
    images = struct.pack(">IIII", 0x803, count, 28, 28) + b"".join(pixels(n % 10, n, 784) for n in range(count))
    labels = struct.pack(">II", 0x801, count) + bytes(n % 10 for n in range(count))
    for kind, data in ("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels):
        if pack:
            (folder / f"{split}-{kind}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{split}-{kind}").write_bytes(data)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for i in range(3):
            write_cifar(cls.folder / f"part{i}.bin", 40 * i, 40)
        write_idx(cls.folder, "train", 50, pack=True)
        write_idx(cls.folder, "t10k", 30, pack=False)
        cls.cifar = ["--dataset", "cifar10", "--train", f"{cls.folder}/part0.bin,{cls.folder}/part1.bin",
                     "--test", f"{cls.folder}/part2.bin", "--threads", "1"]

    def setUp(self):
        self.out = self.folder / self.id().rsplit(".", 1)[1]

    def run_it(self, *flags, status=0):
        done = subprocess.run([program, *map(str, flags)], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def fails(self, status, message, *flags):
        done = self.run_it(*flags, status=status)
        self.assertRegex(done.stderr, message)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")

    def history(self, out=None):
        """Rows without what a clock says."""
        with open((out or self.out) / "history.csv", newline="") as file:
            self.assertEqual(file.readline(), columns + "\n")
            return [row[:6] for row in csv.reader(file)]

    def weights(self, out=None):
        return ((out or self.out) / "model.safetensors").read_bytes()


class CommandLine(Case):
    def test_information(self):
        self.assertIn("--limit-test N", self.run_it("--help").stdout)
        archs = self.run_it("--list-archs").stdout.split()
        self.assertIn("tutorial", archs)
        self.assertIn("cifar_plain110", archs)

    def test_mistakes(self):
        self.fails(2, r"unknown flag --epoch; did you mean --epochs\?", *self.cifar, "--epoch", 3)
        self.fails(2, r"unknown flag --limit-tests; did you mean --limit-test\?", "--limit-tests=3")
        self.fails(2, "unknown flag --frobnicate; --help", "--frobnicate")
        self.fails(2, "unexpected argument 'train'", "train")
        self.fails(2, "--dataset is missing")
        self.fails(2, "--dataset: expected fashion-mnist or cifar10, got 'mnist'", "--dataset", "mnist")
        self.fails(2, "--data is missing", "--dataset", "cifar10", "--test", "x")
        self.fails(2, "--train and --test name CIFAR-10 files", "--dataset", "fashion-mnist", "--test", "x")
        self.fails(2, "--recipe: expected tutorial, paper or cosine, got 'x'", *self.cifar, "--recipe", "x")
        self.fails(2, "--epochs: a value is missing", *self.cifar, "--epochs")
        self.fails(2, "--epochs: a value is missing", *self.cifar, "--epochs=")
        self.fails(2, "--epochs: expected a whole number from 1 to 2147483647, got '3x'", *self.cifar, "--epochs", "3x")
        self.fails(2, "--batch: expected a whole number", *self.cifar, "--batch", "0")
        self.fails(2, "--lr: expected a number above 0, got '-1'", *self.cifar, "--lr", "-1")
        self.fails(2, "--lr: expected a number above 0, got 'nan'", *self.cifar, "--lr", "nan")
        self.fails(2, "--seed: expected a whole number", *self.cifar, "--seed", "-1")
        self.fails(2, "--resume takes no value", *self.cifar, "--resume=1")

    def test_bad_places(self):
        (self.folder / "file").write_text("")
        self.fails(1, "--out .*/file/below: the folder cannot be made", "--dataset", "cifar10", "--data", "/nowhere",
                   "--out", self.folder / "file/below/deeper")
        self.fails(1, "/nowhere/data_batch_1.bin", "--dataset", "cifar10", "--data", "/nowhere", "--out", self.out)
        self.fails(1, "there is no net 'resnet20'", *self.cifar, "--out", self.out, "--arch", "resnet20")
        self.fails(1, "cuda:99", *self.cifar, "--out", self.out, "--device", "cuda:99")
        short = self.folder / "short.bin"
        short.write_bytes((self.folder / "part0.bin").read_bytes()[:-1])
        self.fails(1, "short.bin: expected a multiple of 3073 bytes", "--dataset", "cifar10", "--train", short,
                   "--test", short, "--out", self.out)


class Files(Case):
    def test_what_is_printed_and_written(self):
        done = self.run_it(*self.cifar, "--out", self.out, "--epochs", 3, "--batch", 30, "--seed", 5)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 4)
        for i, line in enumerate(lines[:3]):
            self.assertRegex(line, step_line)
            self.assertEqual(step_line.fullmatch(line).groups(), (str(i + 1), "3", "3", "3"))
        accuracy = last_line.fullmatch(lines[3])
        rows = self.history()
        self.assertEqual([row[0] for row in rows], ["1", "2", "3"])
        self.assertAlmostEqual(float(rows[2][5]) * 100, float(accuracy[1]), places=2)
        self.assertEqual(rows[0][1], "0.001")
        self.assertNotIn("images/s", done.stderr)
        self.assertEqual(sorted(os.listdir(self.out)),
                         ["checkpoint.safetensors", "history.csv", "learning-curve.svg", "model.safetensors"])
        svg = xml.dom.minidom.parse(str(self.out / "learning-curve.svg"))
        self.assertEqual(len(svg.getElementsByTagName("polyline")), 4)
        weights = self.weights()
        names = json.loads(weights[8:8 + struct.unpack("<Q", weights[:8])[0]])
        self.assertEqual(names["conv.weight"]["shape"], [16, 3, 3, 3])
        self.assertEqual(len([name for name in names if name != "__metadata__"]), 92)

    def test_weights_to_pytorch_and_back(self):
        file, again = self.folder / "weights.ckpt", self.folder / "weights.safetensors"
        flags = [*self.cifar, "--epochs", 1, "--batch", 40, "--limit-train", 40]
        self.run_it(*flags, "--out", self.out, "--export", file)
        with zipfile.ZipFile(file) as archive:
            self.assertIsNone(archive.testzip())
            self.assertEqual(len([name for name in archive.namelist() if "/data/" in name]), 92)
        self.run_it(*flags, "--lr", 1e-30, "--out", self.folder / "again", "--weights", file, "--export", again)
        first, second = map(self.tensors, (self.out / "model.safetensors", again))
        self.assertEqual(first["fc.weight"], second["fc.weight"])
        self.assertEqual(first["layer2.0.downsample.0.weight"], second["layer2.0.downsample.0.weight"])
        self.fails(1, "--weights: .*weights.ckpt: 42 names missing, 18 unexpected", *self.cifar, "--out", self.out, "--arch",
                   "cifar_resnet20", "--weights", file)

    @staticmethod
    def tensors(path):
        whole = path.read_bytes()
        begin = 8 + struct.unpack("<Q", whole[:8])[0]
        header = json.loads(whole[8:begin])
        return {name: whole[begin + entry["data_offsets"][0]:begin + entry["data_offsets"][1]]
                for name, entry in header.items() if name != "__metadata__"}

    def test_a_line_every_100_steps(self):
        done = self.run_it("--dataset", "fashion-mnist", "--data", self.folder, "--out", self.out, "--epochs", 1,
                           "--batch", 1, "--limit-test", 7, "--threads", 1)
        self.assertEqual([step_line.fullmatch(line)[3] for line in done.stdout.splitlines()[:-1]], ["50"])
        more = ",".join(f"{self.folder}/part{i}.bin" for i in (0, 1, 2))
        done = self.run_it(*self.cifar, "--train", more, "--out", self.out, "--epochs", 1, "--batch", 1)
        self.assertEqual([step_line.fullmatch(line)[3] for line in done.stdout.splitlines()[:-1]], ["100", "120"])

    def test_a_bar_on_a_terminal(self):
        master, slave = pty.openpty()
        with subprocess.Popen([program, *self.cifar, "--out", self.out, "--epochs", "1", "--batch", "10"],
                              stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm"}) as child:
            os.close(slave)
            seen = b""
            try:
                while chunk := os.read(master, 4096):
                    seen += chunk
            except OSError:  # the terminal is gone
                pass
            self.assertNotIn(b"images/s", child.stdout.read())
        os.close(master)
        self.assertEqual(child.returncode, 0)
        self.assertRegex(seen, rb"\repoch 1/1 \[#+\.*\] +\d+ %  \d+ images/s  \d+:\d\d left, \d+:\d\d in all")

    def test_recipes(self):
        self.run_it(*self.cifar, "--out", self.out, "--recipe", "cosine", "--epochs", 2, "--batch", 10)
        rates = [float(row[1]) for row in self.history()]
        self.assertTrue(0.04 < rates[0] < 0.07 and 0 < rates[1] < 0.002, rates)
        self.run_it(*self.cifar, "--out", self.out, "--recipe", "paper", "--epochs", 4, "--batch", 10)
        rates = [float(row[1]) for row in self.history()]
        for rate, expected in zip(rates, [0.1, 0.1, 0.01, 0.001]):
            self.assertAlmostEqual(rate, expected, places=9)
        self.run_it(*self.cifar, "--out", self.out, "--epochs", 1, "--batch", 10, "--lr", 0.25)
        self.assertEqual(self.history()[0][1], "0.25")


class Resume(Case):
    flags = ["--batch", "2", "--recipe", "cosine", "--epochs", "3", "--limit-test", "20"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cifar = ["--dataset", "cifar10", "--threads", "1", "--test", f"{cls.folder}/part2.bin", "--train",
                     ",".join(f"{cls.folder}/part{i}.bin" for i in (0, 1, 2, 0, 1, 2))]

    def interrupt(self, number, *more):
        """Starts a training and interrupts it after its first line."""
        with subprocess.Popen([program, *self.cifar, *self.flags, "--out", str(self.out), *more], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            line = child.stdout.readline()
            child.send_signal(number)
            _, messages = child.communicate(timeout=600)
        self.assertEqual(child.returncode, 130, messages)
        self.assertRegex(messages, "interrupted; .*checkpoint.safetensors is saved")
        return line

    def test_goes_on_exactly(self):
        whole = self.folder / "whole"
        self.run_it(*self.cifar, *self.flags, "--out", whole)
        self.assertEqual(step_line.fullmatch(self.interrupt(signal.SIGINT).strip()).groups(), ("1", "3", "100", "120"))
        with open(self.out / "history.csv", "a") as file:
            file.write("1,9,9,9,9,9,9,9\n2,9,9,9,9,9,9,9\nnonsense\n")
        self.interrupt(signal.SIGTERM, "--resume")
        done = self.run_it(*self.cifar, *self.flags, "--out", self.out, "--resume")
        self.assertRegex(done.stderr, r"going on after step \d+ of epoch [12]")
        self.assertEqual(self.history(), self.history(whole))
        self.assertEqual(self.weights(), self.weights(whole))
        again = self.run_it(*self.cifar, *self.flags, "--out", self.out, "--resume")
        self.assertEqual(again.stdout, done.stdout.splitlines()[-1] + "\n")

    def test_more_epochs(self):
        flags = [*self.cifar, "--batch", "40", "--limit-test", "20", "--out"]
        whole = self.folder / "whole-tutorial"
        self.run_it(*flags, whole, "--epochs", 4)
        self.run_it(*flags, self.out, "--epochs", 2)
        self.run_it(*flags, self.out, "--epochs", 4, "--resume")
        self.assertEqual(self.history(), self.history(whole))
        self.assertEqual(self.weights(), self.weights(whole))

    def test_of_another_training(self):
        flags = [*self.cifar, "--limit-test", "20", "--epochs", "1", "--out", self.out]
        self.assertRegex(self.run_it(*flags, "--resume", status=1).stderr, "--resume: .*checkpoint.safetensors")
        self.run_it(*flags, "--batch", 40)
        before = (self.out / "history.csv").read_bytes()
        self.assertRegex(self.run_it(*flags, "--resume", "--batch", 20, status=1).stderr, "--resume: .*batch")
        self.assertRegex(self.run_it(*flags, "--resume", "--batch", 40, "--seed", 3, status=1).stderr, "--resume: .*seed")
        self.assertEqual((self.out / "history.csv").read_bytes(), before)

    def test_loss_not_finite(self):
        flags = [*self.cifar, "--limit-test", "20", "--batch", "40", "--out", self.out]
        self.run_it(*flags, "--epochs", 1)
        checkpoint = (self.out / "checkpoint.safetensors").read_bytes()
        done = self.run_it(*flags, "--epochs", 2, "--lr", "1e30", status=1)
        self.assertRegex(done.stderr, r"the loss is not finite \(epoch 1, .*learning rate 1e\+30\)")
        self.assertEqual((self.out / "checkpoint.safetensors").read_bytes(), checkpoint)


if __name__ == "__main__":
    unittest.main(verbosity=1)
