#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the golden files in tests/golden/data with PyTorch (1.13 was used; Debian: python3-torch).

Each case is run in float64, which is stored, and in float32 in several ways (threads, memory layout, with and without
oneDNN). The largest of their errors is stored beside each tensor: what another float32 implementation may do twice.
Trainings are also begun with weights moved by their last bit: steps make rounding errors grow, and by how much is a
matter of accident.

Inputs and weights are float32 numbers that both sides make from names (golden_file.py), so files hold results only.
See docs/testing.md.

make_goldens.py [--only GLOB] [--out DIR] [--spread]
"""
import argparse
import fnmatch
import pathlib
from collections import OrderedDict

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import golden_cases
import golden_file
import golden_nets as nets

# (threads, channels last, oneDNN): ways to compute in float32.
WAYS = [(1, False, True), (2, False, True), (2, True, True), (1, False, False), (2, False, False)]


class Way:
    """PyTorch set to one way of computing."""

    def __init__(self, dtype, threads, channels_last, onednn, nudge=0):
        self.dtype, self.threads, self.channels_last, self.onednn = dtype, threads, channels_last, onednn
        self.nudge = np.random.default_rng(nudge) if nudge else None

    def __enter__(self):
        torch.set_num_threads(self.threads)
        self.saved = torch._C._get_mkldnn_enabled()
        torch._C._set_mkldnn_enabled(self.onednn)
        return self

    def __exit__(self, *_):
        torch._C._set_mkldnn_enabled(self.saved)

    def tensor(self, array):
        value = torch.from_numpy(np.ascontiguousarray(array)).to(self.dtype)
        return value.contiguous(memory_format=torch.channels_last) if self.channels_last and value.dim() == 4 else value

    def weights(self, array):
        """The weights, each moved to a neighbouring float32 number when this way is nudged."""
        if self.nudge:
            array = np.nextafter(array, np.float32(self.nudge.choice([-np.inf, np.inf], array.shape)))
        return torch.from_numpy(array)


EXACT = Way(torch.float64, 1, False, False)


def ways(nudged):
    found = [Way(torch.float32, *way) for way in WAYS]
    return found + [Way(torch.float32, *way, nudge) for nudge in range(1, 4) for way in WAYS if nudged]


def draw(case, what, low, high, dims):
    return golden_file.uniform("%s/%s" % (case["name"], what), dims, low, high, case["salt"])


def state_range(name, value):
    """Low and high of a weight: He's variance for matrices and kernels, around 1 and 0 for vectors."""
    if value.dim() > 1:
        bound = round(float(np.sqrt(6.0 / (value.numel() / value.shape[0]))), 4)
        return [-bound, bound]
    return [0.5, 1.5] if name.endswith("running_var") or name.endswith("weight") else [-0.5, 0.5]


def make_model(case, way):
    model = nets.module(case["layer"])
    case["state"] = {}
    values = model.state_dict()
    for name, value in values.items():
        if name.endswith("num_batches_tracked"):
            continue
        ours = nets.state_name(name)
        low, high = state_range(name, value)
        case["state"][ours] = {"dims": list(value.shape), "range": [low, high]}
        values[name] = way.weights(draw(case, ours, low, high, list(value.shape)))
    model.load_state_dict(values)
    model = model.to(way.dtype)
    return model.to(memory_format=torch.channels_last) if way.channels_last else model


def array(tensor):
    return tensor.detach().contiguous().to(torch.float64).numpy().copy()


def loss_of(case, way, y, step=0):
    """The loss of a case and its target, from the same names as golden_net.c."""
    loss = case["loss"]
    tag = "%s/target%d" % (case["name"], step)
    if loss["kind"] == "mse":
        return F.mse_loss(y, way.tensor(golden_file.uniform(tag, list(y.shape), -1, 1, case["salt"])))
    if loss["kind"] == "soft_cross_entropy":
        target = way.tensor(golden_file.uniform(tag, list(y.shape), 0, 1, case["salt"]))
        return F.cross_entropy(y, target, label_smoothing=loss["smoothing"])
    target = torch.from_numpy(golden_file.labels(tag, y.shape[0], y.shape[1], case["salt"]))
    return F.cross_entropy(y, target, label_smoothing=loss["smoothing"])


def run_layer(case, way, make_model=make_model):
    """Inference, training forward and backward, inference after it: {name: array}."""
    with way:
        model, out = make_model(case, way), {}
        x = way.tensor(draw(case, "x", *case["range"], case["x"])).requires_grad_()
        model.eval()
        out["infer.y"] = array(model(x))
        if case["infer_only"]:
            return out
        model.train()
        if case["warm"]:
            model(way.tensor(draw(case, "x0", *case["range"], case["x"])))
        y = model(x)
        out["train.y"] = array(y)
        y.retain_grad()
        if case.get("loss"):
            value = loss_of(case, way, y)
            out["train.loss"] = array(value)
            value.backward()
            out["train.dy"] = array(y.grad)
        else:
            y.backward(way.tensor(draw(case, "dy", -1, 1, list(y.shape))))
        out["train.dx"] = array(x.grad)
        for name, value in model.named_parameters():
            out["grad." + nets.state_name(name)] = array(value.grad)
        for name, value in model.named_buffers():
            out["buffer." + nets.state_name(name)] = array(value)
        if any(key.startswith("buffer.") for key in out):
            model.eval()
            out["after.y"] = array(model(x))
        return out


def excluded(groups, rank):
    """Takes parameters of up to `rank` dimensions out of groups: into groups like theirs, without weight decay."""
    moved = [dict(g, params=[p for p in g["params"] if p.dim() <= rank], weight_decay=0.0) for g in groups]
    for group in groups:
        group["params"] = [p for p in group["params"] if p.dim() > rank]
    return moved


def optimizer_of(case, model):
    o, plain = case["optimizer"], {}
    groups = [{"params": [], "weight_decay": o["weight_decay"], "lr": o["lr"]}]
    for group in o["groups"]:
        groups.append({"params": [], "weight_decay": group["weight_decay"], "lr": o["lr"] * group["lr_factor"]})
    for name, value in model.named_parameters():
        index = max([0] + [i + 1 for i, g in enumerate(o["groups"]) if fnmatch.fnmatch(nets.state_name(name), g["glob"])])
        groups[index]["params"].append(value)
    groups += excluded(groups, o["exclude_rank"]) if "exclude_rank" in o else []
    if o["kind"] == "sgd":
        plain = {"momentum": o["momentum"], "dampening": o["dampening"], "nesterov": bool(o["nesterov"])}
        return torch.optim.SGD(groups, lr=o["lr"], **plain)
    kind = torch.optim.AdamW if o["decoupled"] else torch.optim.Adam
    return kind(groups, lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"])


def average_of(case, model):
    """The average of a case's weights, or None."""
    if "ema" not in case:
        return None
    decay = case["ema"]["decay"]
    return torch.optim.swa_utils.AveragedModel(model, avg_fn=lambda ema, now, _: decay * ema + (1 - decay) * now,
                                               use_buffers=bool(case["ema"]["buffers"]))


def averages(case, ema, model):
    """Weights and running statistics of the average; without use_buffers the model's, as PyTorch 2 has it."""
    found, own = {}, dict(model.named_buffers())
    for name, value in ema.module.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value = own[name] if name in own and not case["ema"]["buffers"] else value
            found["ema." + nets.state_name(name)] = array(value)
    return found


def run_training(case, way, make_model=make_model):
    """The losses of some steps, and weights and buffers after them. With accumulate k every k-th step updates."""
    micro = case.get("accumulate", 1)
    with way:
        model = make_model(case, way).train()
        optimizer, losses, norms = optimizer_of(case, model), [], []
        ema = average_of(case, model)
        for step in range(case["steps"]):
            x = way.tensor(draw(case, "x%d" % step, *case["range"], case["x"]))
            if step % micro == 0:
                optimizer.zero_grad()
            loss = loss_of(case, way, model(x), step)
            (loss / micro).backward()
            losses.append(array(loss))
            if step % micro != micro - 1:
                continue
            if case["clip"] > 0:
                norms.append(array(nn.utils.clip_grad_norm_(model.parameters(), case["clip"])))
            optimizer.step()
            if ema:
                ema.update_parameters(model)
        out = {"losses": np.array(losses)}
        if norms:
            out["grad_norms"] = np.array(norms)
        out.update(("after." + nets.state_name(name), array(value)) for name, value in model.state_dict().items())
        if ema:
            out.update(averages(case, ema, model))
            if case["ema"]["update_bn"]:
                inputs = [way.tensor(draw(case, "x%d" % i, *case["range"], case["x"])) for i in range(case["steps"])]
                torch.optim.swa_utils.update_bn(inputs, ema.module)
                for name, value in ema.module.named_buffers():
                    out["exact." + nets.state_name(name)] = array(value)
        return out


def save_split(case, path):
    """What a training script saves after some steps, in float32: {"model", "optimizer", "epoch"}."""
    with Way(torch.float32, *WAYS[0]) as way:
        model = make_model(case, way).train()
        optimizer = optimizer_of(case, model)
        for step in range(case["split"]):
            optimizer.zero_grad()
            loss_of(case, way, model(way.tensor(draw(case, "x%d" % step, *case["range"], case["x"]))), step).backward()
            optimizer.step()
        state = OrderedDict((nets.state_name(name), value) for name, value in model.state_dict().items())
        torch.save({"model": state, "optimizer": optimizer.state_dict(), "epoch": 1}, path)


def relu_margin(case, run):
    """The least distance of any ReLU's input from 0 in the training forwards of a case."""
    nearest = [np.inf]

    def look(part, inputs):
        if part.training:
            nearest.append(float(inputs[0].detach().abs().min()))

    def watched(case, way):
        model = make_model(case, way)
        for part in model.modules():
            if isinstance(part, nn.ReLU):
                part.register_forward_pre_hook(look)
        return model

    run(case, EXACT, watched)
    return min(nearest)


def spread(name, exact, rounded):
    """How far each float32 way lies beyond twice the worst of the others: the rule applied to PyTorch itself."""
    worst, failed = 0.0, 0
    for key, value in exact.items():
        errors = [golden_file.norm(r[key] - value) for r in rounded]
        for i, error in enumerate(errors):
            bound = max(2 * max(errors[:i] + errors[i + 1:]), 1e-6 * golden_file.norm(value))
            worst = max(worst, error / bound if bound > 0 else 0.0)
            failed += error > bound
    print("%-28s PyTorch against itself: worst %.2f of the bound, %d of %d beyond" %
          (name, worst, failed, len(exact) * len(rounded)))


def make(case, out, show_spread):
    run = run_training if "steps" in case else run_layer
    while case["margin"] and relu_margin(case, run) < case["margin"]:
        case["salt"] += 1
    exact = run(case, EXACT)
    rounded = [run(case, way) for way in ways(run is run_training)]
    if show_spread:
        spread(case["name"], exact, rounded)
    tensors, case["tensors"] = {}, {}
    for key, value in exact.items():
        tensors[key], case["tensors"][key] = golden_file.entry(value, [r[key] for r in rounded])
    if case.get("zoo"):
        case = {key: value for key, value in case.items() if key != "layer"}
    golden_file.write(out / (case["name"] + ".safetensors"), case, tensors)
    if case.get("split"):
        save_split(case, out / (case["name"] + ".pth"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "data")
    parser.add_argument("--spread", action="store_true", help="print how PyTorch keeps to the rule itself")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for case in golden_cases.layers() + golden_cases.trainings():
        if fnmatch.fnmatch(case["name"], arguments.only):
            make(case, arguments.out, arguments.spread)
            print(case["name"], "salt", case["salt"])


if __name__ == "__main__":
    main()
