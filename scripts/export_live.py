#!/usr/bin/env python3
"""Do the owners of the formats take what ftrun exports? Draws weights in PyTorch, brings them in by `ftrun convert` and out
again by `ftrun export`, and asks torch.load(weights_only=True), torchvision's load_state_dict(strict=True), safetensors,
onnx.checker and onnxruntime. Logits of onnxruntime are compared with PyTorch's and with what `ftrun predict` says of the
same picture, prepared by nothing but the recipe in the file's metadata. Then the same for fine-tuned networks: another
head, another input size. Prints tables in Markdown; status 1 if something differs.

Usage: PYTHON scripts/export_live.py FTRUN [NETWORK...]   (PYTHON has torch, torchvision, safetensors, onnx, onnxruntime)
"""
import importlib.metadata
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
import safetensors.torch
import torch
import torchvision
from PIL import Image

BOUND = 1e-5  # largest difference of a logit, relative to the largest logit
PACKAGES = ("torch", "torchvision", "safetensors", "onnx", "onnxruntime")


class Bvlc(torch.nn.Module):
    """AlexNet as BVLC published it, from PyTorch's modules."""

    def __init__(self, classes):
        super().__init__()
        nn = torch.nn
        shapes = {"conv1": (3, 96, 11, 4, 0, 1), "conv2": (96, 256, 5, 1, 2, 2), "conv3": (256, 384, 3, 1, 1, 1),
                  "conv4": (384, 384, 3, 1, 1, 2), "conv5": (384, 256, 3, 1, 1, 2)}
        for name, (inputs, outputs, kernel, stride, pad, groups) in shapes.items():
            setattr(self, name, nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups))
        self.fc6, self.fc7, self.fc8 = nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, classes)

    def forward(self, x):
        f = torch.nn.functional
        for name in ("conv1", "conv2"):
            x = f.local_response_norm(torch.relu(getattr(self, name)(x)), 5, 1e-4, 0.75, 1.0)
            x = f.max_pool2d(x, 3, 2)
        for name in ("conv3", "conv4", "conv5"):
            x = torch.relu(getattr(self, name)(x))
        x = torch.flatten(f.max_pool2d(x, 3, 2), 1)
        return self.fc8(torch.relu(self.fc7(torch.relu(self.fc6(x)))))


def resnet50_v1(classes):
    """torchvision's ResNet-50 with the stride where v1 has it, and Keras's epsilon."""
    model = torchvision.models.resnet50(num_classes=classes)
    for module in model.modules():
        if isinstance(module, torchvision.models.resnet.Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, module.conv1.stride
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1.001e-5
    return model


NETWORKS = {  # name: (how PyTorch builds it, whether it is torchvision's)
    "alexnet": (Bvlc, False),
    "alexnet-tv": (lambda classes: torchvision.models.alexnet(num_classes=classes), True),
    "resnet50": (lambda classes: torchvision.models.resnet50(num_classes=classes), True),
    "resnet50-v1": (resnet50_v1, False),
    "vgg16": (lambda classes: torchvision.models.vgg16(num_classes=classes), True),
    "vgg16-keras": (lambda classes: torchvision.models.vgg16(num_classes=classes), False),
}


def draw(name, classes, seed=0):
    """The network with drawn weights whose logits tell classes apart, and drawn statistics."""
    torch.manual_seed(seed)
    model = NETWORKS[name][0](classes).eval()
    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                torch.nn.init.normal_(module.bias, 0, 0.05)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.4, 0.8)
            torch.nn.init.normal_(module.bias, 0, 0.2)
            torch.nn.init.normal_(module.running_mean, 0, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            module.num_batches_tracked.fill_(0)
    return model


class Check:
    def __init__(self, ftrun):
        self.ftrun, self.failed = ftrun, False

    def run(self, *args, status=0):
        done = subprocess.run([self.ftrun, *map(str, args)], capture_output=True, text=True)
        if done.returncode != status:
            sys.exit(f"ftrun {' '.join(map(str, args))}: status {done.returncode}\n{done.stderr}")
        return done.stderr if status else done.stdout

    def verdict(self, good, text):
        self.failed |= not good
        return text if good else f"**{text}: WRONG**"


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


def relative(a, b):
    return float(numpy.max(numpy.abs(a - b)) / numpy.max(numpy.abs(b)))


def prepared(picture, recipe):
    """A picture as the input recipe of docs/weights-format.md says, by Pillow."""
    image, height, width = Image.open(picture).convert("RGB"), recipe["height"], recipe["width"]
    if recipe["resize"] == "squash":
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    else:
        assert recipe["resize"] == "crop"
        short, (w, h) = recipe["short_side"], image.size
        scaled = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
        image = image.resize(scaled, Image.Resampling.BILINEAR)
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    pixels = numpy.asarray(image, dtype=numpy.float64)
    if recipe["colour_order"] == "bgr":
        pixels = pixels[:, :, ::-1]
    x = (pixels * recipe["scale"] - recipe["mean"]) / recipe["std"]
    return numpy.ascontiguousarray(x.transpose(2, 0, 1)[None].astype(numpy.float32))


class Onnx:
    """The exported model, its metadata and its logits."""

    def __init__(self, path):
        onnx.checker.check_model(str(path), full_check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        properties = self.session.get_modelmeta().custom_metadata_map
        self.recipe = json.loads(properties["ftrun.input_recipe"])
        self.classes = json.loads(properties["ftrun.classes"])
        self.model = properties["ftrun.model"]

    def logits(self, x):
        return self.session.run(["logits"], {"input": x})[0]


def against_predict(check, h5, model, pictures):
    """Largest difference of log-probabilities, relative to the largest logit: onnxruntime against ftrun predict."""
    worst = 0.0
    lines = check.run("predict", *pictures, "--weights", h5, "--top", 100000, "--json").splitlines()
    for line in lines:
        said = json.loads(line)
        log_p = numpy.full(len(said["top"]), math.nan)
        for entry in said["top"]:
            if entry["p"] > 1e-30:  # a smaller one is rounded
                log_p[entry["index"]] = math.log(entry["p"])
        logits = model.logits(prepared(said["file"], model.recipe))[0].astype(numpy.float64)
        expected = logits - logits.max() - math.log(numpy.exp(logits - logits.max()).sum())
        assert numpy.isfinite(log_p).sum() >= 2
        worst = max(worst, float(numpy.nanmax(numpy.abs(log_p - expected)) / numpy.max(numpy.abs(logits))))
    return worst, len(lines)


def network(check, work, name, classes=1000):
    """One row: the same weights in PyTorch, in ftrun and in every exported form."""
    model = draw(name, classes)
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    source, h5 = work / "source.safetensors", work / "w.h5"
    safetensors.torch.save_file(state, str(source))
    check.run("convert", source, h5, "--model", name)
    check.run("export", h5, work / "w.safetensors")
    check.run("export", h5, work / "w.onnx")
    loaded = safetensors.torch.load_file(str(work / "w.safetensors"))
    row = [name, f"{classes}"]
    if NETWORKS[name][1]:
        check.run("export", h5, work / "w.pth")
        whole = torch.load(work / "w.pth", weights_only=True)
        fresh = NETWORKS[name][0](classes).eval()
        good = same(whole, model.state_dict())
        row.append(check.verdict(good and "All keys matched" in str(fresh.load_state_dict(whole, strict=True)),
                                 "strict, bit for bit"))
        expected = model.state_dict()
        strict = fresh.load_state_dict(loaded, strict=True)
        row.append(check.verdict(all(torch.equal(loaded[k], expected[k]) for k in expected) and
                                 len(loaded) == len(expected) and "All keys matched" in str(strict),
                                 "strict, bit for bit"))
    else:
        refusal = check.run("export", h5, work / "w.pth", status=2)
        row.append(check.verdict("E2397" in refusal and not (work / "w.pth").exists(), "refused, E2397"))
        row.append(check.verdict(set(loaded) == set(state) and all(torch.equal(loaded[k], state[k]) for k in state),
                                 "our names, bit for bit"))
    exported = Onnx(work / "w.onnx")
    assert exported.model == name
    height, width = exported.recipe["height"], exported.recipe["width"]
    worst = 0.0
    for batch in (1, 3):
        x = torch.randn(batch, 3, height, width) * (1 if exported.recipe["scale"] != 1 else 60)
        with torch.inference_mode():
            worst = max(worst, relative(exported.logits(x.numpy()), model(x).numpy()))
    row.append(check.verdict(worst <= BOUND, f"checker passes, {worst:.1e}"))
    picture = work / "picture.png"
    Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (300, 260, 3), dtype=numpy.uint8)).save(picture)
    worst, _ = against_predict(check, h5, exported, [picture])
    row.append(check.verdict(worst <= BOUND, f"{worst:.1e}"))
    return row


def sized(picture, recipe, path):
    """The picture at the size from which the recipe only cuts: nothing is resized, so that networks alone are compared."""
    side = recipe["short_side"] or recipe["width"]
    Image.open(picture).convert("RGB").resize((side, side), Image.Resampling.BILINEAR).save(path)
    return path


def tuned(check, work, name, size, resize):
    """One row: a new head that ftrun trained on drawn weights, at a size that is not the published one."""
    data, run, source = work / "data", work / "run", work / "source.safetensors"
    check.run("demo-data", data, "--source-per-class", 1, "--target-per-class", 4)
    state = draw(name, 10).state_dict()
    safetensors.torch.save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, str(source))
    check.run("convert", source, work / "source.h5", "--model", name)
    check.run("finetune", "--weights", work / "source.h5", "--input-size", size, "--resize", resize,
              "--data", data / "target", "--out", run, "--epochs", 2, "--batch", 8, "--print", "none")
    h5 = run / "last.h5"
    check.run("export", h5, work / "w.onnx")
    exported = Onnx(work / "w.onnx")
    pictures = [sized(p, exported.recipe, work / f"{i}.png")
                for i, p in enumerate(sorted((data / "target" / "test").glob("*/*"))[::20])]
    folders = sorted(p.name for p in (data / "target" / "train").iterdir())
    worst, count = against_predict(check, h5, exported, pictures)
    good = worst <= BOUND and exported.classes == folders
    row = [name, f"{len(folders)}", f"{size}, {resize}", check.verdict(good, f"{worst:.1e}, {count} pictures")]
    if NETWORKS[name][1]:
        check.run("export", h5, work / "w.pth")
        fresh = NETWORKS[name][0](len(folders)).eval()
        fresh.load_state_dict(torch.load(work / "w.pth", weights_only=True), strict=True)
        x = torch.from_numpy(numpy.concatenate([prepared(p, exported.recipe) for p in pictures]))
        with torch.inference_mode():
            worst = relative(fresh(x).numpy(), exported.logits(x.numpy()))
        row.append(check.verdict(worst <= BOUND, f"strict, {worst:.1e}"))
    else:
        row.append("")
    return row


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head), flush=True)
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def in_folder(make, *args):
    with tempfile.TemporaryDirectory() as folder:
        return make(args[0], pathlib.Path(folder), *args[1:])


def main():
    check, chosen = Check(sys.argv[1]), sys.argv[2:] or list(NETWORKS)
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)
    print(f"{check.run('--version').strip()}; {versions}; bound {BOUND:g}\n")
    print("Drawn weights: differences are the largest of a logit, relative to the largest logit.\n")
    table(["network", "classes", ".pth in PyTorch", "safetensors", "ONNX: onnxruntime against PyTorch",
           "onnxruntime against ftrun predict"],
          (in_folder(network, check, name) for name in chosen))
    print("Drawn weights with a head that ftrun trained:\n")
    sizes = [("alexnet", 227, "crop"), ("alexnet-tv", 96, "squash"), ("resnet50", 64, "crop"),
             ("resnet50-v1", 64, "squash"), ("vgg16", 64, "squash")]
    table(["network", "classes", "input", "onnxruntime against ftrun predict", ".pth in PyTorch against onnxruntime"],
          (in_folder(tuned, check, *row) for row in sizes if row[0] in chosen))
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
