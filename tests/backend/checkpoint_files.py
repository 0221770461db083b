# SPDX-License-Identifier: Apache-2.0
"""Writes files as the usual code bases write them, from the official state dicts of the parity fixtures."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import struct
import sys
import types
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from effigy.generators import load_generator

from ..closeness import assert_same, roundings_of

PARITY = Path(__file__).parents[1] / "fixtures" / "parity"
NAMES = ("sg2-32", "sg2ada-32", "sg2human-32", "sg3t-32", "sg3r-32")


def parity(name):
    """Returns init_kwargs, state dict and data of a fixture."""
    with np.load(PARITY / f"{name}.npz") as archive:
        arrays = {key: torch.from_numpy(archive[key]) for key in archive.files}
    kwargs = json.loads(bytes(arrays.pop("init_kwargs").numpy()))
    state = {key[6:]: value for key, value in arrays.items() if key.startswith("state/")}
    return kwargs, state, {key: value for key, value in arrays.items() if "/" not in key}


class Persistent:
    """Pickles as an instance of one of NVIDIA's persistent classes."""

    def __init__(self, class_name, state, source=""):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextmanager
def foreign_module(name, **members):
    """Makes a module of another code base importable while a file is written."""
    parts = name.split(".")
    added = [".".join(parts[: i + 1]) for i in range(len(parts))]
    sys.modules.update({path: types.ModuleType(path) for path in added})
    for member, value in members.items():
        value.__module__, value.__qualname__ = name, member
        setattr(sys.modules[name], member, value)
    try:
        yield sys.modules[name]
    finally:
        for path in added:
            del sys.modules[path]


def nvidia(path, kwargs, state, protocol=4, source="", said=None, save=None, **more):
    """Writes a snapshot with G, D and G_ema; only G_ema has the numbers of the state.

    ``said`` are attributes of its modules, by their paths. ``save`` writes only G_ema, in another way.
    """

    def _reconstruct_persistent_obj(meta): ...

    def module(tree, init_kwargs=None, path=""):
        children = OrderedDict(
            (k, module(v, path=f"{path}.{k}" if path else k)) for k, v in tree.items() if isinstance(v, dict)
        )
        values = {k: v for k, v in tree.items() if not isinstance(v, dict)}
        buffers = {k for k in values if k in ("w_avg", "noise_const", "transform", "freqs", "phases", "magnitude_ema")}
        buffers |= {k for k in values if k.endswith("_filter")}
        attributes = {
            "_parameters": OrderedDict((k, torch.nn.Parameter(v)) for k, v in values.items() if k not in buffers),
            "_buffers": OrderedDict((k, v) for k, v in values.items() if k in buffers) | {"absent": None},
            "_modules": children,
            "training": False,
            **(said or {}).get(path, {}),
        }
        return Persistent("Module", attributes | ({"_init_kwargs": init_kwargs} if init_kwargs else {}), source)

    def network(scale):
        tree = {}
        for name, value in state.items():
            *parents, leaf = name.split(".")
            place = tree
            for parent in parents:
                place = place.setdefault(parent, {})
            place[leaf] = value * scale
        return module(tree, kwargs)

    with foreign_module("torch_utils.persistence", _reconstruct_persistent_obj=_reconstruct_persistent_obj):
        if save:
            save(network(1), path)
            return path
        snapshot = {"G": network(2), "D": network(3), "G_ema": network(1), "augment_pipe": None, **more}
        path.write_bytes(pickle.dumps(snapshot, protocol=protocol))
    return path


def tensorflow(path, kwargs, state, protocol=4, **static):
    """Writes the tuple (G, D, Gs) of 2020; ``static`` are additional arguments."""

    class Network: ...

    def array(name, convert=lambda x: x):
        return convert(state[name].numpy())

    def variables(scale):
        mapping, synthesis = [], [("4x4/Const/const", array("synthesis.b4.const")[None] * scale)]
        for i in range(kwargs["mapping_kwargs"]["num_layers"]):
            mapping += [(f"Dense{i}/{p}", array(f"mapping.fc{i}.{p}").T * scale) for p in ("weight", "bias")]
        for r in (4, 8, 16, 32):
            for ours, theirs in {"conv0": "Conv0_up", "conv1": "Conv" if r == 4 else "Conv1", "torgb": "ToRGB"}.items():
                prefix = f"synthesis.b{r}.{ours}"
                if f"{prefix}.weight" not in state:
                    continue
                weight = array(f"{prefix}.weight").transpose(2, 3, 1, 0)
                layer = {
                    "weight": weight[::-1, ::-1] if ours == "conv0" else weight,
                    "bias": array(f"{prefix}.bias"),
                    "mod_weight": array(f"{prefix}.affine.weight").T,
                    "mod_bias": array(f"{prefix}.affine.bias") - 1,
                }
                if ours != "torgb":
                    layer["noise_strength"] = array(f"{prefix}.noise_strength")[()]  # np.float32, as TensorFlow gave it
                    number = 2 * int(np.log2(r)) - (5 if ours == "conv0" else 4)
                    synthesis.append((f"noise{number}", array(f"{prefix}.noise_const")[None, None]))
                synthesis += [(f"{r}x{r}/{theirs}/{part}", value) for part, value in layer.items()]
        return mapping, synthesis

    def network(scale):
        mapping, synthesis = variables(scale)
        whole = Network()
        whole.__dict__.update(
            version=4,
            build_module_src="raise SystemExit",
            variables=[("dlatent_avg", array("mapping.w_avg")), ("lod", np.float32(0))],
            static_kwargs={"resolution": 32, "mapping_layers": 4, "label_size": 0, "resample_kernel": [1, 3, 3, 1]}
            | static,
            components={},
        )
        for name, values in (("mapping", mapping), ("synthesis", synthesis)):
            part = Network()
            part.__dict__.update(version=4, variables=values, components={}, static_kwargs={})
            whole.components[name] = part
        return whole

    with foreign_module("dnnlib.tflib.network", Network=Network):
        path.write_bytes(pickle.dumps((network(2), network(3), network(1)), protocol=protocol))
    return path


def rosinality_names(state):
    """Returns a state under rosinality's names, including the resampling filters that are saved with it."""
    g = {}
    kernel = torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 3.0, 3.0, 1.0])) / 16
    for name, value in state.items():
        part = {"bias": "activate.bias", "weight": "conv.weight", "noise_strength": "noise.weight"}
        head, _, leaf = name.rpartition(".")
        if head.startswith("mapping.fc"):
            g[f"style.{int(head[10:]) + 1}.{leaf}"] = value
        elif leaf == "const":
            g["input.input"] = value[None]
        elif name.startswith("synthesis.") and "resample" not in name:
            _, block, layer, *affine = head.split(".")
            level = (int(block[1:])).bit_length() - 3
            if leaf == "noise_const":
                g[f"noises.noise_{2 * level - 1 + int(layer[-1]) if level else 0}"] = value[None, None]
                continue
            if layer == "torgb":
                theirs = f"to_rgbs.{level - 1}" if level else "to_rgb1"
                part["bias"] = "bias"
                if level:
                    g[f"{theirs}.upsample.kernel"] = kernel
            else:
                theirs = f"convs.{2 * (level - 1) + int(layer[-1])}" if level else "conv1"
                if layer == "conv0":
                    g[f"{theirs}.conv.blur.kernel"] = kernel
            if affine:
                g[f"{theirs}.conv.modulation.{leaf}"] = value
            else:
                shaped = {"weight": value[None], "noise_strength": value.reshape(-1)}.get(leaf, value)
                g[f"{theirs}.{part[leaf]}"] = (
                    shaped.reshape(1, -1, 1, 1) if layer == "torgb" and leaf == "bias" else shaped
                )
    return OrderedDict(g)


def rosinality(path, state, *, zipped=True, training=False):
    """Writes a converted .pt, or a checkpoint of their training, which has no mean of w."""
    g = rosinality_names(state)
    file = {"g_ema": g}
    if training:
        file = {
            "g": {k: v * 2 for k, v in g.items()},
            "d": {},
            **file,
            "args": argparse.Namespace(size=32),
            "ada_aug_p": 0,
        }
    else:
        file["latent_avg"] = state["mapping.w_avg"]
    torch.save(file, path, _use_new_zipfile_serialization=zipped)
    return path


def assert_official(path, data, clamped=True):
    """Asserts that the generator in ``path`` computes the same as the official one."""
    generator = load_generator(path, "cpu")
    with torch.no_grad():
        assert_same(generator.map(data["z"]), data["w"], roundings_of(generator.mapping))
        for latents, picture in (("w", "img_w"), ("w_trunc", "img_wtrunc"), ("wp", "img_wp")):
            assert_same(generator.synthesize(data[latents]), data[picture], roundings_of(generator))
    return generator


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def one_tensor(path, tensor):
    """Writes a snapshot whose generator contains only ``tensor``."""
    with foreign_module("torch_utils.persistence", _reconstruct_persistent_obj=lambda meta: None):
        module = Persistent("G", {"_parameters": {"x": tensor}, "_buffers": {}, "_modules": {}})
        path.write_bytes(pickle.dumps({"G_ema": module}))


def rebuilt(stream, shape, stride):
    """Returns a tensor over the storage in ``stream``."""
    storage = Call(torch.storage._load_from_bytes, stream)
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, {})


def storage_stream(count, data=b"\0" * 12):
    """Returns torch.save's old stream of one storage that claims to have ``count`` floats."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", count, None) if value is Ellipsis else None

    stream = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(value, stream, protocol=2)
    Pickler(stream, protocol=2).dump(Ellipsis)
    pickle.dump(["0"], stream, protocol=2)
    return stream.getvalue() + struct.pack("<q", count) + data
