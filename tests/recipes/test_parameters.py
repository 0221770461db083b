# SPDX-License-Identifier: Apache-2.0
"""The demo face's parameters and latents."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from recipes.demo_face import latents
from recipes.demo_face.dataset import pair_vectors, people_vectors
from recipes.demo_face.figures import moved
from recipes.demo_face.labels import LABELS, write_labels
from recipes.demo_face.parameters import COUNT, EXPRESSION, ONE_SIDED, PARAMETERS, PERSONAL, column, decode, sample

from ..closeness import assert_same

STILL = np.zeros((1, COUNT))


def at(**values: float):
    """Returns the scene with these parameters and all others zero; ``lids_1`` is ``lids.1``."""
    vector = STILL
    for name, value in values.items():
        stem, _, index = name.rpartition("_")
        vector = moved(vector, f"{stem}.{index}" if index.isdigit() else name, value)
    return decode(vector[0])


def test_parameters_are_documented_and_reach_what_they_say():
    assert sum(p.size for p in PARAMETERS) == COUNT == 74
    assert np.degrees(at(yaw=3).yaw) == pytest.approx(45, abs=1)
    assert np.degrees(at(pitch=-3).pitch) == pytest.approx(-22, abs=1)
    assert [at(age=age).years for age in (-2, 0, 2)] == pytest.approx([20, 38, 70], abs=1)
    assert at(woman=-2).woman < 0.01 < 0.99 < at(woman=2).woman
    assert at(lids_0=1.1).expression["eyeBlink_R"] == pytest.approx(0.57, abs=0.05)


def test_labels_say_what_people_by_seed_are_drawn_with(tmp_path):
    write_labels(tmp_path / "labels.csv", 3)
    header, *rows = csv.reader((tmp_path / "labels.csv").read_text().splitlines())
    assert header == ["seed", *LABELS]
    z = torch.from_numpy(np.random.RandomState(2).randn(1, latents.Z_DIM)).float()  # as FaceModel.open_seed draws it
    told = dict(zip(header, map(float, rows[2]), strict=True))
    assert told["seed"] == 2
    for name, parameter in LABELS.items():
        drawn = float(latents.parameters_of(z)[0, column(parameter.removeprefix("-"))])
        assert told[name] == pytest.approx(-drawn if parameter.startswith("-") else drawn, abs=1e-3)


def test_every_draw_is_within_bounds():
    for vector in np.concatenate([sample(200, 0), 8 * sample(50, 1), latents.drawn(50, 2)]):
        scene = decode(vector)
        weights = np.array(list(scene.expression.values()))
        assert weights.min() > -0.05  # shutting the lids tightly reduces the widening a little
        assert weights.max() <= 1.15
        for colour in (scene.iris, scene.hair.colour, scene.clothes):
            assert np.isfinite(colour).all()
            assert 0 <= colour.min() <= colour.max() <= 1
        assert 0.4 < scene.hair.length < 25
        assert np.abs(scene.gaze).max() < np.radians(31)
        assert 20 <= scene.years <= 72


def test_decoding_is_smooth():
    """A change of a thousandth changes nothing by more than a few thousandths, so there are no jumps to learn."""
    for vector in sample(20, 2):
        for index in range(COUNT):
            nudged = vector.copy()
            nudged[index] += 1e-3
            a, b = decode(vector), decode(nudged)
            assert max(abs(a.expression[name] - b.expression[name]) for name in a.expression) < 5e-3
            assert abs(a.hair.length - b.hair.length) < 5e-2
            assert np.abs(a.gaze - b.gaze).max() < 1e-3


def test_each_lid_and_each_brow_moves_alone():
    for side, index in (("R", 0), ("L", 1)):
        other = {"R": "L", "L": "R"}[side]
        shut = at(**{f"lids_{index}": 2.2}).expression
        assert shut[f"eyeBlink_{side}"] > 0.9 > 0.05 > shut[f"eyeBlink_{other}"]
        raised = at(**{f"brows_{index}": 2.0}).expression
        assert raised[f"browOuterUp_{side}"] > 0.8 > 0.15 > raised[f"browOuterUp_{other}"]


def test_eyes_meet_the_camera_however_the_head_turns():
    for yaw, pitch in ((1.0, 0.0), (0.0, 1.5), (-1.0, -1.0)):
        scene = at(yaw=yaw, pitch=pitch)
        assert scene.gaze == pytest.approx([-scene.yaw, scene.pitch], abs=0.04)
    past = at(gaze_0=1.0, gaze_1=-1.0).gaze
    assert past[0] > np.radians(10)
    assert past[1] < -np.radians(6)


def test_sex_age_and_tone_are_coherent():
    man, woman = at(woman=-2), at(woman=2)
    assert woman.hair.length > 2 * man.hair.length
    assert woman.brows < man.brows
    assert at(woman=2, stubble=2).stubble < 0.01 < 0.4 < at(woman=-2, stubble=2).stubble
    assert at(woman=-2, age=2, hair_style_3=1).hair.receding > 0.5 > at(woman=2, age=2, hair_style_3=1).hair.receding
    grey, young = at(age=2.5).hair.colour, at(age=-1).hair.colour
    assert grey.min() > 0.3 > young.max()
    dark, light = at(tone_0=2.5, hair_colour_0=2), at(tone_0=-1, hair_colour_0=2)
    assert dark.hair.colour.max() < 0.5 * light.hair.colour.max()
    assert dark.hair.curl > 0.3 > light.hair.curl


def test_a_person_stays_the_same():
    vectors = people_vectors(3, 4, seed=0).reshape(3, 4, COUNT)
    assert np.ptp(vectors[:, :, PERSONAL], axis=1).max() == 0
    assert np.ptp(vectors[:, :, column("yaw")], axis=1).min() > 0
    assert len(np.unique(vectors[:, 0, column("identity.0")])) == 3


def test_a_pair_differs_in_half_of_what_a_face_does():
    first, second = pair_vectors(400, 3).reshape(400, 2, COUNT).transpose(1, 0, 2)
    assert np.array_equal(first[1::2], sample(400, 3)[1::2])
    pucker = np.abs(first[:, column("pucker")])
    assert pucker[::2].mean() < 0.5 * pucker[1::2].mean(), "they hold still"
    changed = first != second
    assert not np.delete(changed, EXPRESSION, axis=1).any()
    assert changed[:, EXPRESSION].mean(axis=0) == pytest.approx(np.full(len(EXPRESSION), 0.5), abs=0.12)


def test_latents_mean_the_parameters_they_were_made_for():
    p = torch.from_numpy(sample(64, 5))
    z = latents.latents_of(p)
    assert_same(latents.parameters_of(z), p, latents.Z_DIM)
    assert_same(latents.parameters_of(3 * z), p, latents.Z_DIM)  # the mapping normalises
    assert_same(z.norm(dim=1), torch.full((64,), 512**0.5), latents.Z_DIM)
    p[3, column("jaw")] = -3.0
    with pytest.raises(ValueError, match="no latent is long enough for the parameters of row 3"):
        latents.latents_of(p)


def test_the_gate_is_undone_monotone_odd_and_opens_only_to_what_faces_do():
    p = 2 * torch.randn(64, COUNT)
    assert_same(latents.gate(latents.ungate(p)), p, latents.Z_DIM)
    both = np.setdiff1d(np.arange(COUNT), ONE_SIDED)
    assert torch.equal(latents.gate(-p)[:, both], -latents.gate(p)[:, both])
    assert (latents.gate(p)[:, ONE_SIDED] >= 0.12 * p[:, ONE_SIDED].clamp(max=0)).all(), "no one's mouth is shut twice"
    ramp = latents.gate(torch.linspace(-6, 6, 500)[:, None].expand(-1, COUNT))
    assert (ramp.diff(dim=0) > 0).all()
    free = np.setdiff1d(np.arange(COUNT), EXPRESSION)
    assert torch.equal(latents.gate(p)[:, free], p[:, free])
    assert not torch.equal(latents.gate(p), p)


def test_few_people_are_drawn_with_a_wink_a_gape_or_a_pucker():
    odd, people = 0, 12_000  # of 1000 people the share would be uncertain by half a percent
    for vector in latents.drawn(people, 77, 0.8):
        does = decode(vector).expression
        wink = abs(does["eyeBlink_L"] - does["eyeBlink_R"]) > 0.4
        odd += wink or does["eyeBlink_L"] > 0.7 or does["jawOpen"] > 0.4 or does["mouthPucker"] > 0.4
    assert odd <= 0.03 * people


def test_directions_are_orthonormal():
    A = latents.directions()
    assert_same(A @ A.T, torch.eye(COUNT), latents.Z_DIM)
