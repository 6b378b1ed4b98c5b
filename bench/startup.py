#!/usr/bin/env python3
"""What ftrun takes before it works: `ftrun --help`, and building, drawing and compiling ResNet-50. One JSON object.

    bench/startup.py                        the median of 21 runs, and of as many of /bin/true beside them

The times of processes hold starting them from Python, which that of /bin/true shows.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def seconds(command):
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def setup_seconds(ftrun):
    command = [ftrun, "bench", "--model", "resnet50", "--mode", "train", "--steps", "1", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)["setup_s"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(ROOT, "build", "cpu", "bin"), help="folder of ftrun")
    p.add_argument("--runs", type=int, default=21)
    o = p.parse_args()
    ftrun = os.path.join(o.bin, "ftrun")
    load = os.getloadavg()[0]
    help_s, true_s = [], []
    for _ in range(o.runs):
        help_s.append(seconds([ftrun, "--help"]))
        true_s.append(seconds(["/bin/true"]))
    print(json.dumps({"help_ms": 1e3 * statistics.median(help_s), "true_ms": 1e3 * statistics.median(true_s),
                      "runs": o.runs,
                      "resnet50_setup_s": statistics.median(setup_seconds(ftrun) for _ in range(5)),
                      "load_average": load}))


if __name__ == "__main__":
    main()
