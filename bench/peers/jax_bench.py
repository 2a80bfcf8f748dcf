#!/usr/bin/env python3
"""JAX's side of bench/compare: the workloads of torch_bench.py, compiled by XLA for the CPU.

usage: jax_bench.py WORKLOAD [--seconds S]      (XLA uses the CPUs that it is given: taskset sets the threads)

The JSON object is that of torch_bench.py. The dropout workloads draw new masks in every step.
"""
import argparse
import json
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from timing import measure

RANDOM = np.random.default_rng(0)
relu = jax.nn.relu


def weight(*shape):
    return jnp.asarray(RANDOM.standard_normal(shape).astype("f4") * (2 / np.prod(shape[1:])) ** 0.5)


def biased(shapes):
    """Parameters: one weight of each shape, and a bias for each of its outputs."""
    weights = [weight(*s) for s in shapes]
    return weights, [jnp.zeros(w.shape[0]) for w in weights]


def conv(x, w, b, stride=1, pad="VALID"):
    dims = ("NCHW", "OIHW", "NCHW")
    return lax.conv_general_dilated(x, w, (stride, stride), pad, dimension_numbers=dims) + b[:, None, None]


def maxpool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def flatten(x):
    return x.reshape(x.shape[0], -1)


def dropout(x, key, rate):
    if key is None or not rate:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def chapter(hidden=(100,), drop=0.0):
    sizes = [640, *hidden, 10]
    params = biased([(20, 1, 5, 5), (40, 20, 5, 5)] + [(o, i) for i, o in zip(sizes, sizes[1:])])

    def forward(p, x, key):
        w, b = p
        h = x
        for k in range(2):
            h = maxpool(relu(conv(h, w[k], b[k])))
        h = flatten(h)
        for k in range(2, len(w)):
            h = dropout(h, None if key is None else jax.random.fold_in(key, k), drop)
            h = h @ w[k].T + b[k]
            h = relu(h) if k + 1 < len(w) else h
        return h

    return params, forward, 20 * 576 * 25 + 40 * 64 * 500 + sum(i * o for i, o in zip(sizes, sizes[1:]))


def resnet20():
    shapes, plan, macs, channels, size = [(16, 3, 3, 3)], [], 16 * 1024 * 27, 16, 32
    for n, first in ((16, 1), (32, 2), (64, 2)):
        for k in range(3):
            stride = first if k == 0 else 1
            size //= stride
            skip = stride != 1 or channels != n
            shapes += [(n, channels, 3, 3), (n, n, 3, 3)] + [(n, channels, 1, 1)] * skip
            macs += n * size * size * (9 * (channels + n) + channels * skip)
            plan.append((stride, skip))
            channels = n
    params = biased(shapes + [(10, 64)])

    def forward(p, x, key):
        pairs = iter(zip(*p))
        h = relu(conv(x, *next(pairs), pad="SAME"))
        for stride, skip in plan:
            pad = ((1, 1), (1, 1))
            y = conv(relu(conv(h, *next(pairs), stride, pad)), *next(pairs), 1, pad)
            h = relu(y + (conv(h, *next(pairs), stride) if skip else h))
        w, b = next(pairs)
        return h.mean((2, 3)) @ w.T + b

    return params, forward, macs + 640


def vgg():
    plan, shapes, channels, size, macs = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0), [], 3, 32, 0
    for n in plan:
        if not n:
            size //= 2
            continue
        shapes.append((n, channels, 3, 3))
        macs += n * channels * 9 * size * size
        channels = n
    params = biased(shapes + [(256, 4096), (10, 256)])

    def forward(p, x, key):
        pairs = iter(zip(*p))
        h = x
        for n in plan:
            h = relu(conv(h, *next(pairs), pad="SAME")) if n else maxpool(h)
        w, b = next(pairs)
        h = relu(flatten(h) @ w.T + b)
        w, b = next(pairs)
        return h @ w.T + b

    return params, forward, macs + 256 * 4096 + 2560


def language(kind, symbols, hidden, length):
    gates = 4 if kind == "lstm" else 1
    params = (weight(gates * hidden, symbols), weight(gates * hidden, hidden), jnp.zeros(gates * hidden),
              weight(symbols, hidden), jnp.zeros(symbols))

    def forward(p, x, key):
        wx, wh, b, wo, bo = p

        def rnn(h, u):
            h = jnp.tanh(u + h @ wh.T)
            return h, h

        def lstm(state, u):
            h, c = state
            i, f, g, o = jnp.split(u + h @ wh.T, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((x.shape[0], hidden))
        cell, first = (rnn, zeros) if kind == "rnn" else (lstm, (zeros, zeros))
        h = lax.scan(cell, first, (x @ wx.T + b).transpose(1, 0, 2))[1]
        return h.transpose(1, 0, 2) @ wo.T + bo

    return params, forward, length * (gates * hidden * (symbols + hidden) + hidden * symbols)


def images(batch, channels, size):
    x = RANDOM.standard_normal((batch, channels, size, size)).astype("f4")
    return jnp.asarray(x), jnp.asarray(RANDOM.integers(0, 10, batch))


def text(batch, length, symbols):
    x = np.eye(symbols, dtype="f4")[RANDOM.integers(0, symbols, (batch, length))]
    return jnp.asarray(x), jnp.asarray(RANDOM.integers(0, symbols, (batch, length)))


WORKLOADS = {
    "chapter_b10": (chapter, lambda: images(10, 1, 28)),
    "chapter_b128": (chapter, lambda: images(128, 1, 28)),
    "dropout_b10": (lambda: chapter((1000, 1000), 0.5), lambda: images(10, 1, 28)),
    "dropout_b128": (lambda: chapter((1000, 1000), 0.5), lambda: images(128, 1, 28)),
    "resnet20_b64": (resnet20, lambda: images(64, 3, 32)),
    "vgg_b32": (vgg, lambda: images(32, 3, 32)),
    "rnn128_t25_b1": (lambda: language("rnn", 64, 128, 25), lambda: text(1, 25, 64)),
    "lstm256_t64_b32": (lambda: language("lstm", 64, 256, 64), lambda: text(32, 64, 64)),
    "lstm512_t64_b32": (lambda: language("lstm", 64, 512, 64), lambda: text(32, 64, 64)),
}


def main():
    options = argparse.ArgumentParser(description="JAX's time of one workload")
    options.add_argument("workload", choices=WORKLOADS)
    options.add_argument("--seconds", type=float, default=1.0)
    o = options.parse_args()
    make_model, make_data = WORKLOADS[o.workload]
    params, forward, macs = make_model()
    x, y = make_data()

    def loss(p, step):
        key = jax.random.fold_in(jax.random.key(0), step)
        return -jnp.take_along_axis(jax.nn.log_softmax(forward(p, x, key)), y[..., None], -1).mean()

    def update(p, step):
        return jax.tree.map(lambda w, g: w - 0.01 * g, p, jax.grad(loss)(p, step))

    train, infer = jax.jit(update, donate_argnums=0), jax.jit(lambda p: forward(p, x, None))
    state = [params, 0]

    def step():
        state[:] = jax.block_until_ready(train(*state)), state[1] + 1

    begun = time.perf_counter()
    step()
    compile_ms = 1e3 * (time.perf_counter() - begun)
    step_ms, step_ms_min = measure(step, o.seconds)
    infer_ms, infer_ms_min = measure(lambda: jax.block_until_ready(infer(state[0])), o.seconds)
    print(json.dumps({"workload": o.workload, "version": jax.__version__, "threads": len(os.sched_getaffinity(0)),
                      "macs": macs * x.shape[0], "step_ms": step_ms, "step_ms_min": step_ms_min,
                      "infer_ms": infer_ms, "infer_ms_min": infer_ms_min, "compile_ms": compile_ms}))


if __name__ == "__main__":
    main()
