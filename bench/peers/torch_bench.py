#!/usr/bin/env python3
"""PyTorch's side of bench/compare: one workload, one JSON object on stdout.

usage: torch_bench.py WORKLOAD --threads N [--compile] [--seconds S]

step_ms, step_ms_min    a training step: zero the gradients, forward, cross-entropy, backward, SGD(0.01)
infer_ms, infer_ms_min  a forward pass without gradients, in evaluation mode
compile_ms              the first training step (the others do not count it)
macs                    forward multiply-adds of a batch, counted from the layers
"""
import argparse
import json
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from timing import measure


def chapter(hidden=(100,), drop=0.0):
    layers = [nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 40, 5), nn.ReLU(), nn.MaxPool2d(2),
              nn.Flatten()]
    size = 640
    for n in hidden:
        layers += [nn.Dropout(drop)] * bool(drop) + [nn.Linear(size, n), nn.ReLU()]
        size = n
    return nn.Sequential(*layers, *[nn.Dropout(drop)] * bool(drop), nn.Linear(size, 10))


class Block(nn.Module):
    def __init__(self, channels, n, stride):
        super().__init__()
        self.c1 = nn.Conv2d(channels, n, 3, stride, 1)
        self.c2 = nn.Conv2d(n, n, 3, 1, 1)
        self.skip = nn.Conv2d(channels, n, 1, stride) if stride != 1 or channels != n else nn.Identity()

    def forward(self, x):
        return F.relu(self.c2(F.relu(self.c1(x))) + self.skip(x))


def resnet20():
    layers, channels = [nn.Conv2d(3, 16, 3, 1, 1), nn.ReLU()], 16
    for n, stride in ((16, 1), (32, 2), (64, 2)):
        for k in range(3):
            layers.append(Block(channels, n, stride if k == 0 else 1))
            channels = n
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def vgg():
    layers, channels = [], 3
    for n in (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool"):
        if n == "pool":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, n, 3, 1, 1), nn.ReLU()]
            channels = n
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10))


class Language(nn.Module):
    def __init__(self, kind, symbols, hidden):
        super().__init__()
        self.cell = kind(symbols, hidden, batch_first=True)
        self.out = nn.Linear(hidden, symbols)

    def forward(self, x):
        return self.out(self.cell(x)[0])


def images(batch, channels, size):
    return torch.randn(batch, channels, size, size), torch.randint(0, 10, (batch,))


def text(batch, length, symbols):
    x = torch.randint(0, symbols, (batch, length))
    return F.one_hot(x, symbols).float(), torch.randint(0, symbols, (batch, length))


WORKLOADS = {
    "chapter_b10": (chapter, lambda: images(10, 1, 28)),
    "chapter_b128": (chapter, lambda: images(128, 1, 28)),
    "dropout_b10": (lambda: chapter((1000, 1000), 0.5), lambda: images(10, 1, 28)),
    "dropout_b128": (lambda: chapter((1000, 1000), 0.5), lambda: images(128, 1, 28)),
    "resnet20_b64": (resnet20, lambda: images(64, 3, 32)),
    "vgg_b32": (vgg, lambda: images(32, 3, 32)),
    "rnn128_t25_b1": (lambda: Language(nn.RNN, 64, 128), lambda: text(1, 25, 64)),
    "lstm256_t64_b32": (lambda: Language(nn.LSTM, 64, 256), lambda: text(32, 64, 64)),
    "lstm512_t64_b32": (lambda: Language(nn.LSTM, 64, 512), lambda: text(32, 64, 64)),
}


def count_macs(model, x):
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, (nn.RNN, nn.LSTM)):
            gates = 4 if isinstance(layer, nn.LSTM) else 1
            batch, length = inputs[0].shape[:2]
            total += batch * length * gates * layer.hidden_size * (layer.input_size + layer.hidden_size)

    hooks = [m.register_forward_hook(count) for m in model.modules()]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return total


def main():
    options = argparse.ArgumentParser(description="PyTorch's time of one workload")
    options.add_argument("workload", choices=WORKLOADS)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--compile", action="store_true")
    options.add_argument("--seconds", type=float, default=1.0)
    o = options.parse_args()
    torch.set_num_threads(o.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    make_model, make_data = WORKLOADS[o.workload]
    model = make_model()
    x, y = make_data()
    macs = count_macs(model, x)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    run = torch.compile(model) if o.compile else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        z = run(x)
        F.cross_entropy(z.reshape(-1, z.shape[-1]), y.reshape(-1)).backward()
        optimizer.step()

    begun = time.perf_counter()
    step()
    compile_ms = 1e3 * (time.perf_counter() - begun)
    step_ms, step_ms_min = measure(step, o.seconds)
    model.eval()
    with torch.no_grad():
        infer_ms, infer_ms_min = measure(lambda: run(x), o.seconds)
    print(json.dumps({"workload": o.workload, "version": torch.__version__, "threads": o.threads, "macs": macs,
                      "step_ms": step_ms, "step_ms_min": step_ms_min, "infer_ms": infer_ms,
                      "infer_ms_min": infer_ms_min, "compile_ms": compile_ms}))


if __name__ == "__main__":
    main()
