#!/usr/bin/env python3
"""Two result files, case by case: how many times faster the second is.

    bench/compare_results.py before.json after.json [--only REGEX] [--fail-below 0.95]

Reads what the benchmark programs write with --benchmark_out=FILE.json (with --benchmark_repetitions their median) and
what bench/steps.py writes. Above 1 the second file is faster. Cases of one file only are counted, never dropped in
silence. --fail-below: status 1 if a case falls below, 2 if the files cannot be compared.
"""

import argparse
import json
import math
import re
import statistics
import sys


class Case:
    """Speed: anything that is larger where it is faster."""

    def __init__(self, speed, label=""):
        self.speed, self.label = speed, label


def cases_of_benchmarks(file):
    runs = {}
    for b in file["benchmarks"]:
        if b.get("run_type", "iteration") != "iteration" or b.get("error_occurred"):
            continue  # means and medians are made here, from the repetitions
        runs.setdefault(b.get("run_name", b["name"]), []).append(b)
    return {name: Case(1 / statistics.median(b["real_time"] * UNITS[b["time_unit"]] for b in repeated),
                       repeated[0].get("label", "")) for name, repeated in runs.items()}


UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def cases_of_steps(file):
    cases = {}
    for row in file["rows"]:
        ftrun = row["contenders"]["ftrun"]
        if "images_per_s" in ftrun:
            cases[row["name"]] = Case(ftrun["images_per_s"])
    return cases


def load(path):
    try:
        with open(path) as f:
            file = json.load(f)
        cases = cases_of_steps(file) if "rows" in file else cases_of_benchmarks(file)
    except (OSError, ValueError, KeyError, TypeError) as e:
        print(f"compare_results.py: {path}: no result file ({e})", file=sys.stderr)
        sys.exit(2)
    return file.get("context", {}), cases


def describe(context):
    """What makes figures comparable, or not."""
    names = ("backend", "processor", "build", "compiler", "threads", "batch", "num_cpus")
    return {name: context[name] for name in names if name in context}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("before")
    p.add_argument("after")
    p.add_argument("--only", default="", help="regular expression over names")
    p.add_argument("--fail-below", type=float, default=0.0, metavar="RATIO")
    o = p.parse_args()
    (context_a, before), (context_b, after) = load(o.before), load(o.after)
    a, b = describe(context_a), describe(context_b)
    for name in sorted(set(a) | set(b)):
        if a.get(name) != b.get(name):
            print(f"not the same {name}: {a.get(name)} | {b.get(name)}")
    shared = [name for name in before if name in after and re.search(o.only, name)]
    if not shared:
        print("compare_results.py: the files have no case in common", file=sys.stderr)
        sys.exit(2)
    ratios = {name: after[name].speed / before[name].speed for name in shared}
    width = max(len(name) for name in shared)
    for name in shared:
        was, now = before[name].label, after[name].label
        print(f"{name:{width}} {ratios[name]:7.3f}" + (f"  {was} -> {now}" if was != now else ""))
    mean = math.exp(statistics.fmean(math.log(r) for r in ratios.values()))
    slower = [name for name in shared if ratios[name] < o.fail_below]
    print(f"{'geometric mean of ' + str(len(shared)):{width}} {mean:7.3f}")
    alone = [sum(bool(re.search(o.only, n)) for n in x if n not in y) for x, y in ((before, after), (after, before))]
    if any(alone):
        print(f"only in the first file: {alone[0]}; only in the second: {alone[1]}")
    if slower:
        print(f"below {o.fail_below:g}: {', '.join(slower)}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
