#!/usr/bin/env python3
"""Training and inference steps of ftrun against PyTorch, in one run: a table, and bench/results/steps.json.

    bench/steps.py                                            ftrun alone, and the share of its products
    bench/steps.py --peer-python /tmp/peer/bin/python         and the peer beside it
    bench/steps.py --only 'resnet50 f32'                      some rows

Every contender is asked in turn, a few steps a round, so that a drift of the machine meets all of them; a round
gives one ratio, and the medians over the rounds are what is reported. A round during which other processes used
more than --busy of the cores is marked: measure again on an idle machine. bench/README.md has the rules.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys

from contenders import MODELS, Ftrun, Peer, Products, Unavailable, run_json

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
MODES = ("train", "head_only", "infer")
VARIANTS = ("eager", "compile", "optimized")
SLOWEST_PEER = 100.0  # GFLOP/s of a 1024^3 sgemm on 2 threads; a slower peer does not count


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(ROOT, "build", "cpu", "bin"), help="folder of ftrun and nets_bench")
    p.add_argument("--peer-python", help="python of an environment with torch and torchvision")
    p.add_argument("--variants", default=",".join(VARIANTS), help="of the peer: eager, compile, optimized")
    p.add_argument("--only", default="", help="regular expression over rows, such as 'resnet50 bf16 train'")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, default=3, help="steps a round and contender")
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--busy", type=float, default=0.03, help="share of the cores that others may use")
    p.add_argument("--timeout", type=int, default=900, help="seconds that a peer has to build a network")
    p.add_argument("--out", default=os.path.join(HERE, "results", "steps.json"), help="'' for no file")
    o = p.parse_args()
    o.variants = [v for v in o.variants.split(",") if v]
    if unknown := set(o.variants) - set(VARIANTS):
        p.error(f"no such variant: {', '.join(unknown)}")
    return o


# --- one row of the table -----------------------------------------------------------------------------------------

def rows_of(o):
    for mode in MODES:
        for model in MODELS:
            for precision in ("f32", "bf16"):
                row = {"name": f"{model} {precision} {mode}", "model": model, "precision": precision, "mode": mode}
                if re.search(o.only, row["name"]):
                    yield row


def ratio(ours, theirs):
    """Median of the ratios of the rounds, or None."""
    if ours.reason or theirs.reason:
        return None
    return statistics.median(a / b for a, b in zip(ours.rounds, theirs.rounds))


def measure_row(o, row):
    ftrun = Ftrun(o, row)
    contenders = [ftrun]
    try:
        if o.batch == Products.BATCH:
            contenders.append(Products(o, row))
        if o.peer_python:
            contenders += [Peer(o, row, variant) for variant in o.variants]
        for _ in range(o.rounds):
            for c in contenders:
                c.run_round()
    finally:
        for c in contenders:
            c.close()
    return {**row, "contenders": {c.name: c.report(o.busy) for c in contenders},
            "ratios": {c.name: r for c in contenders[1:] if (r := ratio(ftrun, c)) is not None}}


# --- what is printed ----------------------------------------------------------------------------------------------

def probe_peer(o):
    """What the peer is. A peer that cannot be used is left out, and the reason printed."""
    if not o.peer_python:
        return {"reason": "no peer: --peer-python names a python with torch and torchvision (bench/README.md)"}
    script = os.path.join(HERE, "peer_torch.py")
    try:
        said, _ = run_json([o.peer_python, script, "--probe", "--threads", str(o.threads)])
    except Unavailable as e:
        o.peer_python = None
        return {"reason": f"no peer: {e}"}
    said["counts"] = said["sgemm_gflops"] >= SLOWEST_PEER * o.threads / 2
    return said


def describe_peer(peer):
    if "reason" in peer:
        return peer["reason"]
    text = "PyTorch {torch}, torchvision {torchvision}, BLAS {blas}, oneDNN {onednn}, {threads} threads; " \
           "sgemm 1024^3 {sgemm_gflops:.0f} GFLOP/s".format(**peer)
    if not peer["counts"]:
        text += f" - DOES NOT COUNT: below {SLOWEST_PEER:.0f} GFLOP/s the machine is busy or the BLAS is no peer"
    return text


def processor():
    with open("/proc/cpuinfo") as info:
        return next((x.partition(":")[2].strip() for x in info if x.startswith("model name")), platform.machine())


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or None


def table_line(o, result):
    contenders, ratios = result["contenders"], result["ratios"]

    def rate(name):
        c = contenders.get(name, {})
        return f"{c['images_per_s']:8.1f}{'*' if c['noisy_rounds'] else ' '}" if "images_per_s" in c else f"{'-':>8} "

    def factor(name):
        return f"{ratios[name]:6.2f}x" if name in ratios else f"{'-':>7}"

    def memory(name):
        c = contenders.get(name, {})
        return f"{c['peak_bytes'] / 2**30:.1f}" if "peak_bytes" in c else "-"

    share = f"{100 * ratios['products']:.0f} %" if "products" in ratios else "-"
    peers = "".join(rate(f"peer {v}") + factor(f"peer {v}") for v in o.variants)
    return f"{result['name']:26}{rate('ftrun')}{share:>8}  {peers}{memory('ftrun'):>8} / {memory('peer eager')}"


def save(o, context, rows):
    """After every row, so that a run that is cut leaves what it has."""
    if not o.out:
        return
    quiet = not any(c.get("noisy_rounds") for r in rows for c in r["contenders"].values())
    with open(o.out + ".part", "w") as file:
        json.dump({"context": context, "quiet": quiet, "rows": rows}, file, indent=1)
        file.write("\n")
    os.replace(o.out + ".part", o.out)


def print_head(o, context):
    print(f"{context['processor']}, {os.cpu_count()} cores, load {context['load_average'][0]:.1f}; batch {o.batch}, "
          f"{o.threads} threads, medians of {o.rounds} rounds of {o.steps} steps")
    print(f"peer: {describe_peer(context['peer'])}\n")
    heads = "".join(f"{'peer ' + v:>16}" for v in o.variants)
    print(f"{'':26}{'ftrun':>8} {'of prod.':>8}  {heads}    peak GiB", flush=True)


def main():
    o = parse_arguments()
    context = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
               "processor": processor(), "cores": os.cpu_count(), "load_average": os.getloadavg(), "commit": commit(),
               "batch": o.batch, "threads": o.threads, "rounds": o.rounds, "steps": o.steps, "peer": probe_peer(o)}
    print_head(o, context)
    rows, notes = [], {}
    for row in rows_of(o):
        rows.append(measure_row(o, row))
        print(table_line(o, rows[-1]), flush=True)
        save(o, context, rows)
        for name, c in rows[-1]["contenders"].items():
            if "reason" in c:
                notes.setdefault(f"{name}: {c['reason']}", []).append(row["name"])
    if not rows:
        sys.exit(f"steps.py: no row matches {o.only!r}")
    print("\nimages/s; x: ftrun against it, median over the rounds; of prod.: share of the rate of the network's "
          "products alone")
    if any(c.get("noisy_rounds") for r in rows for c in r["contenders"].values()):
        print(f"*: other processes used more than {100 * o.busy:.0f} % of the cores: not a result")
    for note, where in notes.items():
        print(f"-: {note} ({', '.join(where)})")
    if o.out:
        print(f"written: {o.out}")
    return int(any("reason" in r["contenders"].get(name, {}) for r in rows for name in ("ftrun", "products")))


if __name__ == "__main__":
    sys.exit(main())
