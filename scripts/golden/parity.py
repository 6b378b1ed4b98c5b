#!/usr/bin/env python3
"""Makes tests/golden/parity/*.json: what PyTorch computes for every network, for tests/parity.

    python scripts/golden/parity.py [NETWORK...]

Needs torch, torchvision and numpy; the files say with which versions they were made. Weights, images and labels are
drawn by a rule (parity_rule.py), so that a file holds results alone: logits and losses as they are, of every other
tensor its norm, three projections and 64 entries. PyTorch computes in double from the f32 weights; what its own f32
is away from that stands in the file as f32_error.

A gradient jumps where a ReLU or a maximum changes sides. The images of a case are therefore the first drawn ones
whose every decision is further from its edge than f32 errors reach (`margin` times the largest error of a tensor).
"""
import json
import os
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional

from parity_networks import NETWORKS, build, head_of, inject_dropout
from parity_rule import digest, draw_images, draw_labels

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "parity")
CLASSES = 10
TRIES = 60

# Drawn weights are uniform with `gain` times the bound of He et al. 2015. Small ones in front of a batch-norm make the
# variances small, so that epsilon matters; large images make LRN matter. Sizes: batch, height, width.
RESNET = {
    "image_scale": 2.0, "gain": 1 / 128, "head_gain": 0.25, "logits": [(1, 224, 224), (2, 64, 64)],
    "gradients": [(4, 33, 47)], "run": (4, 33, 47), "rate": 6e-6, "frozen": "layer4.*", "frozen_rate": 1.5e-6,
}
ALEXNET_TV = {
    "image_scale": 2.0, "gain": 1.0, "head_gain": 0.5, "logits": [(1, 224, 224), (2, 96, 63)],
    "gradients": [(2, 63, 63), (2, 75, 91)], "run": (4, 75, 91), "rate": 3e-5, "frozen": "classifier.*",
    "frozen_rate": 3e-6,
}
VGG = {
    "image_scale": 2.0, "gain": 1.0, "head_gain": 0.5, "logits": [(1, 224, 224)], "gradients": [(2, 32, 45)],
    "run": (2, 32, 45), "rate": 1e-4, "frozen": "classifier.*", "frozen_rate": 1e-5,
}
SETTINGS = {
    "alexnet": {
        "image_scale": 128.0, "gain": 1.0, "head_gain": 0.02, "logits": [(2, 227, 258)],
        "gradients": [(1, 227, 240)], "run": (2, 227, 227), "rate": 5e-8, "frozen": "fc6..fc8",
        "frozen_rate": 1e-8,
    },
    "alexnet-tv": ALEXNET_TV, "resnet50": RESNET, "resnet50-v1": RESNET, "vgg16": VGG, "vgg16-keras": VGG,
}
MOMENTUM, HEAD_FACTOR = 0.9, 20.0
DECAY = 1e-4  # rate times L2: a share of the weights in every step that the losses notice
RATE_FACTORS = [1.0] * 5 + [0.5] * 5  # a rate drop tells PyTorch's rule from Caffe's
DROPOUT_SEED = 7


class Network:
    """One network with its settings; `make` gives a fresh PyTorch model every time, weights drawn once."""

    def __init__(self, name):
        self.name, self.settings, self.drawn = name, SETTINGS[name], {}
        self.seeds = {}  # images that served last time, tried first
        if os.path.exists(self.file()):
            with open(self.file(), encoding="utf-8") as f:
                self.seeds = {tuple(step["size"]): step["image_seed"] for step in json.load(f)["steps"]}

    def file(self):
        return os.path.join(OUT, self.name + ".json")

    def make(self, dtype):
        s = self.settings
        return build(self.name, CLASSES, s["gain"], s["head_gain"], self.drawn).to(dtype)

    def images(self, size, seed, dtype):
        batch, height, width = size
        return torch.from_numpy(draw_images((batch, 3, height, width), self.settings["image_scale"], seed)).to(dtype)


def pool_gaps(module, x):
    """Largest less second of every window whose largest is positive (zeros behind a ReLU pass nothing back)."""
    k, s, p = module.kernel_size, module.stride, module.padding
    x = functional.pad(x, (p, p, p, p), value=-1.0)
    windows = x.unfold(2, k, s).unfold(3, k, s).flatten(4)
    two = windows.topk(2, dim=-1).values
    return (two[..., 0] - two[..., 1])[two[..., 0] > 0]


def decisions(model, images):
    """What every ReLU and every maximum of a forward pass in training mode sees."""
    seen = []
    hooks = [m.register_forward_pre_hook(lambda module, args: seen.append((module, args[0].clone())))
             for m in model.modules() if isinstance(m, (nn.ReLU, nn.MaxPool2d))]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return seen


def margin(exact, rounded):
    """Distance of the closest decision from its edge, in largest f32 errors of its tensor."""
    least = np.inf
    for (module, a), (_, b) in zip(exact, rounded):
        error = (a - b).abs().max().item()
        if error == 0:
            continue
        if isinstance(module, nn.ReLU):
            least = min(least, a.abs().min().item() / error)
        else:
            least = min(least, pool_gaps(module, a).min().item() / (2 * error))
    return least


def choose_images(network, size):
    best = (0.0, 0)
    models = {d: network.make(d).train() for d in (torch.float64, torch.float32)}
    for seed in [network.seeds.get(size, 1), *range(1, TRIES + 1)]:
        found = margin(*(decisions(m, network.images(size, seed, d)) for d, m in models.items()))
        best = max(best, (found, seed))
        if best[0] > 2:
            break
    if best[0] < 1:
        sys.exit(f"{network.name} {size}: no images without a decision on the edge; best {best}")
    return best


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def logits_case(network, size):
    with torch.no_grad():
        out = [network.make(d).eval()(network.images(size, 1, d)) for d in (torch.float64, torch.float32)]
    return {"size": size, "image_seed": 1, "f32_error": relative(out[1], out[0]), "values": out[0].flatten().tolist()}


def one_step(network, size, seed, dtype):
    """Loss, gradients and running statistics of one pass in training mode (dropout 0)."""
    model = network.make(dtype).train()
    loss = functional.cross_entropy(model(network.images(size, seed, dtype)),
                                    torch.from_numpy(draw_labels(size[0], CLASSES)))
    loss.backward()
    gradients = {k: p.grad for k, p in model.named_parameters()}
    statistics = {k: b for k, b in model.named_buffers() if not k.endswith("num_batches_tracked")}
    return loss.item(), gradients, statistics


def gradients_case(network, size):
    found, seed = choose_images(network, size)
    loss, gradients, statistics = one_step(network, size, seed, torch.float64)
    f32 = one_step(network, size, seed, torch.float32)
    error = max(relative(f32[1][k], g) for k, g in gradients.items())
    if error > 1e-4 or any(not float(g.norm()) > 0 for g in gradients.values()):
        sys.exit(f"{network.name} {size}: useless as a golden case, f32 error {error}")
    return {"size": size, "image_seed": seed, "margin": found, "f32_error": error, "loss": loss,
            "gradients": {k: digest(g.numpy()) for k, g in gradients.items()},
            "statistics": {k: digest(b.numpy()) for k, b in statistics.items()}}


def matches(pattern, name):
    """The three kinds of patterns that the settings use."""
    if pattern == "fc6..fc8":
        return name.startswith("fc")
    return name.startswith(pattern.rstrip("*"))


def train(network, size, rate, frozen, dropout, dtype):
    """Ten losses of SGD. frozen: what trains besides the head; the rest is in evaluation mode."""
    model = network.make(dtype).train()
    if dropout:
        inject_dropout(model, network.name, 0.5, DROPOUT_SEED)
    head = head_of(network.name) + "."
    groups = {1.0: [], HEAD_FACTOR: []}
    for key, p in model.named_parameters():
        p.requires_grad_(frozen is None or key.startswith(head) or matches(frozen, key))
        if p.requires_grad:
            groups[HEAD_FACTOR if frozen is not None and key.startswith(head) else 1.0].append(p)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()
    sgd = torch.optim.SGD([{"params": p, "factor": f} for f, p in groups.items() if p], lr=rate, momentum=MOMENTUM,
                          weight_decay=DECAY / rate)
    images, labels, losses = network.images(size, 1, dtype), torch.from_numpy(draw_labels(size[0], CLASSES)), []
    for factor in RATE_FACTORS:
        for group in sgd.param_groups:
            group["lr"] = rate * factor * group["factor"]
        sgd.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        losses.append(loss.item())
        loss.backward()
        sgd.step()
    return losses


def runs_of(network):
    """Name of every run and what train() takes for it."""
    s = network.settings
    yield "all", (s["rate"], None, False)
    yield "frozen", (s["frozen_rate"], s["frozen"], False)
    if NETWORKS[network.name][1]:
        yield "dropout", (s["rate"], None, True)


def run_case(network, name, rate, frozen, dropout):
    size = network.settings["run"]
    exact, f32 = (train(network, size, rate, frozen, dropout, d) for d in (torch.float64, torch.float32))
    return {"name": name, "size": size, "image_seed": 1, "rate": rate, "rate_factors": RATE_FACTORS,
            "momentum": MOMENTUM, "l2": DECAY / rate, "unfreeze": frozen or "",
            "head_factor": HEAD_FACTOR if frozen else 1.0, "dropout_seed": DROPOUT_SEED if dropout else 0,
            "f32_error": max(abs(a / b - 1) for a, b in zip(f32, exact)), "losses": exact}


def text_of(value):
    """JSON with a line a tensor; numbers to nine digits, which is more than the bounds need."""
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(text_of(v) for v in value) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(text_of(v) for v in value) + "]"
    if isinstance(value, dict):
        gap = "" if "samples" in value else "\n"
        return "{" + ",".join(f"{gap}{json.dumps(k)}:{text_of(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def write(network, result):
    with open(network.file(), "w", encoding="utf-8") as f:
        f.write(text_of(result) + "\n")
    for kind in ("logits", "steps", "runs"):
        for case in result[kind]:
            note = {k: case[k] for k in ("name", "margin", "image_seed", "losses") if k in case}
            print(network.name, kind, case["size"], f"f32_error {case['f32_error']:.2g}", note, flush=True)


def make(name):
    network = Network(name)
    s = network.settings
    result = {"network": name, "made_with": f"torch {torch.__version__}, torchvision {torchvision.__version__}",
              "classes": CLASSES, "image_scale": s["image_scale"], "gain": s["gain"], "head_gain": s["head_gain"],
              "logits": [logits_case(network, size) for size in s["logits"]],
              "steps": [gradients_case(network, size) for size in s["gradients"]],
              "runs": [run_case(network, run, *a) for run, a in runs_of(network)]}
    write(network, result)
    if name == "vgg16":  # without dropout Keras's form is the same function of the same weights
        runs = [run for run in result["runs"] if not run["dropout_seed"]]
        write(Network("vgg16-keras"), {**result, "network": "vgg16-keras", "runs": runs})


def main():
    os.makedirs(OUT, exist_ok=True)
    for name in sys.argv[1:] or [n for n in NETWORKS if n != "vgg16-keras"]:
        make(name)


if __name__ == "__main__":
    main()
