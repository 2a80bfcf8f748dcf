#!/usr/bin/env python3
"""PyTorch's side of the examples on sequences: the same data, sizes, first weights and number of steps.

usage: torch_examples.py EXAMPLE WEIGHTS [--epochs N] [--threads N] [--seed N]

EXAMPLE is one of rnn lstm langid phonemes dates frames caption sentences; its data is where examples/fetch put it.
WEIGHTS are the first ones: netc init examples/X/X.net -o WEIGHTS. Prints the mean loss and the metrics of each epoch, as
netc train does, and at the end the median time of a training step in ms. nn.LSTM, nn.GRU and nn.RNN do the recurrence, over
packed sequences where the end of a sequence matters; everything that netc has in one step is in the step's time.
"""
import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GATES = {"LSTM": "ifgo", "GRU": "rzg"}      # in PyTorch's order, by the letters of netc's library


# ---- data ------------------------------------------------------------------------------------------------


def read_safetensors(path):
    raw = Path(path).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    kinds = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "U8": np.uint8, "U32": np.uint32}
    out = {}
    for key, t in json.loads(raw[8:8 + size]).items():
        if key != "__metadata__":
            a, b = t["data_offsets"]
            out[key] = torch.from_numpy(np.frombuffer(raw[8 + size + a:8 + size + b], kinds[t["dtype"]]).reshape(t["shape"]).copy())
    return out


class Vocab:
    """Symbols as vocab(file, by=, min=, eos=) has them: sorted, then unknown, begin, end."""

    def __init__(self, sequences, minimum=1, eos=False):
        times = {}
        for s in sequences:
            for symbol in s:
                times[symbol] = times.get(symbol, 0) + 1
        self.symbols = sorted(s for s in times if times[s] >= minimum)
        self.index = {s: i for i, s in enumerate(self.symbols)}
        self.size = len(self.symbols)
        self.unk = self._special(minimum > 1)
        self.bos = self._special(eos)
        self.eos = self._special(eos)

    def _special(self, wanted):
        self.size += wanted
        return self.size - 1 if wanted else None

    def encode(self, s):
        codes = [self.index[x] if self.unk is None else self.index.get(x, self.unk) for x in s]
        return codes + [self.eos] * (self.eos is not None)


def padded(rows, width=None):
    lengths = torch.tensor([min(len(r), width or len(r)) for r in rows])
    out = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for i, r in enumerate(rows):
        out[i, :lengths[i]] = torch.tensor(r[:lengths[i]])
    return out, lengths


def read_tsv(path):
    return [line.rstrip("\n").split("\t") for line in open(path, encoding="utf-8")]


def pairs(folder, left, right, **options):
    """train, valid, test: (x, lengths, y[, lengths]) of two columns; `left`, `right` cut a cell into symbols."""
    parts = [read_tsv(folder / f"{name}.tsv") for name in ("train", "valid", "test")]
    a = Vocab((left(r[0]) for r in parts[0]), **options.get("a", {}))
    b = Vocab((right(r[1]) for r in parts[0]), **options.get("b", {}))
    out = []
    for rows in parts:
        x = padded([a.encode(left(r[0])) for r in rows])
        y = padded([b.encode(right(r[1])) for r in rows])
        out.append([*x, *y] if "b" in options else [*x, y[0][:, 0]])
    return out, a, b


def batches(data, size, bucket=None, shuffle=True):
    """Index lists of a pass; with `bucket` rows of like lengths go together."""
    n = len(data[0])
    order = torch.randperm(n) if shuffle else torch.arange(n)
    if bucket is not None:
        window = 64 * size
        order = torch.cat([w[torch.argsort(data[bucket][w], stable=True)] for w in order.split(window)])
    cut = list(order.split(size))
    return [cut[i] for i in torch.randperm(len(cut))] if shuffle and bucket is not None else cut


# ---- parts -----------------------------------------------------------------------------------------------


def recurrent(kind, inputs, hidden):
    return getattr(nn, kind)(inputs, hidden, batch_first=True)


def load_recurrent(cell, w, key):
    """Weights of netc's Lstm or Gru (two dense layers for each gate), or of an own vanilla cell, to a PyTorch module."""
    if cell.mode == "RNN_TANH":
        parts = w[key + ".Wxh"], w[key + ".b"], w[key + ".Whh"], torch.zeros_like(w[key + ".b"])
        cell.bias_hh_l0.requires_grad_(False)       # one bias, as in the formula: two would learn twice as fast
    else:
        parts = [torch.cat([w[f"{key}.{side}{g}.{name}"] for g in GATES[cell.mode]]) for side in "wu" for name in "Wb"]
    with torch.no_grad():
        for target, value in zip((cell.weight_ih_l0, cell.bias_ih_l0, cell.weight_hh_l0, cell.bias_hh_l0), parts):
            target.copy_(value)


def load(module, w, key):
    with torch.no_grad():
        if isinstance(module, nn.RNNBase):
            load_recurrent(module, w, key)
        elif isinstance(module, nn.Embedding):
            module.weight.copy_(w[key + ".E"])
        else:
            module.weight.copy_(w[key + (".w" if key + ".w" in w else ".W")])
            module.bias.copy_(w[key + ".b"])


def run_packed(cell, x, lengths):
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return cell(packed)


def reverse(x, lengths):
    """Each row's own steps from the last to the first."""
    at = (lengths[:, None] - 1 - torch.arange(x.shape[1])[None]) % x.shape[1]
    return x.gather(1, at)


def step_mask(lengths, width):
    return torch.arange(width)[None] < lengths[:, None]


def mean_steps(values, lengths):
    """Mean over each row's own steps, then over the rows."""
    mask = step_mask(lengths, values.shape[1])
    return (torch.where(mask, values, 0.0).sum(1) / lengths).mean()


def sequence_loss(z, y, lengths):
    return mean_steps(F.cross_entropy(z.transpose(1, 2), y, reduction="none"), lengths)


def all_right(z, y, lengths):
    right = (z.argmax(2) == y) | ~step_mask(lengths, y.shape[1])
    return right.all(1).float().mean()


def crop(x, lengths):
    return x[:, :int(lengths.max())]


# ---- the examples ----------------------------------------------------------------------------------------
# Each: data (train, valid, test), batch, epochs, bucket, clip, rate; loss(batch) -> loss, metrics.


class CharModel(nn.Module):
    batch, epochs, rate, clip, bucket, window = 32, 6, 0.002, 1.0, None, 50

    def __init__(self, kind):
        super().__init__()
        text = open(EXAMPLES / "charlm/input.txt").read()
        v = Vocab([text])
        codes = torch.tensor(v.encode(text))
        cuts = [int(len(codes) * f + 0.5) for f in (0, 0.9, 0.95, 1)]
        self.data = [self.lanes(codes[a:b]) for a, b in zip(cuts, cuts[1:])]
        self.kind, self.symbols = kind, v.size
        self.emb = nn.Embedding(v.size, 32) if kind == "LSTM" else None
        self.cell = recurrent(kind, 32 if self.emb else v.size, 128)
        self.out = nn.Linear(self.cell.hidden_size, v.size)
        self.state = None

    def lanes(self, codes):
        width = len(codes) // self.batch
        windows = (width - 1) // self.window
        lanes = codes[:width * self.batch].view(self.batch, width)
        n = windows * self.window
        return [lanes[:, :n].unflatten(1, (windows, -1)).transpose(0, 1), lanes[:, 1:n + 1].unflatten(1, (windows, -1)).transpose(0, 1)]

    def load(self, w):
        if self.emb:
            load(self.emb, w, "CharLM.emb")
        load(self.cell, w, "CharLM.cell")
        load(self.out, w, "CharLM.out")

    def reset(self):
        self.state = None

    def loss(self, x, y):
        x, y = x[0], y[0]
        inputs = self.emb(x) if self.emb else F.one_hot(x, self.symbols).float()
        h, state = self.cell(inputs, self.state)
        self.state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = F.cross_entropy(self.out(h).transpose(1, 2), y)
        return loss, {"bits": loss / math.log(2)}


class LangId(nn.Module):
    batch, epochs, rate, clip, bucket = 64, 4, 0.002, None, 1

    def __init__(self):
        super().__init__()
        self.data, letters, languages = pairs(EXAMPLES / "langid", list, lambda cell: [cell], a={"minimum": 2})
        self.emb = nn.Embedding(letters.size, 24)
        self.forth, self.back = recurrent("LSTM", 24, 64), recurrent("LSTM", 24, 64)
        self.out = nn.Linear(128, languages.size)

    def load(self, w):
        for name in ("emb", "forth", "back", "out"):
            load(getattr(self, name), w, "LangId." + name)

    def loss(self, x, lengths, y):
        x = crop(x, lengths)
        a = run_packed(self.forth, self.emb(x), lengths)[1][0][0]
        b = run_packed(self.back, self.emb(reverse(x, lengths)), lengths)[1][0][0]
        z = self.out(torch.cat([a, b], 1))
        return F.cross_entropy(z, y), {"accuracy": (z.argmax(1) == y).float().mean()}


class Translate(nn.Module):
    """Encoder and decoder: the phonemes of a spelling, a date in ISO 8601."""
    batch, bucket = 64, 1

    def __init__(self, kind, a, b, hidden):
        super().__init__()
        self.bos = b.bos
        self.ea, self.eb = nn.Embedding(a.size, 32), nn.Embedding(b.size, 32)
        self.encoder, self.decoder = recurrent(kind, 32, hidden), recurrent(kind, 32, hidden)
        self.out = nn.Linear(hidden, b.size)

    def load(self, w):
        for key, module in self.keys.items():
            load(getattr(self, module), w, key)

    def loss(self, x, nx, y, ny):
        x, y = crop(x, nx), crop(y, ny)
        state = run_packed(self.encoder, self.ea(reverse(x, nx) if self.backwards else x), nx)[1]
        before = torch.cat([torch.full_like(y[:, :1], self.bos), y[:, :-1]], 1)
        z = self.out(self.decoder(self.eb(before), state)[0])
        steps = mean_steps((z.argmax(2) == y).float(), ny)
        return sequence_loss(z, y, ny), {self.metrics[0]: steps, self.metrics[1]: all_right(z, y, ny)}


class Phonemes(Translate):
    epochs, rate, clip, bucket, backwards, metrics = 4, 0.002, 1.0, 3, True, ("phonemes", "words")
    keys = {"Speech.el": "ea", "Speech.ep": "eb", "Speech.reader": "encoder", "Speech.speaker": "decoder", "Speech.out": "out"}

    def __init__(self):
        data, a, b = pairs(EXAMPLES / "phonemes", list, str.split, b={"eos": True})
        super().__init__("LSTM", a, b, 128)
        self.data = data


class Dates(Translate):
    epochs, rate, clip, backwards, metrics = 30, 0.003, None, False, ("symbols", "exact")
    keys = {"Norm.es": "ea", "Norm.et": "eb", "Norm.enc": "encoder", "Norm.dec": "decoder", "Norm.out": "out"}

    def __init__(self):
        rows = read_tsv(EXAMPLES / "dates/dates.tsv")
        a, b = Vocab(r[0] for r in rows), Vocab((r[1] for r in rows), eos=True)
        super().__init__("GRU", a, b, 64)
        data = [*padded([a.encode(r[0]) for r in rows]), *padded([b.encode(r[1]) for r in rows])]
        order = torch.randperm(len(rows))
        self.data = [[t[part] for t in data] for part in order.split([16000, 2000, 2000])]


class ConvNet(nn.Module):
    def __init__(self, flat, n):
        super().__init__()
        self.c1, self.c2, self.f = nn.Conv2d(1, 16, 5), nn.Conv2d(16, 32, 5), nn.Linear(flat, n)

    def load(self, w, key):
        for name in ("c1", "c2", "f"):
            load(getattr(self, name), w, key + name)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.c1(x), 2))
        x = F.relu(F.max_pool2d(self.c2(x), 2))
        return F.relu(self.f(x.flatten(1)))


class Frames(nn.Module):
    batch, epochs, rate, clip, bucket = 16, 5, 0.001, 5.0, 2

    def __init__(self):
        super().__init__()
        t = read_safetensors(EXAMPLES / "frames/clips.safetensors")
        data = [t["frames"], t["digit"].long(), t["T"].long()]
        self.data = [[x[a:b] for x in data] for a, b in ((0, 4000), (4000, 4500), (4500, 5000))]
        self.cnn, self.cell, self.out = ConvNet(800, 64), recurrent("LSTM", 64, 64), nn.Linear(64, 10)

    def load(self, w):
        self.cnn.load(w, "Video.")
        load(self.cell, w, "Video.cell")
        load(self.out, w, "Video.out")

    def loss(self, frames, digit, lengths):
        frames, digit = crop(frames, lengths), crop(digit, lengths)
        x = self.cnn(frames.flatten(0, 1).float() / 255).unflatten(0, frames.shape[:2])
        z = self.out(self.cell(x)[0])
        return sequence_loss(z, digit, lengths), {"accuracy": mean_steps((z.argmax(2) == digit).float(), lengths)}


class Caption(nn.Module):
    batch, epochs, rate, clip, bucket = 32, 8, 0.001, None, None

    def __init__(self):
        super().__init__()
        rows = read_tsv(EXAMPLES / "caption/captions.tsv")
        words = Vocab((r[1].split() for r in rows), eos=True)
        pixels = [np.frombuffer((EXAMPLES / "caption" / r[0]).read_bytes()[-24 * 104:], np.uint8) for r in rows]
        images = torch.from_numpy(np.stack(pixels).reshape(-1, 1, 24, 104).copy())
        data = [images, *padded([words.encode(r[1].split()) for r in rows])]
        self.data = [[x[a:b] for x in data] for a, b in ((0, 18000), (18000, 19000), (19000, 20000))]
        self.bos = words.bos
        self.cnn, self.emb = ConvNet(2208, 256), nn.Embedding(words.size, 16)
        self.cell, self.out = recurrent("RNN", 16 + 256, 128), nn.Linear(128, words.size)

    def load(self, w):
        self.cnn.load(w, "Caption.")
        load(self.emb, w, "Caption.emb")
        load(self.out, w, "Caption.out")
        both = {"cell.Wxh": torch.cat([w["Caption.cell.Wxh"], w["Caption.cell.Wvh"]], 1), "cell.Whh": w["Caption.cell.Whh"],
                "cell.b": w["Caption.cell.b"]}
        load(self.cell, both, "cell")

    def loss(self, images, y, lengths):
        y = crop(y, lengths)
        v = F.dropout(self.cnn(images.float() / 255), 0.5, self.training)
        before = torch.cat([torch.full_like(y[:, :1], self.bos), y[:, :-1]], 1)
        x = torch.cat([self.emb(before), v[:, None].expand(-1, y.shape[1], -1)], 2)
        z = self.out(self.cell(x)[0])
        return sequence_loss(z, y, lengths), {"exact": all_right(z, y, lengths)}


class Sentences(nn.Module):
    batch, epochs, rate, clip, bucket = 32, 10, 0.001, None, 1

    def __init__(self):
        super().__init__()
        self.data, words, kinds = pairs(EXAMPLES / "sentences", str.split, lambda cell: [cell], a={"minimum": 3})
        self.emb = nn.Embedding(words.size, 64)
        self.convs = nn.ModuleList(nn.Conv1d(64, 64, k, padding=k - 1) for k in (2, 3, 4))
        self.out = nn.Linear(192, kinds.size)

    def load(self, w):
        load(self.emb, w, "Texts1.emb")
        load(self.out, w, "Texts1.out")
        for conv, name in zip(self.convs, ("two", "three", "four")):
            with torch.no_grad():
                conv.weight.copy_(w[f"Texts1.{name}.w"].transpose(1, 2))
                conv.bias.copy_(w[f"Texts1.{name}.b"])

    def loss(self, x, lengths, y):
        x = crop(x, lengths)
        e = (self.emb(x) * step_mask(lengths, x.shape[1])[:, :, None]).transpose(1, 2)
        found = []
        for conv in self.convs:
            a = conv(e)
            mask = step_mask(lengths + conv.padding[0], a.shape[2])
            found.append(F.relu(a.masked_fill(~mask[:, None], -math.inf).amax(2)))
        z = self.out(F.dropout(torch.cat(found, 1), 0.5, self.training))
        return F.cross_entropy(z, y), {"accuracy": (z.argmax(1) == y).float().mean()}


MODELS = {"rnn": lambda: CharModel("RNN"), "lstm": lambda: CharModel("LSTM"), "langid": LangId, "phonemes": Phonemes,
          "dates": Dates, "frames": Frames, "caption": Caption, "sentences": Sentences}


# ---- training --------------------------------------------------------------------------------------------


def passes(model, data, shuffle):
    """The batches of a pass as tuples; a text's windows in their order, its state from zero."""
    if isinstance(model, CharModel):
        model.reset()
        return (torch.tensor([i]) for i in range(len(data[0])))
    return batches(data, model.batch, model.bucket if shuffle else None, shuffle)


def score(model, data):
    model.eval()
    sums, n = {}, 0
    with torch.no_grad():
        for rows in passes(model, data, False):
            loss, metrics = model.loss(*(t[rows] for t in data))
            for name, value in {"loss": loss, **metrics}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(rows)
            n += len(rows)
    model.train()
    return {name: value / n for name, value in sums.items()}


def show(metrics):
    return " ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def train(model, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=model.rate)
    steps = epochs * sum(1 for _ in passes(model, model.data[0], True))
    done, times = 0, []
    for epoch in range(epochs):
        total, n, start = 0.0, 0, time.perf_counter()
        for rows in passes(model, model.data[0], True):
            begin = time.perf_counter()
            for group in optimizer.param_groups:
                group["lr"] = model.rate * 0.5 * (1 + math.cos(math.pi * done / steps))
            loss, _ = model.loss(*(t[rows] for t in model.data[0]))
            optimizer.zero_grad()
            loss.backward()
            if model.clip:
                nn.utils.clip_grad_norm_(model.parameters(), model.clip)
            optimizer.step()
            times.append(time.perf_counter() - begin)
            total, n, done = total + loss.item() * len(rows), n + len(rows), done + 1
        spent = time.perf_counter() - start
        print(f"epoch {epoch + 1}/{epochs}  train {total / n:.4f}  valid {show(score(model, model.data[1]))}  {spent:.1f} s", flush=True)
    print("test " + show(score(model, model.data[2])))
    print(f"{1000 * statistics.mean(times):.2f} ms a step (mean), {1000 * statistics.median(times):.2f} (median) of {len(times)} steps")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=MODELS)
    parser.add_argument("weights")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    model = MODELS[o.example]()
    if o.weights != "-":
        model.load(read_safetensors(o.weights))
    train(model, o.epochs or model.epochs)


if __name__ == "__main__":
    main()
