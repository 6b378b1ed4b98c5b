#!/usr/bin/env python3
"""An epoch from stored features against the first epoch, which computes them: whole runs of ftrun finetune.

    bench/cached_epochs.py                       ResNet-50, the classifier alone, 224 px, drawn images
    bench/cached_epochs.py --unfreeze 'layer4.*,fc' --precision bf16
    bench/cached_epochs.py --data DIR            images of your own, a folder a class in train and val

An epoch is its training and its validation, as metrics.csv times them. The median of the later epochs counts;
the wall clock between the ends of epochs, which also holds the writing of best.h5, stands beside it. The same run
without a store (--feature-cache off) has to leave the same bytes in last.h5 (--check).
"""

import argparse
import csv
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

HEADS = {"resnet50": "fc", "resnet50-v1": "fc", "alexnet": "fc8", "alexnet-tv": "classifier.6",
         "vgg16": "classifier.6", "vgg16-keras": "classifier.6"}

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(ROOT, "build", "cpu", "bin"), help="folder of ftrun")
    p.add_argument("--model", default="resnet50", choices=sorted(HEADS))
    p.add_argument("--unfreeze", help="what trains; without it the classifier alone")
    p.add_argument("--data", help="dataset; without it drawn images")
    p.add_argument("--images", type=int, default=64, help="drawn training images a class, of 4 classes")
    p.add_argument("--epochs", type=int, default=8)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--input-size", type=int, help="side of the input; without it the published one")
    p.add_argument("--precision", default="f32", choices=("f32", "bf16"))
    p.add_argument("--store", default="auto", choices=("auto", "memory", "disk"))
    p.add_argument("--check", action="store_true", help="run without a store, too, and compare last.h5")
    p.add_argument("--json", action="store_true")
    return p.parse_args()


def finetune(o, folder, store):
    command = [os.path.join(o.bin, "ftrun"), "finetune", "--model", o.model, "--data", o.data, "--out", folder,
               "--freeze", "*", "--unfreeze", o.unfreeze or HEADS[o.model], "--epochs", str(o.epochs),
               "--batch", str(o.batch), "--threads", str(o.threads), "--precision", o.precision,
               "--feature-cache", store, "--print", "none"]
    if o.input_size:
        command += ["--input-size", str(o.input_size)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.strip().splitlines()[-1])
    return done.stdout


def epoch_times(folder, images):
    """Seconds of training and validation of every epoch, and seconds from the end of one epoch to that of the next."""
    with open(os.path.join(folder, "metrics.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    work, ends = {}, {}
    for row in rows:
        epoch = int(row["epoch"])
        work[epoch] = work.get(epoch, 0.0) + images[row["split"]] / float(row["images_per_s"])
        ends[epoch] = float(row["seconds"])
    epochs = sorted(work)
    return [work[e] for e in epochs], [ends[b] - ends[a] for a, b in zip(epochs, epochs[1:])]


def count_images(header, split):
    line = next(line for line in header.splitlines() if line.split()[:1] == [split])
    return int(line.split()[1])


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    o = parse_arguments()
    with tempfile.TemporaryDirectory() as temp:
        if not o.data:
            o.data = os.path.join(temp, "demo", "target")
            subprocess.run([os.path.join(o.bin, "ftrun"), "demo-data", os.path.join(temp, "demo"), "--source-per-class",
                            "1", "--target-per-class", str(o.images)], stdout=subprocess.DEVNULL, check=True)
        header = finetune(o, os.path.join(temp, "stored"), o.store)
        images = {split: count_images(header, split) for split in ("train", "val")}
        work, wall = epoch_times(os.path.join(temp, "stored"), images)
        later, later_wall = statistics.median(work[1:]), statistics.median(wall)
        result = {"model": o.model, "trains": o.unfreeze or HEADS[o.model], "precision": o.precision, "batch": o.batch,
                  "threads": o.threads, "train": images["train"], "val": images["val"], "first_s": work[0],
                  "later_s": later, "ratio": work[0] / later, "later_wall_s": later_wall,
                  "features": next(line for line in header.splitlines() if line.startswith("features"))[12:]}
        if o.check:
            finetune(o, os.path.join(temp, "off"), "off")
            result["equal"] = digest(os.path.join(temp, "off", "last.h5")) == digest(os.path.join(temp, "stored", "last.h5"))
    if o.json:
        print(json.dumps(result))
    else:
        print(f"{o.model} {o.precision}, {result['trains']} trains, batch {o.batch}, {images['train']} training and "
              f"{images['val']} validation images\n  {result['features']}\n  first epoch {work[0]:.3f} s, later ones "
              f"{1e3 * later:.2f} ms: {result['ratio']:.0f} times (with the writing of best.h5: {1e3 * later_wall:.0f} ms)")
        if o.check:
            print(f"  last.h5 without a store: {'the same bytes' if result['equal'] else 'DIFFERENT'}")
    sys.exit(0 if result.get("equal", True) else 1)


if __name__ == "__main__":
    main()
