# SPDX-License-Identifier: Apache-2.0
"""docs/extend/detector.md: a package brings a detector, and no file of Effigy's changes."""

from __future__ import annotations

import pytest
import torch

from effigy.faces import DEFAULT_BUNDLE
from effigy.landmarks import DetectorError, load_detector, registry

from ..closeness import assert_same
from .pages import install

EMBEDDED = DEFAULT_BUNDLE / "detector.safetensors"


@pytest.fixture()
def detector(tmp_path, monkeypatch):
    """The page's detector, opened by the name that users give."""
    with install("detector.md", "both_sides", tmp_path, monkeypatch, registry):
        yield load_detector("both-sides", EMBEDDED, "cpu")


@pytest.fixture(scope="module")
def pictures(default_model):
    """Five people of the embedded default [5, 3, H, W]."""
    ws = torch.stack([default_model.open_seed(seed).ws for seed in range(5)])
    with torch.no_grad():
        return default_model.generator.synthesize(ws)[:, :3].clamp(-1, 1)


def test_it_finds_what_the_detector_beneath_finds(detector, pictures):
    beneath = load_detector("embedded", EMBEDDED, "cpu")
    assert detector.topology == beneath.topology
    assert detector.fingerprint != beneath.fingerprint
    apart = (detector.detect(pictures) - beneath.detect(pictures)).norm(dim=1)
    assert apart.mean() < 0.02  # of the picture's width


def test_mirrored_pictures_have_mirrored_landmarks(detector, pictures):
    points, mirrored = detector.detect(pictures), detector.detect(pictures.flip(-1))
    back = mirrored[:, :, detector._mirror]
    back[:, 0] = 1 - back[:, 0]
    assert_same(back, points, roundings=5)  # the same two pictures were looked at, in the other order


def test_a_refusal_of_another_name_lists_it(detector):
    with pytest.raises(DetectorError, match="both-sides"):
        load_detector("magic", EMBEDDED, "cpu")
