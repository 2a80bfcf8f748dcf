#!/usr/bin/env python3
"""PyTorch's side of bench/sweep: reads shapes as lines of JSON, writes the ms of each form as lines of JSON."""
import argparse
import json
import sys

import torch
import torch.nn.functional as F

from timing import measure


def convolution(s):
    """Calls for the three forms of a convolution."""
    rank = 2 if s["kind"] == "conv2d" else 1
    x = torch.randn(s["batch"], s["in"], *[s["size"]] * rank)
    w, b = torch.randn(s["out"], s["in"], *[s["k"]] * rank), torch.zeros(s["out"])
    forward = F.conv2d if rank == 2 else F.conv1d
    stride, pad = [s["stride"]] * rank, [s["pad"]] * rank
    dy = torch.randn_like(forward(x, w, b, stride, pad))

    def backward(data, weights):
        return lambda: torch.ops.aten.convolution_backward(dy, x, w, [s["out"]], stride, pad, [1] * rank, False, [0] * rank, 1,
                                                           [data, weights, weights])

    return lambda: forward(x, w, b, stride, pad), backward(True, False), backward(False, True)


def product(s):
    """Calls for the three forms of a dense layer."""
    x, w, b = torch.randn(s["batch"], s["in"]), torch.randn(s["out"], s["in"]), torch.zeros(s["out"])
    dy = torch.randn(s["batch"], s["out"])
    return lambda: F.linear(x, w, b), lambda: dy @ w, lambda: (dy.T @ x, dy.sum(0))


def main():
    options = argparse.ArgumentParser(description="PyTorch's time of single contractions")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--seconds", type=float, default=0.2)
    o = options.parse_args()
    torch.set_num_threads(o.threads)
    torch.set_flush_denormal(True)
    with torch.no_grad():
        for line in sys.stdin:
            shape = json.loads(line)
            calls = convolution(shape) if shape["kind"].startswith("conv") else product(shape)
            forms = ("forward", "backward-data", "backward-weights")
            print(json.dumps({form: measure(call, o.seconds)[0] for form, call in zip(forms, calls)}), flush=True)


if __name__ == "__main__":
    main()
