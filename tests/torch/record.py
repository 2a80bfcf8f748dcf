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
