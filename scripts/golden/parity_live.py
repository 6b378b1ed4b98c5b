"""Whole tensors of ftrun against PyTorch in f32; run by scripts/parity_live.

    parity_live.py PARITY_TENSORS WORK [NETWORK...]

The cases are those of tests/golden/parity: the files give sizes and images; what PyTorch computes, it computes anew.
"""
import glob
import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms

import parity
from parity_networks import NETWORKS

BOUNDS = {"logits": 1e-5, "gradients": 1e-4, "statistics": 1e-5, "losses": 1e-4}
TOOL, WORK, NAMES = sys.argv[1], sys.argv[2], sys.argv[3:] or list(NETWORKS)


def ours(name, like):
    got = np.fromfile(os.path.join(WORK, name), dtype="<f4")
    if got.size != like.numel():
        sys.exit(f"parity_live: {name} has {got.size} numbers, PyTorch {like.numel()}")
    return torch.from_numpy(got).reshape(like.shape)


class Table:
    """Rows as they are found; remembers whether a bound was passed."""

    def __init__(self):
        self.failed = False
        print("| network | compared | batch x height x width | distance | worst tensor | bound |")
        print("| --- | --- | --- | --- | --- | --- |")

    def row(self, network, kind, size, errors):
        worst = max(errors, key=errors.get)
        self.failed |= not errors[worst] <= BOUNDS[kind]
        what = worst if len(errors) > 1 else ""
        print(f"| {network} | {kind} | {'x'.join(map(str, size))} | {errors[worst]:.1e} | {what} | {BOUNDS[kind]:.0e} |",
              flush=True)


def compare(name, table):
    subprocess.run([TOOL, "cases", os.path.join(parity.OUT, name + ".json"), "cpu", WORK], check=True)
    network = parity.Network(name)
    f32 = torch.float32
    for i, size in enumerate(network.settings["logits"]):
        with torch.no_grad():
            want = network.make(f32).eval()(network.images(size, 1, f32))
        table.row(name, "logits", size, {"logits": parity.relative(ours(f"logits.{i}", want), want)})
    for i, size in enumerate(network.settings["gradients"]):
        _, gradients, statistics = parity.one_step(network, size, network.seeds[size], f32)
        for kind, tensors in (("gradients", gradients), ("statistics", statistics)):
            if tensors:
                table.row(name, kind, size, {k: parity.relative(ours(f"step.{i}.{k}", v), v) for k, v in tensors.items()})
    for run, arguments in parity.runs_of(network):
        want = torch.tensor(parity.train(network, network.settings["run"], *arguments, f32))
        error = (ours("run." + run, want) / want - 1).abs().max().item()
        table.row(name, "losses", network.settings["run"], {f"ten losses, {run}": error, "": 0.0})


def photographs(folder):
    """The published preparation of torchvision, pixel by pixel."""
    files = sorted(glob.glob(os.path.join(folder, "*", "*", "*.jpg")))
    if not files:
        sys.exit(f"parity_live: no photographs in {folder}")
    subprocess.run([TOOL, "photos", "cpu", WORK, *files], check=True)
    resize = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224)])
    normalize = transforms.Compose([transforms.ToTensor(), transforms.Normalize(
        [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    pixels, inputs, equal = 0, 0.0, 0
    for i, file in enumerate(files):
        want = resize(Image.open(file).convert("RGB"))
        got = np.fromfile(os.path.join(WORK, f"pixels.{i}"), dtype=np.uint8).reshape(224, 224, 3)
        difference = int(np.abs(got.astype(int) - np.asarray(want)).max())
        pixels, equal = max(pixels, difference), equal + (difference == 0)
        own = normalize(Image.fromarray(got))  # of our pixels, so that only the arithmetic differs
        inputs = max(inputs, float((ours(f"input.{i}", own) - own).abs().max()))
    print(f"\n{len(files)} photographs by Resize(256), CenterCrop(224), ToTensor, Normalize: largest difference of a pixel "
          f"{pixels}/255 (bound 1/255), {equal} pictures equal in every byte; normalised numbers of equal pixels "
          f"differ by {inputs:.1e} (bound 1e-6).")
    return pixels <= 1 and inputs <= 1e-6


def main():
    print(f"PyTorch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}, "
          f"Python {platform.python_version()}; f32 on both sides, whole tensors; distance: norm of the difference over norm, "
          f"losses: largest relative difference.\n")
    table, good = Table(), True
    for name in NAMES:
        compare(name, table)
        shutil.rmtree(WORK)
    if os.environ.get("FT_PHOTOS"):
        good = photographs(os.environ["FT_PHOTOS"])
    else:
        print("\nPhotographs were not compared: FT_PHOTOS names no folder.")
    sys.exit(0 if good and not table.failed else 1)


main()
