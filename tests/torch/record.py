#!/usr/bin/env python3
"""Records PyTorch's answers for the networks of this folder, so that the tests need no Python.

usage: python3 tests/torch/record.py [NAME ...]

For each network NAME it writes tests/torch/NAME/: net.net, weights.safetensors, one .npy per input, and
answers.safetensors with the loss and every gradient, computed by PyTorch in f64 (as "NAME" F64) and in
f32 (as "f32:NAME"). tests/unit/test_driver_torch.c runs `netc grad` on them: netc's distance from the f64
answer may be at most twice that of PyTorch's own f32, plus four units in the last place.
"""
import json, math, os, struct, sys
import numpy as np
import torch
import torch.nn.functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
NETS = {}


def net(text, inputs, params):
    """Registers a network: its .net text, {input: numpy array}, {key: shape}; the function computes the
    loss per example from (params without the model's name, inputs)."""
    def register(fn):
        NETS[fn.__name__] = (text, inputs, params, fn)
        return fn
    return register


rng = np.random.default_rng(7)
f = lambda *s: rng.standard_normal(s).astype(np.float32)
lab = lambda n, b: rng.integers(0, n, b).astype(np.int32)
xent = lambda z, y: F.cross_entropy(z, y.long(), reduction="none")


def model(body, dims="", signature="x: [5]", objective="", before=""):
    return f"net 1\n{dims}{before}model Net {{\n{body}\n  objective({signature}) {{\n{objective}\n  }}\n}}\n"


@net(model("", "dim C = 4\n", "x: [2,3], y: C",
           "    z = x |> flatten |> Dense(7) as a |> sigmoid |> Dense(6, bias=false) as b |> tanh |> Dense(C) as out\n"
           "    loss xent(z, y)"),
     dict(x=f(5, 2, 3), y=lab(4, 5)),
     {"a.W": (7, 6), "a.b": (7,), "b.W": (6, 7), "out.W": (4, 6), "out.b": (4,)})
def dense(p, x, y):
    h = torch.sigmoid(F.linear(x.flatten(1), p["a.W"], p["a.b"]))
    return xent(F.linear(torch.tanh(F.linear(h, p["b.W"])), p["out.W"], p["out.b"]), y)


@net(model("", "dim C = 3\n", "x: [2,13,11], y: C",
           "    z = x |> Conv(4, 3, stride=2, pad=1) as a |> relu |> Conv(5, 3, pad=2, dilation=2, bias=false) as b\n"
           "          |> maxpool(3, stride=2, pad=1) |> relu |> flatten |> Dense(C) as out\n"
           "    loss xent(z, y)"),
     dict(x=f(3, 2, 13, 11), y=lab(3, 3)),
     {"a.w": (4, 2, 3, 3), "a.b": (4,), "b.w": (5, 4, 3, 3), "out.W": (3, 60), "out.b": (3,)})
def conv(p, x, y):
    h = F.relu(F.conv2d(x, p["a.w"], p["a.b"], stride=2, padding=1))
    h = F.max_pool2d(F.conv2d(h, p["b.w"], None, padding=2, dilation=2), 3, 2, 1)
    return xent(F.linear(F.relu(h).flatten(1), p["out.W"], p["out.b"]), y)


@net(model("", "dim C = 10\n", "x: [1,16,16], y: C",
           "    z = x |> ConvPool(6, 5, 2) as u |> ConvPool(8, 3, 2) as v |> flatten |> Dense(C) as out\n"
           "    loss xent(z, y)"),
     dict(x=f(11, 1, 16, 16), y=lab(10, 11)),
     {"u.conv.w": (6, 1, 5, 5), "u.conv.b": (6,), "v.conv.w": (8, 6, 3, 3), "v.conv.b": (8,),
      "out.W": (10, 32), "out.b": (10,)})
def convpool(p, x, y):
    h = F.relu(F.max_pool2d(F.conv2d(x, p["u.conv.w"], p["u.conv.b"]), 2))
    h = F.relu(F.max_pool2d(F.conv2d(h, p["v.conv.w"], p["v.conv.b"]), 2))
    return xent(F.linear(h.flatten(1), p["out.W"], p["out.b"]), y)


@net(model("", "", "x: [3,12,12], t: [5]",
           "    z = x |> Conv(4, 3, pad=1) as a |> gelu |> avgpool(2) |> Conv(6, 3) as b |> softplus |> l2pool(2)\n"
           "          |> Conv(5, 1) as c |> elu |> global_avgpool\n"
           "    loss mse(z, t)"),
     dict(x=f(4, 3, 12, 12), t=f(4, 5)),
     {"a.w": (4, 3, 3, 3), "a.b": (4,), "b.w": (6, 4, 3, 3), "b.b": (6,), "c.w": (5, 6, 1, 1), "c.b": (5,)})
def pools(p, x, t):
    h = F.avg_pool2d(F.gelu(F.conv2d(x, p["a.w"], p["a.b"], padding=1), approximate="tanh"), 2)
    h = F.softplus(F.conv2d(h, p["b.w"], p["b.b"]))
    h = 2 * torch.sqrt(F.avg_pool2d(h * h, 2))
    h = F.elu(F.conv2d(h, p["c.w"], p["c.b"])).mean((2, 3))
    return ((h - t) ** 2).mean(1)


@net(model("", "dim C = 4\n", "x: [3,17], y: C",
           "    z = x |> Conv1(6, 4, stride=2, pad=1) as a |> leaky_relu |> Conv1(5, 3, dilation=2) as b |> maxpool1(2) |> flatten\n"
           "          |> Dense(C) as out\n"
           "    loss xent(z, y)"),
     dict(x=f(6, 3, 17), y=lab(4, 6)),
     {"a.w": (6, 3, 4), "a.b": (6,), "b.w": (5, 6, 3), "b.b": (5,), "out.W": (4, 10), "out.b": (4,)})
def conv1(p, x, y):
    h = F.leaky_relu(F.conv1d(x, p["a.w"], p["a.b"], stride=2, padding=1), 0.01)
    h = F.max_pool1d(F.conv1d(h, p["b.w"], p["b.b"], dilation=2), 2)
    return xent(F.linear(h.flatten(1), p["out.W"], p["out.b"]), y)


@net(model("", "dim Word = 11\ndim T = 6\ndim C = 3\n", "w: Word[T], y: C",
           "    e[t] = w[t] |> Embed(5) as emb\n"
           "    a = e |> Attend(4) as att\n    m[d] = mean[t](a[t,d])\n"
           "    loss xent(m |> Dense(C) as out, y)",
           "layer Attend(k)(x: [T,D]) -> [T,D] {\n  param Wq: [k,D] ~ glorot\n  param Wk: [k,D] ~ glorot\n"
           "  q[t,i] = sum[d](Wq[i,d]*x[t,d])\n  p[t,i] = sum[d](Wk[i,d]*x[t,d])\n"
           "  s[t,u] = if u <= t then sum[i](q[t,i]*p[u,i]) / sqrt(k) else -inf\n"
           "  a[t] = softmax(s[t])\n  y[t,d] = sum[u](a[t,u]*x[u,d])\n  return y\n}\n"),
     dict(w=rng.integers(0, 11, (7, 6)).astype(np.int32), y=lab(3, 7)),
     {"emb.E": (11, 5), "att.Wq": (4, 5), "att.Wk": (4, 5), "out.W": (3, 5), "out.b": (3,)})
def attention(p, w, y):
    x = p["emb.E"][w.long()]
    q, k = x @ p["att.Wq"].T, x @ p["att.Wk"].T
    s = q @ k.transpose(1, 2) / 2
    s = s.masked_fill(torch.triu(torch.ones(6, 6, dtype=torch.bool), 1), -math.inf)
    return xent(F.linear((torch.softmax(s, -1) @ x).mean(1), p["out.W"], p["out.b"]), y)


@net(model("", "dim C = 5\n", "x: [2,6,6], y: C",
           "    z = x |> Conv(4, 3) as a |> BatchNorm as bn |> relu |> flatten |> Dense(C) as out\n"
           "    loss xent(z, y)").replace("BatchNorm as", "BatchNorm() as"),
     dict(x=f(9, 2, 6, 6), y=lab(5, 9)),
     {"a.w": (4, 2, 3, 3), "a.b": (4,), "bn.g": (4,), "bn.b": (4,), "out.W": (5, 64), "out.b": (5,)})
def batchnorm(p, x, y):
    h = F.batch_norm(F.conv2d(x, p["a.w"], p["a.b"]), None, None, p["bn.g"], p["bn.b"], training=True)
    return xent(F.linear(F.relu(h).flatten(1), p["out.W"], p["out.b"]), y)


@net(model("  param scale: [3] = 1", "dim C = 3\n", "x: [4], y: C, t: [3]",
           "    h = x |> Dense(3) as a\n    s = softmax(h)\n    c = concat(h, onehot(y))\n"
           "    g = c |> Dense(3) as b\n"
           "    loss bce(g, t) + mse(s .* scale, t) + 0.1*l2(h) + 0.05*l1(g)\n"
           "    loss -sum(log_softmax(h) .* t)"),
     dict(x=f(5, 4), y=lab(3, 5), t=rng.random((5, 3)).astype(np.float32)),
     {"a.W": (3, 4), "a.b": (3,), "b.W": (3, 6), "b.b": (3,), "scale": (3,)})
def losses(p, x, y, t):
    h = F.linear(x, p["a.W"], p["a.b"])
    g = F.linear(torch.cat([h, F.one_hot(y.long(), 3).to(h.dtype)], 1), p["b.W"], p["b.b"])
    return (F.binary_cross_entropy_with_logits(g, t, reduction="none").mean(1)
            + ((torch.softmax(h, 1) * p["scale"] - t) ** 2).mean(1) + 0.1 * (h ** 2).sum(1) + 0.05 * g.abs().sum(1)
            - (F.log_softmax(h, 1) * t).sum(1))


@net(model("", "dim C = 4\n", "x: [3,20,20], y: C",
           "    h = x |> Cnn(8) as cnn |> Stack(8, 2) as st\n"
           "    repeat i in 0:2 { d = Dense(8); h = h + relu(d(h)) }\n"
           "    loss xent(h |> Dense(C) as out, y)"),
     dict(x=f(3, 3, 20, 20), y=lab(4, 3)),
     {"cnn.c1.w": (16, 3, 5, 5), "cnn.c1.b": (16,), "cnn.c2.w": (32, 16, 5, 5), "cnn.c2.b": (32,),
      "cnn.f.W": (8, 128), "cnn.f.b": (8,), "st.dense.0.W": (8, 8), "st.dense.0.b": (8,), "st.dense.1.W": (8, 8),
      "st.dense.1.b": (8,), "d.0.W": (8, 8), "d.0.b": (8,), "d.1.W": (8, 8), "d.1.b": (8,), "out.W": (4, 8), "out.b": (4,)})
def residual(p, x, y):
    h = F.relu(F.max_pool2d(F.conv2d(x, p["cnn.c1.w"], p["cnn.c1.b"]), 2))
    h = F.relu(F.max_pool2d(F.conv2d(h, p["cnn.c2.w"], p["cnn.c2.b"]), 2))
    h = F.relu(F.linear(h.flatten(1), p["cnn.f.W"], p["cnn.f.b"]))
    for i in "01":
        h = F.relu(F.linear(h, p[f"st.dense.{i}.W"], p[f"st.dense.{i}.b"]))
    for i in "01":
        h = h + F.relu(F.linear(h, p[f"d.{i}.W"], p[f"d.{i}.b"]))
    return xent(F.linear(h, p["out.W"], p["out.b"]), y)


@net(model("", "", "x: [2,8,8], t: [6]",
           "    h = x |> Conv(3, 3) as a |> tanh |> smoothpool(2) |> flatten |> LayerNorm() as ln |> Dense(6) as out\n"
           "    q[i] = abs(h[i])^1.5 + sin(h[i])*cos(t[i])\n"
           "    loss sum(q) + prod(h) + min(h) + max(h .* t) + sqrt(sum(h^2))",
           "fn smoothpool(x: [C,H,W], k) -> [C,P,Q] {\n  dim P = H / k\n  dim Q = W / k\n"
           "  y[c, i < P, j < Q] = log(sum[r < k, s < k](exp(4*x[c, k*i+r, k*j+s])) / (k*k)) / 4\n  return y\n}\n"
           "layer LayerNorm(eps=1e-5)(x: [n]) -> [n] {\n  param g: [n] = 1\n  param b: [n] = 0\n  m = mean(x)\n"
           "  return g .* (x - m) / sqrt(mean((x - m)^2) + eps) + b\n}\n"),
     dict(x=f(5, 2, 8, 8), t=f(5, 6)),
     {"a.w": (3, 2, 3, 3), "a.b": (3,), "ln.g": (27,), "ln.b": (27,), "out.W": (6, 27), "out.b": (6,)})
def own(p, x, t):
    h = torch.exp(4 * torch.tanh(F.conv2d(x, p["a.w"], p["a.b"])))
    h = (torch.log(F.avg_pool2d(h, 2)) / 4).flatten(1)
    h = F.linear(F.layer_norm(h, (27,), p["ln.g"], p["ln.b"]), p["out.W"], p["out.b"])
    return ((h.abs() ** 1.5 + torch.sin(h) * torch.cos(t)).sum(1) + h.prod(1) + h.amin(1) + (h * t).amax(1)
            + torch.sqrt((h ** 2).sum(1)))


# ---- sequences: examples of different lengths (T.npy), packed in PyTorch -----------------------------------------

def lengths(most, n):
    """1, the longest, and others."""
    return np.array([most, 1] + [int(v) for v in rng.integers(1, most + 1, n - 2)], np.int32)


GATES = "ifgo"


def lstm_shapes(prefix, x, h):
    return {f"{prefix}.{s}{g}.{w}": (h,) if w == "b" else (h, x if s == "w" else h) for g in GATES for s in "wu" for w in "Wb"}


def lstm_weights(p, prefix, layer="l0"):
    cat = lambda s, w: torch.cat([p[f"{prefix}.{s}{g}.{w}"] for g in GATES])
    return {f"weight_ih_{layer}": cat("w", "W"), f"weight_hh_{layer}": cat("u", "W"), f"bias_ih_{layer}": cat("w", "b"),
            f"bias_hh_{layer}": cat("u", "b")}


def packed(module, weights, x, T, state=None):
    """Outputs of every step, 0 past the end, and the last state."""
    module = module.to(x.dtype)
    seq = torch.nn.utils.rnn.pack_padded_sequence(x, T.long(), batch_first=True, enforce_sorted=False)
    out, last = torch.func.functional_call(module, weights, (seq,) if state is None else (seq, state))
    return torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=x.shape[1])[0], last


def over_steps(e, T):
    """The mean over the steps of each example of e [n,T]."""
    there = torch.arange(e.shape[1])[None] < T[:, None]
    return torch.where(there, e, 0).sum(1) / T


def each(z, y, T):
    return over_steps(F.cross_entropy(z.flatten(0, 1), y.long().flatten(), reduction="none").view(y.shape), T)


@net(model("  cell = Rnn(6);  out = Dense(C)", "dim C = 4\ndim T <= 7\n", "x: [T,3], y: C[T], k: [6]",
           "    scan t in T { h[t] = cell(x[t], h[t-1]) from zeros }\n    e[t] = xent(out(h[t]), y[t])\n"
           "    loss mean[t](e[t]) + mse(last(h), k)"),
     dict(x=f(5, 7, 3), y=rng.integers(0, 4, (5, 7)).astype(np.int32), k=f(5, 6), T=lengths(7, 5)),
     {"cell.Wxh": (6, 3), "cell.Whh": (6, 6), "cell.b": (6,), "out.W": (4, 6), "out.b": (4,)})
def rnn(p, x, y, k, T):
    w = {"weight_ih_l0": p["cell.Wxh"], "weight_hh_l0": p["cell.Whh"], "bias_ih_l0": p["cell.b"],
         "bias_hh_l0": torch.zeros_like(p["cell.b"])}
    h, last = packed(torch.nn.RNN(3, 6, batch_first=True), w, x, T)
    return each(F.linear(h, p["out.W"], p["out.b"]), y, T) + ((last[0] - k) ** 2).mean(1)


@net(model("  emb = Embed(5);  cell = Lstm(9);  out = Dense(V)", "dim V = 6\ndim T <= 8\n", "x: V[T], y: V[T]",
           "    e[t] = emb(x[t])\n    scan t in T { h[t], c[t] = cell(e[t], h[t-1], c[t-1]) from zeros, zeros }\n"
           "    l[t] = xent(out(h[t]), y[t])\n    loss mean[t](l[t]) + 0.1 * l2(last(c))"),
     dict(x=rng.integers(0, 6, (6, 8)).astype(np.int32), y=rng.integers(0, 6, (6, 8)).astype(np.int32), T=lengths(8, 6)),
     {"emb.E": (6, 5), **lstm_shapes("cell", 5, 9), "out.W": (6, 9), "out.b": (6,)})
def lstm(p, x, y, T):
    h, (_, c) = packed(torch.nn.LSTM(5, 9, batch_first=True), lstm_weights(p, "cell"), p["emb.E"][x.long()], T)
    return each(F.linear(h, p["out.W"], p["out.b"]), y, T) + 0.1 * (c[0] ** 2).sum(1)


@net(model("  cell = Gru(5);  out = Dense(3)", "dim T <= 6\n", "x: [T,4], k: [3]",
           "    scan t in T with (checkpoint=2) { h[t] = cell(x[t], h[t-1]) from 0.1 }\n    loss mse(out(last(h)), k)"),
     dict(x=f(4, 6, 4), k=f(4, 3), T=lengths(6, 4)),
     {**{f"cell.{s}{g}.{w}": (5,) if w == "b" else (5, 4 if s == "w" else 5) for g in "zrg" for s in "wu" for w in "Wb"},
      "out.W": (3, 5), "out.b": (3,)})
def gru(p, x, k, T):
    lin = lambda n, v: F.linear(v, p[f"cell.{n}.W"], p[f"cell.{n}.b"])
    h = torch.full((x.shape[0], 5), 0.1, dtype=x.dtype)
    for t in range(x.shape[1]):
        z = torch.sigmoid(lin("wz", x[:, t]) + lin("uz", h))
        r = torch.sigmoid(lin("wr", x[:, t]) + lin("ur", h))
        new = (1 - z) * h + z * torch.tanh(lin("wg", x[:, t]) + lin("ug", r * h))
        h = torch.where((t < T)[:, None], new, h)
    return ((F.linear(h, p["out.W"], p["out.b"]) - k) ** 2).mean(1)


@net(model("  cell = Reset(5);  out = Dense(3)", "dim T <= 6\n", "x: [T,4], k: [3]",
           "    scan t in T { h[t] = cell(x[t], h[t-1]) from zeros }\n    m[i] = max[t](h[t,i])\n    loss mse(out(m), k)",
           "layer Reset(n)(x: [X], h: [n]) -> [n] {\n  wr = Dense(n);  ur = Dense(n);  wz = Dense(n);  uz = Dense(n)\n"
           "  wn = Dense(n);  un = Dense(n)\n  r = sigmoid(wr(x) + ur(h))\n  z = sigmoid(wz(x) + uz(h))\n"
           "  return (1 - z) .* tanh(wn(x) + r .* un(h)) + z .* h\n}\n"),
     dict(x=f(4, 6, 4), k=f(4, 3), T=lengths(6, 4)),
     {**{f"cell.{s}{g}.{w}": (5,) if w == "b" else (5, 4 if s == "w" else 5) for g in "rzn" for s in "wu" for w in "Wb"},
      "out.W": (3, 5), "out.b": (3,)})
def reset(p, x, k, T):
    cat = lambda s, w: torch.cat([p[f"cell.{s}{g}.{w}"] for g in "rzn"])
    w = {"weight_ih_l0": cat("w", "W"), "weight_hh_l0": cat("u", "W"), "bias_ih_l0": cat("w", "b"), "bias_hh_l0": cat("u", "b")}
    h, _ = packed(torch.nn.GRU(4, 5, batch_first=True), w, x, T)
    there = torch.arange(x.shape[1])[None, :, None] < T[:, None, None]
    m = torch.where(there, h, -math.inf).amax(1)
    return ((F.linear(m, p["out.W"], p["out.b"]) - k) ** 2).mean(1)


@net(model("  bi = BiLstm(4);  out = Dense(C)", "dim C = 3\ndim T <= 6\n", "x: [T,3], y: C[T]",
           "    b = bi(x)\n    l[t] = xent(out(b[t]), y[t])\n    loss mean[t](l[t])"),
     dict(x=f(5, 6, 3), y=rng.integers(0, 3, (5, 6)).astype(np.int32), T=lengths(6, 5)),
     {**lstm_shapes("bi.fw", 3, 4), **lstm_shapes("bi.bw", 3, 4), "out.W": (3, 8), "out.b": (3,)})
def bilstm(p, x, y, T):
    w = {**lstm_weights(p, "bi.fw"), **lstm_weights(p, "bi.bw", "l0_reverse")}
    h, _ = packed(torch.nn.LSTM(3, 4, batch_first=True, bidirectional=True), w, x, T)
    return each(F.linear(h, p["out.W"], p["out.b"]), y, T)


@net(model("  deep = StackedLstm(5, 3);  out = Dense(2)", "dim T <= 5\n", "x: [T,3], k: [2]",
           "    loss mse(out(last(deep(x))), k)"),
     dict(x=f(4, 5, 3), k=f(4, 2), T=lengths(5, 4)),
     {**lstm_shapes("deep.first_cell", 3, 5), **lstm_shapes("deep.cell.1", 5, 5), **lstm_shapes("deep.cell.2", 5, 5),
      "out.W": (2, 5), "out.b": (2,)})
def stacked(p, x, k, T):
    w = {}
    for i, name in enumerate(("first_cell", "cell.1", "cell.2")):
        w.update(lstm_weights(p, f"deep.{name}", f"l{i}"))
    _, (h, _) = packed(torch.nn.LSTM(3, 5, 3, batch_first=True), w, x, T)
    return ((F.linear(h[2], p["out.W"], p["out.b"]) - k) ** 2).mean(1)


@net(model("  enc = Lstm(7);  dec = Lstm(7);  emb = Embed(4);  out = Dense(V)", "dim V = 5\ndim S <= 6\ndim T <= 5\n",
           "x: [S,3], y: V[T], z: V[T]",
           "    scan s in S { a[s], c[s] = enc(x[s], a[s-1], c[s-1]) from zeros, zeros }\n    e[t] = emb(y[t])\n"
           "    scan t in T with (checkpoint=2) { h[t], d[t] = dec(e[t], h[t-1], d[t-1]) from last(a), last(c) }\n"
           "    l[t] = xent(out(h[t]), z[t])\n    loss mean[t](l[t])"),
     dict(x=f(5, 6, 3), y=rng.integers(0, 5, (5, 5)).astype(np.int32), z=rng.integers(0, 5, (5, 5)).astype(np.int32),
          S=lengths(6, 5), T=lengths(5, 5)[::-1].copy()),
     {**lstm_shapes("enc", 3, 7), **lstm_shapes("dec", 4, 7), "emb.E": (5, 4), "out.W": (5, 7), "out.b": (5,)})
def encdec(p, x, y, z, S, T):
    _, state = packed(torch.nn.LSTM(3, 7, batch_first=True), lstm_weights(p, "enc"), x, S)
    h, _ = packed(torch.nn.LSTM(4, 7, batch_first=True), lstm_weights(p, "dec"), p["emb.E"][y.long()], T, state)
    return each(F.linear(h, p["out.W"], p["out.b"]), z, T)


TYPES = {"float32": "F32", "float64": "F64", "int32": "I32"}


def save(path, tensors):
    head, data = {}, b""
    for k, v in sorted(tensors.items(), key=lambda kv: (-kv[1].itemsize, kv[0])):
        b = np.ascontiguousarray(v).tobytes()
        head[k] = dict(dtype=TYPES[str(v.dtype)], shape=list(v.shape), data_offsets=[len(data), len(data) + len(b)])
        data += b
    h = json.dumps(head).encode()
    h += b" " * (-(len(h) + 8) % 64)
    open(path, "wb").write(struct.pack("<Q", len(h)) + h + data)


def record(name):
    text, inputs, shapes, fn = NETS[name]
    d = os.path.join(HERE, name)
    os.makedirs(d, exist_ok=True)
    open(os.path.join(d, "net.net"), "w").write(text)
    g = np.random.default_rng(len(name))
    weights = {k: (g.standard_normal(s) * (0.1 if len(s) == 1 else 1 / math.sqrt(np.prod(s[1:])))
                   + (k.endswith(".g") or k == "scale")).astype(np.float32) for k, s in shapes.items()}
    save(os.path.join(d, "weights.safetensors"), {f"Net.{k}": v for k, v in weights.items()})
    for k, v in inputs.items():
        np.save(os.path.join(d, k + ".npy"), v)
    answers = {}
    for dt, prefix in ((torch.float64, ""), (torch.float32, "f32:")):
        p = {k: torch.from_numpy(v).to(dt).requires_grad_(True) for k, v in weights.items()}
        x = {k: torch.from_numpy(v).to(dt) if v.dtype == np.float32 else torch.from_numpy(v) for k, v in inputs.items()}
        loss = fn(p, **x).mean()
        loss.backward()
        answers[prefix + "loss"] = loss.detach().numpy()
        for k, v in p.items():
            answers[f"{prefix}Net.{k}"] = v.grad.numpy()
    save(os.path.join(d, "answers.safetensors"), answers)
    print(f"{name:12} loss {float(answers['loss']):.6f}, {len(shapes)} parameters")


for n in sys.argv[1:] or NETS:
    record(n)
