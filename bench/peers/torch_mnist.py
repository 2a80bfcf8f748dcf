#!/usr/bin/env python3
"""PyTorch's side of bench/coldstart: the network, batch, number of epochs, optimizer and one-cycle rate of
coldstart.net, on real MNIST; after each epoch a line with the test accuracy.

usage: torch_mnist.py FOLDER [--threads N] [--batch B] [--epochs E] [--rate R] [--seed S] [--compile]
"""
import argparse
import math
import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def read_images(path):
    data = path.read_bytes()
    _, count, rows, columns = struct.unpack(">4i", data[:16])
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(count, 1, rows, columns)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def read_labels(path):
    return torch.from_numpy(np.frombuffer(path.read_bytes(), np.uint8, offset=8).astype(np.int64))


def one_cycle(u, peak=0.1):
    return u / peak if u < peak else 0.5 + 0.5 * math.cos(math.pi * (u - peak) / (1 - peak))


def main():
    options = argparse.ArgumentParser(description="PyTorch on MNIST, epoch by epoch")
    options.add_argument("folder", type=Path)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--rate", type=float, default=0.002)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--compile", action="store_true")
    o = options.parse_args()
    torch.set_num_threads(o.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(o.seed)
    x, y = read_images(o.folder / "train-images-idx3-ubyte"), read_labels(o.folder / "train-labels-idx1-ubyte")
    test_x, test_y = read_images(o.folder / "t10k-images-idx3-ubyte"), read_labels(o.folder / "t10k-labels-idx1-ubyte")
    model = nn.Sequential(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 40, 5), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Flatten(), nn.Linear(640, 100), nn.ReLU(), nn.Linear(100, 10))
    run = torch.compile(model) if o.compile else model
    optimizer = torch.optim.Adam(model.parameters(), o.rate, betas=(0.9, 0.99))
    steps = o.epochs * math.ceil(len(x) / o.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step / steps))
    for epoch in range(o.epochs):
        for rows in torch.randperm(len(x)).split(o.batch):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(run(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            right = sum((model(a).argmax(1) == b).sum().item() for a, b in zip(test_x.split(1000), test_y.split(1000)))
        print(f"epoch {epoch + 1}  test accuracy {100 * right / len(test_y):.2f} %", flush=True)


if __name__ == "__main__":
    main()
