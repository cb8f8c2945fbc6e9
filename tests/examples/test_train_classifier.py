#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_train_classifier.py PROGRAM: the command line of examples/train_classifier on small made-up images."""
import csv
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import unittest
import xml.dom.minidom
import zipfile

from made_up import ProgramCase, write_cifar, write_idx

program = os.path.abspath(sys.argv.pop(1))
step_line = re.compile(r"Epoch \[(\d+)/(\d+)\], Step \[(\d+)/(\d+)\] Loss: \d+\.\d{4}")
last_line = re.compile(r"Accuracy of the model on the test images: (\d+\.\d\d) %")
columns = ("epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_second,"
           "validation_loss,validation_accuracy")


class Case(ProgramCase):
    program = program

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for i in range(3):
            write_cifar(cls.folder / f"part{i}.bin", 40 * i, 40)
        write_idx(cls.folder, "train", 50, pack=True)
        write_idx(cls.folder, "t10k", 30, pack=False)
        cls.cifar = ["--dataset", "cifar10", "--train", f"{cls.folder}/part0.bin,{cls.folder}/part1.bin",
                     "--test", f"{cls.folder}/part2.bin", "--threads", "1"]

    def setUp(self):
        self.out = self.folder / self.id().rsplit(".", 1)[1]

    def history(self, out=None):
        """Rows without what a clock says."""
        with open((out or self.out) / "history.csv", newline="") as file:
            self.assertEqual(file.readline(), columns + "\n")
            return [row[:6] for row in csv.reader(file)]

    def rates(self):
        return [float(row[1]) for row in self.history()]

    def near(self, values, expected):
        self.assertEqual(len(values), len(expected))
        for value, wanted in zip(values, expected):
            self.assertAlmostEqual(value, wanted, places=7)

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
        self.fails(2, "--dataset: expected fashion-mnist, cifar10, cifar100 or folder, got 'mnist'", "--dataset", "mnist")
        self.fails(2, "--data is missing", "--dataset", "cifar10", "--test", "x")
        self.fails(2, "--train and --test name CIFAR files or folders", "--dataset", "fashion-mnist", "--test", "x")
        self.fails(2, "--recipe: expected tutorial, paper, .*, fast or a file, got 'x'", *self.cifar, "--recipe", "x")
        self.fails(2, "--epochs and --iterations both", *self.cifar, "--epochs", 3, "--iterations", 3)
        self.fails(2, "--memory-limit: expected a number of bytes like 800M or 4G", *self.cifar, "--memory-limit", "much")
        self.fails(2, "--epochs: a value is missing", *self.cifar, "--epochs")
        self.fails(2, "--epochs: a value is missing", *self.cifar, "--epochs=")
        self.fails(2, "--epochs: expected a whole number from 1 to 2147483647, got '3x'", *self.cifar, "--epochs", "3x")
        self.fails(2, "--batch: expected a whole number", *self.cifar, "--batch", "0")
        self.fails(2, "--lr: expected a number above 0, got '-1'", *self.cifar, "--lr", "-1")
        self.fails(2, "--lr: expected a number above 0, got 'nan'", *self.cifar, "--lr", "nan")
        self.fails(2, "--seed: expected a whole number", *self.cifar, "--seed", "-1")
        self.fails(2, "--resume takes no value", *self.cifar, "--resume=1")
        self.fails(2, "--residency: expected auto, host or device, got 'gpu'", *self.cifar, "--residency", "gpu")
        self.fails(1, "options.residency: batches are mixed on the host only", *self.cifar, "--residency", "device",
                   "--set", "mixup=1", "--out", self.out)

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
                         ["checkpoint.safetensors", "history.csv", "labels.txt", "learning-curve.svg", "model.safetensors",
                          "recipe.txt"])
        self.assertEqual((self.out / "labels.txt").read_text().splitlines()[::9], ["airplane", "truck"])
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
        self.fails(1, "--weights do not fit cifar_resnet20: .*weights.ckpt: 42 names missing, 18 unexpected", *self.cifar, "--out",
                   self.out, "--arch", "cifar_resnet20", "--weights", file, lines=13)

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

    def test_named_recipes(self):
        self.run_it(*self.cifar, "--out", self.out, "--recipe", "cosine", "--epochs", 2, "--batch", 10)
        rates = self.rates()
        self.assertTrue(0.04 < rates[0] < 0.07 and 0 < rates[1] < 0.002, rates)
        self.run_it(*self.cifar, "--out", self.out, "--recipe", "paper", "--epochs", 4, "--batch", 10)
        self.near(self.rates(), [0.1, 0.1, 0.01, 0.001])
        self.run_it(*self.cifar, "--out", self.out, "--epochs", 1, "--batch", 10, "--lr", 0.25)
        self.assertEqual(self.history()[0][1], "0.25")

    def test_iterations(self):
        done = self.run_it(*self.cifar, "--out", self.out, "--recipe", "paper", "--iterations", 20, "--batch", 10)
        self.assertEqual([step_line.fullmatch(line)[3] for line in done.stdout.splitlines()[:-1]], ["8", "8", "4"])
        self.near(self.rates(), [0.1, 0.001, 0.001])  # falls at 10 and 15

    def test_warm_up(self):
        flags = [*self.cifar, "--out", self.out, "--recipe", "paper", "--batch", 10, "--limit-train", 20, "--iterations"]
        own = ["--set", "warmup_error=0", "--set", "warmup=0.5", "--set", "milestones=none"]
        self.run_it(*flags, 4, "--arch", "cifar_resnet110", *own, "--set", "warmup_shape=constant")
        self.near(self.rates(), [0.01, 0.1])
        self.run_it(*flags, 4, "--arch", "cifar_resnet20", *own)
        self.near(self.rates(), [0.1, 0.1])
        self.run_it(*flags, 8, "--set", "warmup_error=0", "--set", "warmup_depth=0", "--set", "warmup_shape=linear", "--set",
                    "warmup=0.5", "--set", "schedule=constant")
        self.near(self.rates(), [0.1 * (0.1 + 0.9 * 1 / 4), 0.1 * (0.1 + 0.9 * 3 / 4), 0.1, 0.1])

    def test_warm_up_until_an_error(self):
        """Looked at after every 20th step: at once below 100 %, never below 0.1 %."""
        flags = [*self.cifar, "--out", self.out, "--recipe", "paper", "--batch", 4, "--epochs", 2, "--set", "warmup_depth=0",
                 "--set", "milestones=none", "--lr", 0.01]
        self.run_it(*flags, "--set", "warmup_error=1")
        self.near(self.rates(), [0.001, 0.01])
        self.run_it(*flags, "--set", "warmup_error=0.001", "--set", "label_smoothing=0.9")
        self.near(self.rates(), [0.001, 0.001])

    def test_plateau(self):
        """Nothing counts as better than the first epoch, so the rate falls after two more."""
        done = self.run_it(*self.cifar, "--out", self.out, "--recipe", "paper-plateau", "--batch", 20, "--epochs", 5,
                           "--lr", 1e-6, "--set", "validation=20", "--set", "patience=1", "--set", "threshold=0.99")
        self.assertRegex(done.stderr, "60 training and 40 test images")
        self.near([rate * 1e6 for rate in self.rates()], [1, 1, 1, 0.1, 0.1])
        with open(self.out / "history.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertTrue(all(0 <= float(row["validation_accuracy"]) <= 1 for row in rows))
        self.assertTrue(all(float(row["validation_loss"]) > 0 for row in rows))

    def test_micro_batches(self):
        flags = [*self.cifar, "--recipe", "cosine", "--epochs", 2, "--batch", 20, "--limit-train", 75, "--out"]
        done = self.run_it(*flags, self.out, "--micro-batch", 5)
        self.assertIn("batch 20 as 4 times 5", done.stderr)
        self.assertEqual([step_line.fullmatch(line)[4] for line in done.stdout.splitlines()[:-1]], ["3", "3"])
        done = self.run_it(*flags, self.folder / "limited", "--memory-limit", "14M")
        parts = int(re.search("batch 20 as ([0-9]+) times", done.stderr)[1])
        self.assertIn(parts, (2, 4, 5, 10))
        self.fails(1, "memory", *flags, self.folder / "limited", "--memory-limit", "1K")
        self.fails(2, r"micro_batch: expected a divisor of the batch of 20 images, got 7", *flags, self.out,
                   "--micro-batch", 7)
        self.fails(1, "micro_batch: expected at least as many training images as a batch", *flags, self.out, "--micro-batch",
                   5, "--limit-train", 19)


    def test_average_is_saved_and_tested(self):
        flags = [*self.cifar, "--recipe", "cosine", "--epochs", 2, "--batch", 10, "--out"]
        self.run_it(*flags, self.folder / "plain")
        self.run_it(*flags, self.out, "--set", "ema=0.5")
        plain, averaged = self.history(self.folder / "plain"), self.history()
        self.assertEqual([row[:4] for row in plain], [row[:4] for row in averaged])
        self.assertNotEqual([row[4] for row in plain], [row[4] for row in averaged])
        self.assertNotEqual(self.weights(), self.weights(self.folder / "plain"))

    def test_mixed_images(self):
        flags = [*self.cifar, "--recipe", "cosine", "--epochs", 2, "--batch", 10, "--out", self.out]
        losses = []
        for mix in [], ["mixup=1"], ["cutmix=1"], ["mixup=1", "cutmix=1", "mix_probability=0.5", "cutmix_share=0.2"]:
            self.run_it(*flags, *sum((["--set", one] for one in mix), []))
            losses.append(float(self.history()[-1][2]))
        self.assertEqual(len(set(losses)), 4, losses)


class RecipeFiles(Case):
    def write(self, text):
        path = self.folder / "own.txt"
        path.write_text(text)
        return path

    def show(self, *flags):
        """A recipe as a dict, and as a text."""
        text = self.run_it("--print-recipe", *flags).stdout
        lines = [line.split(" = ") for line in text.splitlines() if line and not line.startswith("#")]
        return dict(lines), text

    def test_printed_ones_can_be_read(self):
        for name in "tutorial", "paper", "paper-plateau", "paper-imagenet", "imagenet", "cosine", "fast":
            values, text = self.show(name)
            again, _ = self.show(self.write(text))
            self.assertEqual(again, values)
        self.assertEqual(self.show("paper")[0]["milestones"], "0.5 0.75")
        self.assertNotIn("epochs", self.show("paper")[0])

    def test_own(self):
        own = self.write("# mine\nbase = cosine   # and then\n\nlr=0.05\niterations = 9\noptimizer = adamw\nmean = 0.5 0.4 0.3\n"
                         "std = 0.2 0.2 0.2\n")
        values = self.show(own)[0]
        for key, value in {"lr": "0.05", "iterations": "9", "schedule": "cosine", "weight_decay": "0.0005",
                           "optimizer": "adamw", "mean": "0.5 0.4 0.3"}.items():
            self.assertEqual(values[key], value)
        self.assertNotIn("epochs", values)
        values = self.show(own, "--epochs", 7, "--set", "lr = 1e-5", "--batch", 3)[0]
        self.assertEqual((values["epochs"], values["lr"], values["batch"]), ("7", "1e-05", "3"))
        self.run_it(*self.cifar, "--out", self.out, "--recipe", own, "--batch", 20, "--set", "label_smoothing=0.1", "--set",
                    "cutout=8", "--set", "clip_norm=1")
        self.assertEqual(len(self.history()), 3)
        kept = self.show(self.out / "recipe.txt")[0]
        self.assertEqual((kept["batch"], kept["iterations"], kept["cutout"]), ("20", "9", "8"))

    def test_every_key_is_documented(self):
        text = (pathlib.Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
        documented = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\|$", text, re.MULTILINE)
        keys = list(self.show("paper")[0])
        self.assertEqual(sorted(documented), sorted([*keys, "epochs", "base"]))

    def test_mistakes(self):
        for text, message in {
                "lr = 0.1\nlearning = 3": "own.txt:2: unknown key 'learning'$",
                "\n\nmomentun = 3": r"own.txt:3: unknown key 'momentun'; did you mean momentum\?",
                "lr = fast": "own.txt:1: lr: expected a number above 0, got 'fast'",
                "lr = inf": "own.txt:1: lr: expected a number above 0, got 'inf'",
                "lr =": "own.txt:1: expected key = value, got 'lr ='",
                "just words": "own.txt:1: expected key = value, got 'just words'",
                "batch = 2.5": "own.txt:1: batch: expected a whole number from 1 to 2147483647, got '2.5'",
                "nesterov = true": "own.txt:1: nesterov: expected no or yes, got 'true'",
                "schedule = linear": "own.txt:1: schedule: expected constant, step, multistep, cosine, one-cycle or plateau, "
                                     "got 'linear'",
                "milestones = 0.5 32000": "own.txt:1: milestones: expected a number from 0 to 1, got '32000'",
                "milestones = " + "0.1 " * 17: "own.txt:1: milestones: expected at most 16 numbers",
                "base = mine": "own.txt:1: base: expected the name of a recipe that comes with the program, got 'mine'",
                "lr = 1\0": "expected text"}.items():
            self.fails(1, message, "--print-recipe", self.write(text))
        for text, message in {
                "milestones = 0.7 0.5": "milestones: expected ascending",
                "mean = 0.5": "mean and std: expected as many",
                "schedule = plateau\ngamma = 1": "gamma: expected a number below 1",
                "schedule = plateau\nwarmup = 0.1": "warmup_shape: expected constant",
                "schedule = plateau\nwarmup_error = 0.1": "warmup_error: expected 0 with schedule = plateau",
                "warmup = 0.1\nwarmup_error = 0.1": "warmup and warmup_error: expected 0 for one",
                "size = 300": "size: expected at most short_side_test, 256, got 300",
                "size = 256\ntrain_crop = short-side\nshort_side_min = 250": "expected size <= short_side_min"}.items():
            self.fails(2, message, "--print-recipe", self.write(text))
        self.fails(1, "/nowhere/x: No such file", *self.cifar, "--recipe", "/nowhere/x")
        self.fails(1, "expected a text file", *self.cifar, "--recipe", self.folder)
        self.fails(2, "--set: expected KEY=VALUE, got 'lr'", *self.cifar, "--set", "lr")
        self.fails(1, "a number for each of 3 channels, got 1", *self.cifar, "--out", self.out, "--set", "mean=0.5", "--set",
                   "std=1")
        self.fails(1, "validation: expected fewer than the 80", *self.cifar, "--out", self.out, "--set", "validation=80")


class Resume(Case):
    flags = ["--batch", "2", "--recipe", "cosine", "--epochs", "3", "--limit-test", "20", "--set", "ema=0.9", "--set",
             "mixup=0.2"]

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

    def test_fp16(self):
        """The scale of the loss goes on, too."""
        flags = [*self.cifar, "--batch", "40", "--limit-test", "20", "--dtype", "fp16", "--out"]
        whole = self.folder / "whole-fp16"
        self.run_it(*flags, whole, "--epochs", 2)
        self.run_it(*flags, self.out, "--epochs", 1)
        self.run_it(*flags, self.out, "--epochs", 2, "--resume")
        self.assertEqual(self.history(), self.history(whole))
        self.assertEqual(self.weights(), self.weights(whole))
        self.fails(2, "--dtype: expected fp32, bf16 or fp16, got 'fp8'", *flags, self.out, "--dtype", "fp8")

    def test_more_epochs(self):
        flags = [*self.cifar, "--batch", "40", "--limit-test", "20", "--out"]
        whole = self.folder / "whole-tutorial"
        self.run_it(*flags, whole, "--epochs", 4)
        self.run_it(*flags, self.out, "--epochs", 2)
        self.run_it(*flags, self.out, "--epochs", 4, "--resume")
        self.assertEqual(self.history(), self.history(whole))
        self.assertEqual(self.weights(), self.weights(whole))

    def test_with_the_dataset_on_the_device(self):
        flags = [*self.cifar, "--batch", "40", "--limit-test", "20", "--out"]
        whole = self.folder / "whole-on-the-host"
        self.run_it(*flags, whole, "--epochs", 3, "--residency", "host")
        self.run_it(*flags, self.out, "--epochs", 2, "--residency", "device")
        self.assertEqual(self.history(), self.history(whole)[:2])
        self.run_it(*flags, self.out, "--epochs", 3, "--resume")
        self.assertEqual(self.history(), self.history(whole))
        self.assertEqual(self.weights(), self.weights(whole))

    def test_of_another_training(self):
        flags = [*self.cifar, "--limit-test", "20", "--epochs", "1", "--out", self.out]
        self.assertRegex(self.run_it(*flags, "--resume", status=1).stderr, "--resume: .*checkpoint.safetensors")
        self.run_it(*flags, "--batch", 40)
        before = (self.out / "history.csv").read_bytes()
        self.assertRegex(self.run_it(*flags, "--resume", "--batch", 20, status=1).stderr, "--resume: .*period")
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
