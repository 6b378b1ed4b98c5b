#!/usr/bin/env python3
"""The peer of bench/steps.py: one network of torchvision, one way of running it, timed on request.

    peer_torch.py --probe --threads 2
    peer_torch.py --model resnet50 --precision bf16 --mode train --variant compile --batch 32 --threads 2

Talks in lines of JSON. --probe: versions, and the speed of its BLAS. Else: one line when the network is built
and warm, or {"error": ...}; then, for every line "N" on stdin, one line with the seconds of N steps. Ends with
stdin. One configuration a process, so that its peak memory is that configuration's.

Modes, as ftrun's: train (all layers), head_only (the rest frozen and in eval mode), infer. The input is f32 pixels
that are normalised already; ftrun's step does that as well. Weights are drawn: speed does not depend on them.
--device cuda: the same on the first GPU (has not run on one yet); peak memory is then that of the GPU.
Variants: eager (channels_last), compile (torch.compile; inference with frozen weights), optimized (inference:
TorchScript, frozen, optimize_for_inference). bf16 is autocast in training, and the whole network in eager inference.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--probe", action="store_true")
arguments.add_argument("--model", default="resnet50", choices=["resnet50", "alexnet"])
arguments.add_argument("--precision", default="f32", choices=["f32", "bf16"])
arguments.add_argument("--mode", default="train", choices=["train", "head_only", "infer"])
arguments.add_argument("--variant", default="eager", choices=["eager", "compile", "optimized"])
arguments.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
arguments.add_argument("--batch", type=int, default=32)
arguments.add_argument("--threads", type=int, default=2)
options = arguments.parse_args()

os.environ["OMP_NUM_THREADS"] = str(options.threads)
if options.variant == "compile" and options.mode == "infer":
    os.environ["TORCHINDUCTOR_FREEZING"] = "1"  # read when torch is imported
answers = os.fdopen(os.dup(1), "w")  # libraries may print what they like
os.dup2(2, 1)

import torch  # noqa: E402
import torchvision  # noqa: E402

torch.set_num_threads(options.threads)
torch.manual_seed(0)


def say(**fields):
    print(json.dumps(fields), file=answers, flush=True)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def sgemm_gflops(size=1024, runs=21):
    a, b, c = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        torch.mm(a, b, out=c)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(seconds) / 1e9


def head_of(network):
    return network.fc if options.model == "resnet50" else network.classifier[6]


def build_network():
    network = getattr(torchvision.models, options.model)(weights=None, num_classes=2)
    network = network.to(options.device, memory_format=torch.channels_last)
    network.train(options.mode == "train")
    if options.mode == "head_only":
        network.requires_grad_(False)
        head_of(network).requires_grad_(True)
    return network


def make_training_step(network, pixels, bf16):
    labels = (torch.arange(options.batch) % 2).to(options.device)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=1e-4, momentum=0.9,
                                weight_decay=1e-4)
    forward = torch.compile(network) if options.variant == "compile" else network

    def step():
        with torch.autocast(options.device, dtype=torch.bfloat16, enabled=bf16):
            logits = forward(pixels)
        optimizer.zero_grad(set_to_none=True)
        criterion(logits.float(), labels).backward()
        optimizer.step()

    return step


def make_inference_step(network, pixels, bf16):
    if options.variant == "optimized":
        with torch.no_grad(), torch.autocast(options.device, dtype=torch.bfloat16, enabled=bf16, cache_enabled=False):
            forward = torch.jit.freeze(torch.jit.trace(network, pixels))
            if not bf16:  # knows f32 alone
                forward = torch.jit.optimize_for_inference(forward)
        autocast = bf16
    else:
        if bf16:
            network, pixels = network.to(torch.bfloat16), pixels.to(torch.bfloat16)
        forward = torch.compile(network) if options.variant == "compile" else network
        autocast = False

    def step():
        with torch.no_grad(), torch.autocast(options.device, dtype=torch.bfloat16, enabled=autocast, cache_enabled=False):
            forward(pixels)

    return step


def make_step():
    if options.variant == "optimized" and options.mode != "infer":
        raise ValueError("optimize_for_inference does not train")
    network = build_network()
    pixels = torch.randn(options.batch, 3, 224, 224).to(options.device, memory_format=torch.channels_last)
    make = make_inference_step if options.mode == "infer" else make_training_step
    return make(network, pixels, options.precision == "bf16")


def timed(step, count):
    seconds, before = [], cpu_seconds()
    for _ in range(count):
        start = time.perf_counter()
        step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    return {"seconds": seconds, "cpu_s": cpu_seconds() - before, "peak_bytes": peak}


def main():
    if options.probe:
        say(torch=torch.__version__, torchvision=torchvision.__version__, threads=torch.get_num_threads(),
            blas=str(torch.__config__.show()).partition("BLAS_INFO=")[2].partition(",")[0],
            onednn=str(torch.__config__.show()).partition("MKL-DNN ")[2].partition(" ")[0],
            sgemm_gflops=sgemm_gflops())
        return
    try:
        start = time.perf_counter()
        step = make_step()
        timed(step, 3)
    except Exception as e:  # whatever this version of PyTorch cannot do becomes an empty column with its reason
        say(error=f"{type(e).__name__}: {e}".splitlines()[0][:200])
        return
    say(setup_s=time.perf_counter() - start)
    for line in sys.stdin:
        say(**timed(step, int(line)))


main()
