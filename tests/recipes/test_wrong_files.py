# SPDX-License-Identifier: Apache-2.0
"""Files of another kind than the default's recipe asks for: told in one line, and nothing is written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from effigy.faces.embedded import FIRST_BUNDLE
from effigy.generators.checkpoints import write_own
from effigy.generators.networks.configs import StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan3 import StyleGAN3
from recipes.demo_face.__main__ import main
from recipes.demo_face.bake import FORMAT

GENERATOR = FIRST_BUNDLE / "generator.safetensors"


def told(arguments: list[object], monkeypatch, capsys) -> str:
    """Runs the command line; returns what it says of an error, without line ends."""
    monkeypatch.setattr("sys.argv", ["demo_face", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code in (1, 2)
    return " ".join(capsys.readouterr().err.split())


def archive(path: Path) -> None:
    np.savez(path, other=np.zeros(3))


def single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def text(path: Path) -> None:
    path.write_text("Not what was asked for.\n")


def nothing(path: Path) -> None:
    path.touch()


def only_its_format(path: Path) -> None:
    np.savez(path, format=FORMAT)


def tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def half(path: Path) -> None:
    archive(path)
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("write", [archive, single, text, nothing, half, only_its_format, tensor])
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sheet", "is no head that this recipe's bake has written"),
        ("export", "is no checkpoint that this recipe's train"),
    ],
)
def test_what_is_no_head_and_no_checkpoint(write, command, reason, tmp_path: Path, monkeypatch, capsys):
    given, out = tmp_path / "given.npz", tmp_path / "out"
    write(given)
    said = told([command, given, out], monkeypatch, capsys)
    assert str(given) in said
    assert reason in said
    assert not out.exists()


def no_numbers(path: Path) -> None:
    arrays = load_file(GENERATOR)
    arrays["mapping.w_avg"] += float("nan")
    with safe_open(GENERATOR, "pt") as file:
        save_file(arrays, path, file.metadata())


def of_another_architecture(path: Path) -> None:
    network = StyleGAN3(StyleGAN3Config(4, 4, 16, channel_base=64, channel_max=3))
    initialize(network)
    write_own(path, network.config, network.state_dict())


def cut(path: Path) -> None:
    shutil.copy(GENERATOR, path)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (no_numbers, "w_avg"),
        (of_another_architecture, "is a StyleGAN3: give a StyleGAN2"),
        (cut, "cut off|truncated|damaged|incomplete"),
    ],
)
def test_what_is_no_generator_to_train(write, reason, tmp_path: Path, monkeypatch, capsys):
    given, out = tmp_path / "given.safetensors", tmp_path / "out.safetensors"
    write(given)
    said = told(["blend", GENERATOR, given, out], monkeypatch, capsys)
    assert str(given) in said
    assert re.search(reason, said)
    assert not out.exists()


@pytest.mark.parametrize("write", [lambda path: None, text, nothing])
def test_folders_without_a_data_set(write, tmp_path: Path, monkeypatch, capsys):
    write(tmp_path / "pictures.npy")
    for command in (["train", "--checkpoint", tmp_path / "c.pt", "--out", tmp_path / "g"], ["judge", "--weights", "w"]):
        said = told([*command, tmp_path], monkeypatch, capsys)
        assert f"{tmp_path} holds no data set: make one with render or paint" in said


def test_a_name_that_is_no_face_model(monkeypatch, capsys):
    assert "nosuch" in (said := told(["fairness", "nosuch"], monkeypatch, capsys))
    assert "install again" not in said
