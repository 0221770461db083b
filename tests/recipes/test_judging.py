# SPDX-License-Identifier: Apache-2.0
"""Measures of the default's edits: the identity network that judges, and the renderer's own shading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from effigy.editing.patches import patch_names
from effigy.faces import FIRST_BUNDLE
from effigy.fitting.drift import Shading, full_strength
from effigy.landmarks import EmbeddedDetector
from effigy.recognition.judge import INPUT, EmbeddedJudge, JudgeNetwork
from recipes.demo_face import shading, train_identity
from recipes.demo_face.parameters import ROWS, decode
from recipes.demo_face.renderer import Renderer


@pytest.mark.parametrize("pose", [(0.0, 0.0), (25.0, -8.0)])
def test_people_to_shade_are_turned_as_asked(pose: tuple[float, float]):
    scene = decode(shading.people(*pose)[0])
    # A face that looks up has a negative nod.
    np.testing.assert_allclose(np.degrees([scene.yaw, -scene.pitch]), pose, atol=1e-4)


def test_a_move_changes_what_it_names_alone():
    person = shading.people(0.0, 0.0)[0]
    changed = np.flatnonzero(shading.moved(person, {"jaw": 2.0}) != person)
    assert changed.tolist() == list(range(ROWS["jaw"].start, ROWS["jaw"].stop))


def test_shading_is_of_every_control_and_place(default_model, renderer: Renderer, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(shading, "PEOPLE", 1)
    detector = EmbeddedDetector(FIRST_BUNDLE / "detector.safetensors")
    seen: list[int] = []
    found = shading.measure_shading(default_model, detector, renderer, lambda done, total: seen.append(done))
    assert seen == [1, 2]
    for part in (found.frontal, found.turned):
        assert part.keys() == full_strength(dict.fromkeys(default_model.controls, 1.0), default_model.topology).keys()
        for places in part.values():
            assert tuple(places) == patch_names(default_model.topology.patches)
            assert np.isfinite(list(places.values())).all()
    found.to_file(tmp_path / "shading.json")
    assert Shading.from_file(tmp_path / "shading.json") == found


def test_the_judge_is_trained_and_loads(tmp_path: Path, monkeypatch):
    for name, value in (("PEOPLE", 3), ("PICTURES", 2), ("HELD_OUT", 2)):
        monkeypatch.setattr(train_identity, name, value)
    random = np.random.default_rng(0)
    np.save(tmp_path / "pictures.npy", random.integers(0, 255, (12, 16, 16, 8), np.uint8))
    np.save(tmp_path / "people.npy", np.repeat(np.arange(6), 2))
    train_identity.train_judge([tmp_path], tmp_path / "judge.safetensors", 0.01)
    judge = EmbeddedJudge(tmp_path / "judge.safetensors")
    assert isinstance(judge.network, JudgeNetwork)
    vectors = judge.embed(torch.rand(3, 3, INPUT, INPUT) * 2 - 1)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
