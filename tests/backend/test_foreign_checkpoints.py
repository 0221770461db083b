# SPDX-License-Identifier: Apache-2.0
"""Files that people bring are read, or refused by what they are, but never painted wrongly without an error."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import struct
from collections import OrderedDict
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch

from effigy.commands.inspect import inspect_generator
from effigy.generators import GeneratorFileError, convert_generator, load_generator
from effigy.generators.checkpoints import open_checkpoint, write_own
from effigy.generators.checkpoints.attributes import expected_attributes
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.generators.networks.stylegan3 import StyleGAN3
from effigy.generators.registry import build_network

from ..closeness import assert_same, roundings_of
from .checkpoint_files import (
    NAMES,
    assert_official,
    foreign_module,
    nvidia,
    parity,
    rosinality,
    rosinality_names,
    tensorflow,
)

FOREIGN = Path(__file__).parents[1] / "fixtures" / "foreign"
TRUNCATION = 0.6  # of "wt" in the references


def assert_painted(path, reference):
    """Asserts that the generator in ``path`` maps and paints like the code base that made ``reference``."""
    generator = load_generator(path, "cpu")
    assert_paints(generator, reference)
    return generator


def assert_paints(generator, reference):
    with np.load(reference) as archive:
        data = {name: torch.from_numpy(archive[name]) for name in archive.files}
    with torch.no_grad():
        for psi, latents in ((1.0, "w"), (TRUNCATION, "wt")):
            assert_same(generator.map(data["z"], psi), data[latents], roundings_of(generator.mapping))
        for latents, picture in (("w", "img"), ("wt", "imgt")):
            assert_same(generator.synthesize(data[latents]), data[picture], roundings_of(generator))


def refusal(path):
    """Asserts that inspect, load and convert refuse the file; returns the reason."""
    said = set()
    for read in (inspect_generator, lambda p: load_generator(p, "cpu"), lambda p: convert_generator(p, p.parent / "o")):
        with pytest.raises(GeneratorFileError) as caught:
            read(path)
        said.add(str(caught.value))
    [reason] = said
    assert str(path) in reason
    return reason


@pytest.mark.parametrize("name", ["human_v3.pkl", "protocol2.pkl", "whole_module.pt", "sg3_whole.pt"])
def test_what_other_programs_wrote_is_painted_as_they_do(tmp_path, name):
    generator = assert_painted(FOREIGN / name, FOREIGN / f"{Path(name).stem}.ref.npz")
    convert_generator(FOREIGN / name, tmp_path / "own.safetensors")
    assert_painted(tmp_path / "own.safetensors", FOREIGN / f"{Path(name).stem}.ref.npz")
    height, width = generator.resolution
    assert inspect_generator(FOREIGN / name)["resolution"] == f"{width} × {height}"


@pytest.mark.parametrize("name", NAMES)
def test_state_dicts_of_nvidias_networks_are_read_where_they_tell_all(tmp_path, name):
    kwargs, state, data = parity(name)
    path = tmp_path / "state.pt"
    torch.save(OrderedDict(state), path)
    if kwargs.get("conv_clamp") is None:  # which no state dict contains
        assert_official(path, data)
    assert "no settings" in inspect_generator(path)["remarks"]


def test_a_state_dict_of_an_unusual_stylegan3_is_refused_for_want_of_its_settings(tmp_path):
    network = StyleGAN3(StyleGAN3Config(4, 4, 32, num_layers=4, channel_base=128, channel_max=8, first_cutoff=3.0))
    initialize(network)
    torch.save(network.state_dict(), tmp_path / "state.pt")
    assert "without its settings" in refusal(tmp_path / "state.pt")


def containers(state, mean):
    """Returns a generator's state in the forms that files of encoders and of trainings have."""
    encoder = {"encoder.input_layer.0.weight": torch.zeros(3, 3)}
    rows = mean.repeat(10, 1)

    def prefixed(prefix):
        return {prefix + name: value for name, value in state.items()}

    options = argparse.Namespace(path=PosixPath("/somewhere"), device=torch.device("cpu"))
    yield "pSp", {"state_dict": {**encoder, **prefixed("decoder.")}, "latent_avg": rows, "opts": options}
    yield "parallel", {"g_ema": prefixed("module."), "latent_avg": mean}
    yield "parallel pSp", {"state_dict": prefixed("module.decoder."), "latent_avg": mean}
    yield "bare", {**state, "latent_avg": mean}
    yield "training's", {"g": state, "d": {}, "latent_avg": mean, "g_optim": {"state": {0: {"step": 3}}}}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("index", range(5))
def test_generators_in_encoders_and_trainings_are_read(tmp_path, index, zipped):
    _, state, data = parity("sg2-32")
    name, root = list(containers(rosinality_names(state), state["mapping.w_avg"]))[index]
    torch.save(root, tmp_path / "g.pt", _use_new_zipfile_serialization=zipped)
    assert_official(tmp_path / "g.pt", data)
    assert ("no running average" in inspect_generator(tmp_path / "g.pt").get("remarks", "")) == (name == "training's")


def test_a_mean_whose_rows_differ_is_not_taken_for_the_mean_of_w(tmp_path):
    _, state, _ = parity("sg2-32")
    root = {"g_ema": rosinality_names(state), "latent_avg": torch.randn(10, 64)}
    torch.save(root, tmp_path / "g.pt")
    assert "no mean of w" in inspect_generator(tmp_path / "g.pt")["remarks"]


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_rosinalitys_files_without_noise_get_noise_of_their_own(tmp_path, strength):
    _, state, data = parity("sg2-32")
    state = {k: torch.full_like(v, strength) if k.endswith("noise_strength") else v for k, v in state.items()}
    names = {k: v for k, v in rosinality_names(state).items() if not k.startswith("noises.")}
    torch.save({"g_ema": names, "latent_avg": state["mapping.w_avg"]}, tmp_path / "without.pt")
    assert (convert_generator(tmp_path / "without.pt", tmp_path / "out.safetensors") != ()) == (strength > 0)
    silent = load_generator(rosinality(tmp_path / "with.pt", state), "cpu")
    one, two = (load_generator(tmp_path / "without.pt", "cpu") for _ in range(2))
    with torch.no_grad():
        made = one.synthesize(data["w"])
        assert torch.equal(made, two.synthesize(data["w"])), "the noise is fixed"
        difference = (made - silent.synthesize(data["w"], noise=False)).std() / made.std()
    assert (difference > 0.01) == (strength > 0)
    assert ("no noise" in inspect_generator(tmp_path / "without.pt").get("remarks", "")) == (strength > 0)
    if strength:
        noise = one.synthesis.b32.conv1.noise_const / strength
        assert noise.std() == pytest.approx(2**0.5, rel=0.1)


def torch_file(path, root):
    torch.save(root, path)
    return path


def stylegan_xl(path):
    """Makes a mapping that contains one of PyTorch's own layers, which must not be refused as dangerous."""
    kwargs, state, _ = parity("sg3t-32")

    def with_embedding(network, path):
        mapping = network.meta["state"]["_modules"]["mapping"]
        mapping.meta["state"]["_modules"]["embed"] = torch.nn.Embedding(10, 4)
        path.write_bytes(pickle.dumps({"G_ema": network}, protocol=4))

    return nvidia(path, kwargs, state, save=with_embedding)


def sg2():
    """Returns a generator under rosinality's names."""
    return rosinality_names(parity("sg2-32")[1])


def names(*found):
    """Returns tensors with these names."""
    return {name: torch.ones(3) for name in found}


RELATIVES = {
    "StyleGAN of 2019": lambda _: FOREIGN / "sg1_tf.pkl",
    "8, 12 wide where w is 8": lambda _: FOREIGN / "layer_features.pkl",
    "SWAGAN": lambda p: torch_file(p, {"g_ema": sg2() | names("iwt.ll")}),
    "a part 'conv1.bend'": lambda p: torch_file(p, {"g_ema": sg2() | names("conv1.bend")}),
    "conditional on a label": stylegan_xl,
    "EG3D": lambda p: torch_file(p, names("backbone.synthesis.b4.const", "decoder.net.0.weight")),
    "an encoder of pictures": lambda p: torch_file(p, {"state_dict": names("encoder.input_layer.0.weight")}),
    "an encoder of": lambda p: torch_file(p, names("input_layer.0.weight", "body.0.res_layer.0.weight")),
    "genforce": lambda p: torch_file(p, {"generator_smooth": names("mapping.dense0.weight"), "step": 3}),
    "one tensor": lambda p: torch_file(p, torch.ones(1, 18, 512)),
    "but epoch, loss": lambda p: torch_file(p, {"epoch": 3, "loss": 0.1}),
    "no G_ema": lambda p: nvidia(p, *parity("sg2-32")[:2], G_ema=None),
    "neither StyleGAN2 nor": lambda p: nvidia(p, {}, names("synthesis.b8.const")),
}


@pytest.mark.parametrize("reason", RELATIVES)
def test_an_intact_file_of_something_else_is_called_what_it_is(tmp_path, reason):
    said = refusal(RELATIVES[reason](tmp_path / "g.pt"))
    assert reason in said
    for alarm in ("damaged", "etch it again", "asks to run"):
        assert alarm not in said


def test_a_network_of_somebodys_own_class_is_told_from_harm_by_what_to_do(tmp_path):
    with foreign_module("models.stylegan2", Generator=type("Generator", (torch.nn.Module,), {})) as module:
        torch.save(module.Generator(), tmp_path / "g.pt")
    said = refusal(tmp_path / "g.pt")
    assert "models.stylegan2.Generator" in said
    assert "state_dict()" in said
    assert "etch it again" not in said


# --- what changes the picture -------------------------------------------------------------------


def attributes(path, name):
    """Returns a network and the attributes of NVIDIA's modules in it."""
    kwargs, state, data = parity(name)
    with open_checkpoint(nvidia(path, kwargs, state)) as checkpoint:
        return kwargs, state, data, dict(expected_attributes(checkpoint.config))


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_says_what_we_compute_is_read(tmp_path, name):
    kwargs, state, data, said = attributes(tmp_path / "g.pkl", name)
    assert_official(nvidia(tmp_path / "g.pkl", kwargs, state, said=said), data)


@pytest.mark.parametrize("name", ["sg2ada-32", "sg3r-32"])
def test_every_attribute_that_differs_from_what_we_compute_is_refused_by_name(tmp_path, name):
    kwargs, state, _, said = attributes(tmp_path / "g.pkl", name)
    kinds = {}  # one module for each set of attributes
    for path, attributes_ in said.items():
        kinds.setdefault((tuple(attributes_), str(attributes_.get("activation"))), path)
    for path in kinds.values():
        for attribute, right in said[path].items():
            for wrong in other_values(right):
                changed = said | {path: said[path] | {attribute: wrong}}
                file = nvidia(tmp_path / "g.pkl", kwargs, state, said=changed)
                # The first layer's gain is the multiplier of all layers: with one changed, they disagree.
                named = "gain|lr_multiplier" if "gain" in attribute else attribute
                with pytest.raises(GeneratorFileError, match=named), open_checkpoint(file):
                    pass
    assert len(kinds) >= 7


def test_noise_that_is_switched_off_in_a_file_is_off(tmp_path):
    """People set ``use_noise`` of layers to False and save; the noise itself stays in the file."""
    kwargs, state, data = parity("sg2ada-32")
    layers = [name.removesuffix(".noise_strength") for name in state if name.endswith("noise_strength")]
    file = nvidia(tmp_path / "off.pkl", kwargs, state, said={layer: {"use_noise": False} for layer in layers})
    picture = load_generator(file, "cpu").synthesize(data["w"])
    assert (picture - data["img_w_none"]).abs().max() <= 1e-4 * data["img_w_none"].std()
    assert (picture - data["img_w"]).abs().max() > 0.1 * data["img_w"].std()


def other_values(right):
    """Returns values that differ in meaning from ``right``."""
    if isinstance(right, bool):
        return [not right]
    if isinstance(right, str):
        return ["relu", None, 3]
    if isinstance(right, list):
        return [right[::-1] if right[0] != right[-1] else [right[0] + 1, *right[1:]], right[:1], 7]
    return [3.5, "none"] if right is None else [right * 1.01 + 1e-3, float("nan"), 10**400]


def with_filter(state, name):
    return {k: v.flip(0) * 1.2 if k.endswith(name) else v for k, v in state.items()}


def own_with(path, **fields):
    """Writes one of our own files whose network has settings that were not checked when it was written."""
    network = StyleGAN2(StyleGAN2Config(4, 4, (3, 3, 3), 2))
    initialize(network)
    write_own(path, network.config, network.state_dict())
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    settings = json.loads(header["__metadata__"]["stylegan2"]) | fields
    header["__metadata__"]["stylegan2"] = json.dumps(settings)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    return path


def official(**kwargs):
    """Returns arguments and state of a network."""
    known, state, _ = parity("sg2-32")
    return known | kwargs, state


RELU = {"num_layers": 4, "activation": "relu"}
VARIANTS = [
    ("resampling filter", lambda p: nvidia(p, official()[0], with_filter(official()[1], "b8.conv0.resample_filter"))),
    ("resampling filter", lambda p: torch_file(p, {"g_ema": with_filter(sg2(), "blur.kernel")})),
    ("resampling filter", lambda p: torch_file(p, {"g_ema": with_filter(sg2(), "upsample.kernel")})),
    ("resampling filter", lambda p: torch_file(p, with_filter(official()[1], "b16.resample_filter"))),
    ("resampling filter", lambda p: tensorflow(p, *official(), resample_kernel=[1, 2, 1])),
    ("activation", lambda p: nvidia(p, *official(mapping_kwargs=RELU))),
    ("activation", lambda p: tensorflow(p, *official(), nonlinearity="relu")),
    ("does not normalize z", lambda p: tensorflow(p, *official(), normalize_latents=False)),
    ("conditional", lambda p: tensorflow(p, *official(), label_size=7)),
    ("said to have 1", lambda p: tensorflow(p, *official(), num_channels=1)),
    ("'orig'", lambda p: tensorflow(p, *official(), architecture="orig")),
    ("conv_clamp", lambda p: own_with(p, conv_clamp="high")),
    ("conv_clamp", lambda p: own_with(p, conv_clamp=1e300)),
    ("conv_clamp", lambda p: own_with(p, conv_clamp=[256])),
    ("mapping_lr_multiplier", lambda p: own_with(p, mapping_lr_multiplier=None)),
    ("channels", lambda p: own_with(p, channels=[3, 3.5, 3])),
    ("channels", lambda p: own_with(p, channels="333")),
    ("first", lambda p: own_with(p, first=[4, True])),
    ("z_dim", lambda p: own_with(p, z_dim=4.5)),
    ("z_dim", lambda p: own_with(p, z_dim=10**30)),
    ("z_dim", lambda p: own_with(p, z_dim=1e300)),
    ("'hue'", lambda p: own_with(p, hue=3)),
]


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_what_changes_the_picture_is_refused_by_name_in_every_format(tmp_path, number):
    reason, write = VARIANTS[number]
    assert reason in refusal(write(tmp_path / "g"))


def broken_files(folder, value):
    """Writes one file of each format, with ``value`` in one of its weights."""
    kwargs, state, _ = parity("sg2-32")
    broken = {k: v.clone() for k, v in state.items()}
    broken["synthesis.b16.conv1.weight"][3, 2, 1, 0] = value
    yield nvidia(folder / "n.pkl", kwargs, broken)
    yield tensorflow(folder / "t.pkl", kwargs, broken)
    yield rosinality(folder / "r.pt", broken)
    yield rosinality(folder / "l.pt", broken, zipped=False)
    yield torch_file(folder / "s.pt", broken)
    doubled = {k: v.double() for k, v in state.items()}
    doubled["synthesis.b16.conv1.weight"][3, 2, 1, 0] = 1e300 if value > 0 else value
    yield torch_file(folder / "d.pt", doubled)
    network = build_network(StyleGAN2Config(4, 4, (3, 3, 3), 2))
    initialize(network)
    network.synthesis.b16.conv1.weight.data[1, 2, 1, 0] = value
    write_own(folder / "o.safetensors", network.config, network.state_dict())
    yield folder / "o.safetensors"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_the_layers_name(tmp_path, value):
    for path in broken_files(tmp_path, value):
        said = refusal(path)
        assert "synthesis.b16.conv1.weight holds NaN or infinite values" in said
        assert "etch it again" not in said


def test_long_tensors_in_pickles_of_protocol_2_are_read(tmp_path):
    """There, a tensor's bytes are stored as text, longer than the megabyte that other texts may have."""
    network = StyleGAN2(StyleGAN2Config(512, 512, (3, 3, 3), 2))
    initialize(network)
    kwargs = {"mapping_kwargs": {"num_layers": 2}, "conv_clamp": None}
    old = load_generator(nvidia(tmp_path / "old.pkl", kwargs, network.state_dict(), 2), "cpu")
    new = load_generator(nvidia(tmp_path / "new.pkl", kwargs, network.state_dict(), 4), "cpu")
    ws = old.map(torch.ones(1, 512))
    assert torch.equal(ws, new.map(torch.ones(1, 512)))
    assert torch.equal(old.synthesize(ws), new.synthesize(ws))


def test_numbers_of_numpy_keep_their_precision(tmp_path):
    """2 ** 2.1, rounded to single precision, would change a layer's frequencies."""
    from effigy.generators.checkpoints.tensors import TensorFile

    for protocol in (2, 4):
        stream = io.BytesIO(pickle.dumps([np.float64(2**2.1), np.int64(2**40 + 1), np.bool_(True)], protocol))
        file = TensorFile(stream)
        numbers = [file.number(value) for value in file.load_pickle()]
        assert numbers == [2**2.1, 2**40 + 1, True]
        assert [type(number) for number in numbers] == [float, int, bool]
