#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_degradation.py PROGRAM: examples/degradation with train_classifier PROGRAM on a few made-up images."""
import csv
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

program = os.path.abspath(sys.argv.pop(1))
script = pathlib.Path(__file__).parents[2] / "examples" / "degradation"


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Degradation(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out"
        for batch in range(1, 6):
            images = [bytes((20 * (n % 10) + (n * batch + i) % 37) % 256 for i in range(3072)) for n in range(12)]
            (self.folder / f"data_batch_{batch}.bin").write_bytes(
                b"".join(bytes([n % 10]) + image for n, image in enumerate(images)))

    def run_it(self, *flags, status=0):
        command = [sys.executable, script, "--program", program, "--data", self.folder, "--out", self.out, "--threads", 1]
        done = subprocess.run([*map(str, command), *map(str, flags)], capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_an_experiment(self):
        limits = ["--limit-train", "24", "--limit-test", "10", "--recipe", "tutorial"]
        small = ["--epochs", 2, *limits, "--nets", "cifar_plain20,cifar_resnet20"]
        done = self.run_it(*small, "--seeds", 1)
        self.assertIn("[2/2] cifar_resnet20, seed 0: 2 of 2 epochs to do; time left in all: 00:", done.stdout)
        one = rows(self.out / "table.csv")
        self.assertEqual([(row["net"], row["layers"], row["runs"], row["train_deviation"]) for row in one],
                         [("cifar_plain20", "20", "1", "nan"), ("cifar_resnet20", "20", "1", "nan")])
        weights = (self.out / "cifar_plain20-seed0" / "model.safetensors").stat().st_mtime_ns

        # Another seed: what is done is not done again. A run that was interrupted goes on.
        half = self.out / "cifar_resnet20-seed0"
        shutil.rmtree(half)
        batches = [f"{self.folder}/data_batch_{i}.bin" for i in range(1, 6)]
        subprocess.run([program, "--dataset", "cifar10", "--train", ",".join(batches[:4]), "--test", batches[4], *limits,
                        "--arch", "cifar_resnet20", "--epochs", "1", "--out", str(half)], check=True, capture_output=True)
        done = self.run_it(*small, "--seeds", 2)
        self.assertNotIn("cifar_plain20, seed 0: 2 of 2", done.stdout)
        self.assertIn("cifar_resnet20, seed 0: 1 of 2 epochs to do", done.stdout)
        self.assertEqual((self.out / "cifar_plain20-seed0" / "model.safetensors").stat().st_mtime_ns, weights)
        curves, table = rows(self.out / "curves.csv"), rows(self.out / "table.csv")
        self.assertEqual(len(curves), 2 * 2 * 2)
        last = [float(row["test_error"]) for row in curves if row["net"] == "cifar_plain20" and row["epoch"] == "2"]
        self.assertEqual(len(last), 2)
        self.assertAlmostEqual(float(table[0]["test_error"]), sum(last) / 2, places=3)
        self.assertAlmostEqual(float(table[0]["test_deviation"]), abs(last[0] - last[1]) / 2 ** 0.5, places=3)
        text = (self.out / "table.md").read_text().splitlines()
        self.assertEqual(len(text), 4)
        self.assertRegex(text[2], r"^\| cifar_plain20 \| 20 \| 2 \| \d+\.\d\d ± \d+\.\d\d \| \d+\.\d\d ± \d+\.\d\d \| ")
        svg = xml.dom.minidom.parse(str(self.out / "degradation.svg"))
        self.assertEqual(len(svg.getElementsByTagName("polyline")), 4)
        self.assertEqual(len(svg.getElementsByTagName("polygon")), 4)
        self.assertIn("Written:", done.stdout)

        done = self.run_it(*small, "--seeds", 2, "--epochs", 3, status=1)
        self.assertIn("holds an experiment with epochs 2, not 3", done.stderr)

    def test_one_run_by_two_processes(self):
        run = self.out / "cifar_plain20-seed0"
        run.mkdir(parents=True)
        with open(run / "log.txt", "a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            done = self.run_it("--nets", "cifar_plain20", status=1)
        self.assertIn("cifar_plain20, seed 0: another process trains it", done.stderr)
        self.assertFalse((run / "history.csv").exists())

    def test_mistakes(self):
        done = self.run_it("--nets", "cifar_plain21", status=1)
        self.assertIn("cifar_plain21, seed 0: train_classifier ended with status 1", done.stderr)
        self.assertIn("there is no net 'cifar_plain21'", done.stderr)
        self.assertIn("expected a whole number above 0, got '0'", self.run_it("--epochs", "0", status=2).stderr)
        self.assertIn("--program: there is no file /nowhere", self.run_it("--program", "/nowhere", status=1).stderr)
        (self.folder / "data_batch_5.bin").unlink()
        self.assertRegex(self.run_it(status=1).stderr, "^degradation: --data: .*data_batch_5.bin is not there")


if __name__ == "__main__":
    unittest.main(verbosity=1)
