# SPDX-License-Identifier: Apache-2.0
"""Architectures and detectors that Effigy does not know are registered, and then used as any."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from effigy import plugins
from effigy.commands.inspect import inspect_generator
from effigy.generators import GeneratorFileError, convert_generator, load_generator, registry, save_generator
from effigy.generators.checkpoints import open_checkpoint
from effigy.generators.networks.network import Network
from effigy.generators.planes import RGB
from effigy.generators.previews.painter import preview_dtype
from effigy.generators.registry import Architecture, architectures, build_network, register
from effigy.generators.settings import make_config
from effigy.landmarks import DetectorError, load_detector
from effigy.landmarks import registry as detector_registry
from effigy.landmarks.fan import FanDetector
from effigy.landmarks.mediapipe import MediapipeDetector
from effigy.landmarks.photo import PhotoDetector
from effigy.landmarks.registry import DetectorKind, DetectorOptions
from effigy.landmarks.registry import register as register_detector

SIZE = 8


@dataclass(frozen=True, slots=True)
class FlatConfig:
    """The shape of a network that paints every picture in one colour."""

    z_dim: int
    num_ws: int = 1
    planes: tuple[str, ...] = RGB

    @property
    def w_dim(self) -> int:
        return self.z_dim

    @property
    def resolution(self) -> tuple[int, int]:
        return SIZE, SIZE


class Flat(Network):
    def __init__(self, config):
        super().__init__(config)
        self.colour = nn.Linear(config.w_dim, 3)

    def map(self, z, truncation_psi=1.0):
        return truncation_psi * z[:, None]

    def synthesize(self, ws):
        return self.colour(ws[:, 0])[:, :, None, None].expand(-1, -1, SIZE, SIZE)


class FlatArchitecture(Architecture):
    key = "flat"
    name = "Flat"
    config = FlatConfig
    marks = ("colour.weight",)

    def build(self, config):
        return Flat(config)

    def describe(self, config):
        return {"colours": "one"}

    def read_config(self, settings, shapes):
        return make_config(FlatConfig, {"z_dim": shapes["colour.weight"][1]})


@pytest.fixture()
def flat(monkeypatch):
    """A network of an architecture that is registered for as long as the test runs."""
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    register(FlatArchitecture())
    torch.manual_seed(0)
    network = build_network(FlatConfig(4))
    with torch.no_grad():
        network.colour.weight.copy_(network.colour.weight.half())
        network.colour.bias.copy_(network.colour.bias.half())
    return network


def test_a_registered_architecture_is_saved_loaded_and_described(flat, tmp_path):
    save_generator(flat, tmp_path / "flat.safetensors")
    loaded = load_generator(tmp_path / "flat.safetensors", "cpu")
    ws = loaded.map(torch.ones(2, 4), 0.5)
    assert torch.equal(loaded.synthesize(ws), flat.synthesize(ws))
    assert (loaded.resolution, loaded.device.type, loaded.is_frozen) == ((SIZE, SIZE), "cpu", True)
    assert not loaded.paints_half
    assert preview_dtype(loaded) == torch.float32
    found = inspect_generator(tmp_path / "flat.safetensors")
    assert (found["architecture"], found["colours"], found["parameters"]) == ("Flat", "one", 15)


def test_a_registered_architecture_is_recognised_in_a_state_dict(flat, tmp_path):
    torch.save({"g_ema": flat.state_dict()}, tmp_path / "flat.pt")
    convert_generator(tmp_path / "flat.pt", tmp_path / "flat.safetensors")
    with open_checkpoint(tmp_path / "flat.safetensors") as checkpoint:
        assert checkpoint.config == FlatConfig(4)


def test_a_file_of_an_architecture_that_is_not_registered_is_no_generator(flat, tmp_path, monkeypatch):
    save_generator(flat, tmp_path / "flat.safetensors")
    monkeypatch.setattr(registry, "_REGISTERED", {})
    with pytest.raises(GeneratorFileError, match="no Effigy generator"):
        load_generator(tmp_path / "flat.safetensors", "cpu")


def test_two_architectures_cannot_have_one_key(flat):
    class Other(FlatArchitecture):
        pass

    register(FlatArchitecture())  # again: the same one
    with pytest.raises(ValueError, match="two architectures are called flat"):
        register(Other())
    assert [architecture.key for architecture in architectures()] == ["stylegan2", "stylegan3", "flat"]


@pytest.mark.parametrize("key", ["format", "licence", "a key"])
def test_an_architecture_cannot_have_a_key_that_files_cannot_hold(key):
    other = FlatArchitecture()
    other.key = key
    with pytest.raises(ValueError, match="cannot be called"):
        register(other)


def test_packages_bring_architectures_and_broken_ones_leave_the_others(monkeypatch, capsys):
    def broken():
        raise ImportError("it needs another torch")

    entries = [SimpleNamespace(value="broken:A", load=broken), SimpleNamespace(value="flat:A", load=FlatArchitecture)]
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries if group == "effigy.architectures" else ())
    registry._load_plugins.cache_clear()
    try:
        keys = [architecture.key for architecture in architectures()]
    finally:
        registry._load_plugins.cache_clear()
    assert keys == ["stylegan2", "stylegan3", "flat"]


class Corners:
    """A detector that finds the same two points in every picture."""

    topology = "pair"
    fingerprint = "corners-1"

    def __init__(self, asked):
        self.asked = asked

    def detect(self, images):
        return torch.tensor([[0.0, 1.0], [0.0, 1.0]]).expand(len(images), -1, -1)


@pytest.fixture()
def corners(monkeypatch):
    monkeypatch.setattr(detector_registry, "_REGISTERED", dict(detector_registry._REGISTERED))
    kind = DetectorKind("corners", "corners", "pair", Corners)
    register_detector(kind)
    return kind


def test_a_registered_detector_is_opened_by_its_name(corners, tmp_path):
    detector = load_detector("corners", tmp_path, "cpu")
    assert detector.asked == DetectorOptions("corners", tmp_path, "cpu")
    assert detector.detect(torch.zeros(3, 3, 8, 8)).shape == (3, 2, 2)


def test_a_detector_for_files_is_meant_by_how_their_names_end(corners, tmp_path):
    register_detector(DetectorKind(".crn", "the path of a .crn file", "pair", Corners))
    assert load_detector("some/where.crn", tmp_path, "cpu").asked.name == "some/where.crn"


def test_an_unknown_detector_is_refused_with_the_names_of_all(corners, tmp_path):
    with pytest.raises(DetectorError, match="unknown detector 'magic': use embedded, photo, .*file, or corners$"):
        load_detector("magic", tmp_path)


def test_two_detectors_cannot_have_one_name(corners):
    register_detector(corners)  # again: the same one
    with pytest.raises(ValueError, match="two landmark detectors are called corners"):
        register_detector(DetectorKind("corners", "others", None, Corners))


def test_detectors_say_the_landmark_set_that_they_find(tmp_path):
    kinds = {kind.name: kind.topology for kind in detector_registry.detectors()}
    classes = {"photo": PhotoDetector, "face-alignment": FanDetector, ".task": MediapipeDetector}
    assert kinds == {"embedded": None, **{name: detector.topology for name, detector in classes.items()}}
