#!/usr/bin/env python3
"""Tests of the scripts: what they read, what they compute, what they refuse. No measurement, no PyTorch."""

import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import cached_epochs  # noqa: E402
import compare_results  # noqa: E402
import contenders  # noqa: E402
import steps  # noqa: E402


def benchmark(name, time, unit="us", **more):
    return {"name": name, "run_name": name, "run_type": "iteration", "real_time": time, "time_unit": unit, **more}


class CompareResults(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def write(self, name, content):
        path = os.path.join(self.folder.name, name)
        with open(path, "w") as f:
            f.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def compare(self, before, after, *flags):
        out = io.StringIO()
        arguments = ["compare_results.py", self.write("a.json", before), self.write("b.json", after), *flags]
        with mock.patch.object(sys, "argv", arguments), redirect_stdout(out), redirect_stderr(out):
            try:
                status = compare_results.main()
            except SystemExit as e:
                status = e.code
        return status, out.getvalue()

    def test_ratio_above_one_where_the_second_is_faster(self):
        status, out = self.compare({"benchmarks": [benchmark("f32/a", 300), benchmark("f32/b", 10)]},
                                   {"benchmarks": [benchmark("f32/a", 0.2, "ms"), benchmark("f32/b", 20)]})
        self.assertEqual(status, 0)
        self.assertRegex(out, r"f32/a +1\.500\n")
        self.assertRegex(out, r"f32/b +0\.500\n")
        self.assertRegex(out, r"geometric mean of 2 +0\.866\n")

    def test_repetitions_count_by_their_median_and_aggregates_not_at_all(self):
        repeated = [benchmark("a", t) for t in (9, 1, 2)]
        mean = benchmark("a", 1000) | {"run_type": "aggregate"}
        failed = benchmark("a", 1000, error_occurred=True)
        status, out = self.compare({"benchmarks": [*repeated, mean, failed]}, {"benchmarks": [benchmark("a", 4)]})
        self.assertEqual(status, 0)
        self.assertRegex(out, r"a +0\.500\n")

    def test_fails_below_the_limit_and_names_the_case(self):
        files = {"benchmarks": [benchmark("a", 90)]}, {"benchmarks": [benchmark("a", 100)]}
        self.assertEqual(self.compare(*files, "--fail-below", "0.89")[0], 0)
        status, out = self.compare(*files, "--fail-below", "0.91")
        self.assertEqual(status, 1)
        self.assertIn("below 0.91: a", out)

    def test_says_what_differs_between_the_files(self):
        before = {"context": {"backend": "cpu (2 threads)"}, "benchmarks": [benchmark("a", 1, label="jit:avx2")]}
        after = {"context": {"backend": "cpu (4 threads)"},
                 "benchmarks": [benchmark("a", 1, label="ref"), benchmark("b", 1)]}
        _, out = self.compare(before, after)
        self.assertIn("not the same backend: cpu (2 threads) | cpu (4 threads)", out)
        self.assertIn("jit:avx2 -> ref", out)
        self.assertIn("only in the first file: 0; only in the second: 1", out)

    def test_reads_what_steps_writes(self):
        def file(rate):
            return {"rows": [{"name": "resnet50 f32 train", "contenders": {"ftrun": {"images_per_s": rate}}},
                             {"name": "x", "contenders": {"ftrun": {"reason": "no"}}}]}
        status, out = self.compare(file(10), file(12))
        self.assertEqual(status, 0)
        self.assertRegex(out, r"resnet50 f32 train +1\.200\n")

    def test_refuses_what_it_cannot_compare(self):
        good = {"benchmarks": [benchmark("a", 1)]}
        for bad in ("{", {"something": 1}, {"benchmarks": [{"name": "a"}]}, {"benchmarks": [benchmark("b", 1)]}):
            self.assertEqual(self.compare(good, bad)[0], 2, bad)
        self.assertEqual(self.compare(good, good, "--only", "^z")[0], 2)


class Fixed(contenders.Contender):
    """Answers what it was told, then has a reason why it cannot."""

    def __init__(self, name, rates, others=0.0):
        super().__init__(name)
        self.rates, self.busy = list(rates), others

    def measure(self):
        if not self.rates:
            raise contenders.Unavailable("no more")
        return self.rates.pop(0), self.busy


class Steps(unittest.TestCase):
    def run_rounds(self, contender, rounds):
        for _ in range(rounds):
            contender.run_round()
        return contender

    def test_ratio_is_the_median_of_the_ratios_of_the_rounds(self):
        ours = self.run_rounds(Fixed("ftrun", [10, 20, 60]), 3)
        theirs = self.run_rounds(Fixed("peer", [5, 20, 20]), 3)
        self.assertEqual(steps.ratio(ours, theirs), 2)
        self.assertEqual(ours.report(0.03)["images_per_s"], 20)

    def test_a_contender_that_fails_has_a_reason_and_no_rate(self):
        ours = self.run_rounds(Fixed("ftrun", [10, 10]), 2)
        theirs = self.run_rounds(Fixed("peer", [5]), 2)
        self.assertEqual(theirs.report(0.03), {"reason": "no more"})
        self.assertIsNone(steps.ratio(ours, theirs))

    def test_rounds_with_busy_neighbours_are_counted(self):
        self.assertEqual(self.run_rounds(Fixed("a", [1, 1], others=0.5), 2).report(0.03)["noisy_rounds"], 2)
        self.assertEqual(self.run_rounds(Fixed("a", [1, 1], others=0.01), 2).report(0.03)["noisy_rounds"], 0)

    def test_watch_leaves_out_our_own_share(self):
        with mock.patch("time.perf_counter", side_effect=[0.0, 10.0]), \
             mock.patch("os.cpu_count", return_value=2), \
             mock.patch.object(contenders, "busy_seconds", side_effect=[100.0, 115.02]):
            self.assertAlmostEqual(contenders.Watch().others(own_cpu_s=13.0), 2.0 / 20)

    def test_a_slow_peer_does_not_count(self):
        peer = {"torch": "2", "torchvision": "0", "blas": "mkl", "onednn": "3", "threads": 2, "sgemm_gflops": 80.0}
        self.assertIn("DOES NOT COUNT", steps.describe_peer(peer | {"counts": False}))
        self.assertNotIn("DOES NOT COUNT", steps.describe_peer(peer | {"counts": True}))

    def steps(self, *flags):
        done = subprocess.run([sys.executable, os.path.join(HERE, "steps.py"), "--out", "", *flags],
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_without_a_peer_the_reason_is_printed(self):
        status, out = self.steps("--bin", "/nowhere", "--only", "resnet50 f32 train")
        self.assertEqual(status, 1)
        self.assertIn("no peer: --peer-python names", out)
        self.assertIn("ftrun: /nowhere/ftrun: No such file or directory (resnet50 f32 train)", out)
        _, out = self.steps("--bin", "/nowhere", "--only", "resnet50 f32 train", "--peer-python", "/nowhere/python")
        self.assertIn("no peer: /nowhere/python: No such file or directory", out)

    def test_a_row_that_does_not_exist_is_refused(self):
        status, out = self.steps("--only", "resnet51")
        self.assertEqual(status, 1)
        self.assertIn("no row matches", out)


class CachedEpochs(unittest.TestCase):
    def test_an_epoch_is_its_training_and_its_validations(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "metrics.csv"), "w") as f:
                f.write("epoch,step,split,loss,accuracy,rate,images_per_s,seconds\n"
                        "1,3,train,1,0.5,0.1,10,12\n1,3,val,1,0.5,,20,13\n"
                        "2,6,train,1,0.5,0.1,1000,13.5\n2,6,val,1,0.5,,5000,14\n")
            work, wall = cached_epochs.epoch_times(folder, {"train": 100, "val": 50})
        self.assertEqual(work, [100 / 10 + 50 / 20, 100 / 1000 + 50 / 5000])
        self.assertEqual(wall, [1.0])

    def test_images_are_counted_from_the_header(self):
        header = "device      cpu\ntrain       24 images: 12 a, 12 b\nval         100 images: 50 a\n"
        self.assertEqual(cached_epochs.count_images(header, "train"), 24)
        self.assertEqual(cached_epochs.count_images(header, "val"), 100)


if __name__ == "__main__":
    unittest.main()
