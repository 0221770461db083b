# SPDX-License-Identifier: Apache-2.0
"""Skin, light and head shapes of the demo face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from recipes.demo_face import hair, surroundings
from recipes.demo_face.bake import load_assets
from recipes.demo_face.bake_shape import DIFFERENCES, MORE, female_direction
from recipes.demo_face.complexion import Complexion
from recipes.demo_face.parameters import COUNT, SURROUNDINGS, decode


@pytest.fixture(scope="module")
def complexion() -> Complexion:
    return Complexion()


def test_tone_darkens_skin_evenly_and_leaves_its_relief(complexion: Complexion):
    scene = decode(np.zeros(COUNT))
    bases = np.array([complexion.base(melanin, 0.0) for melanin in np.linspace(0, 1, 9)])
    assert (np.diff(bases.mean(axis=1)) < 0).all()
    light, dark = (complexion(replace(scene, melanin=melanin)) for melanin in (0.1, 0.9))
    relief = [(texture - texture.mean(axis=(0, 1))).ravel() for texture in (light, dark)]
    assert np.corrcoef(*relief)[0, 1] > 0.99


def test_women_age_and_complexion_change_skin_a_little(complexion: Complexion):
    scene = replace(decode(np.zeros(COUNT)), woman=0.0)
    own = complexion(scene)
    others = (
        replace(scene, woman=1.0),
        replace(scene, years=70.0),
        replace(scene, complexion=np.eye(16)[0]),
    )
    for other in others:
        change = np.abs(complexion(other) - own)
        assert 0 < change.mean() < 0.2
        assert change.max() < 1.5
    assert (own > np.log(0.004)).all()
    assert (own < np.log(1.0)).all()


def test_light_from_all_around_is_even():
    light, mean = surroundings.irradiance(np.full((48, 96, 3), [0.5, 0.7, 0.9]))
    assert mean == pytest.approx([0.5, 0.7, 0.9], rel=1e-2)
    assert light[0] == pytest.approx(np.ones(3))
    assert np.abs(light[1:]).max() < 1e-3


def test_irradiance_is_the_cosine_weighted_mean_of_the_light():
    """For light 1 + y, which second-order harmonics represent exactly, it is 1 + ⅔ n·y."""
    polar = (np.arange(96) + 0.5) / 96 * np.pi
    panorama = np.broadcast_to((1 + np.cos(polar))[:, None, None], (96, 192, 3))
    light, _ = surroundings.irradiance(panorama)
    for normal in np.eye(3):
        wanted = 1 + 2 / 3 * normal[1]
        assert surroundings.harmonics(normal) @ light == pytest.approx(np.full(3, wanted), abs=0.01)


def test_surroundings_are_positive_and_smooth(head: Path):
    places = load_assets(head).surroundings
    assert len(places.background) == 1 + SURROUNDINGS
    matrix = surroundings.enlarging(64)
    random = np.random.default_rng(0)
    for _ in range(5):
        coefficients = random.standard_normal(SURROUNDINGS)
        (background, light), (nearby, _) = places.at(coefficients), places.at(coefficients + 1e-3)
        assert background.min() > 0
        assert np.abs(nearby - background).max() < 0.05
        assert light[0].min() > 0
        large = surroundings.enlarged(background, matrix)
        assert large.shape == (64, 64, 3)
        assert large.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)) == pytest.approx(background, rel=0.3, abs=0.05)


def test_a_womans_head_differs_as_was_asked():
    random = np.random.default_rng(0)
    vertices = 8 * random.standard_normal((200, 3)).astype(np.float32)
    vertices[:, 1] = np.abs(vertices[:, 1])  # without the neck, which is narrowed too
    landmarks = np.arange(68, dtype=np.int32)
    modes = random.standard_normal((100, 200, 3)).astype(np.float32)
    direction = female_direction(vertices, landmarks, modes)
    for terms, wanted in DIFFERENCES:
        made = sum(weight * direction[landmark, axis] for landmark, axis, weight in terms)
        assert made == pytest.approx(MORE * wanted, abs=0.01)


def test_locks_do_not_end_in_teeth_at_the_hairline():
    """Strands of one lock begin where each of them will, and are alike only away from the hairline."""
    random = np.random.default_rng(4)
    roots = random.uniform(-8, 8, (3000, 3))
    inside = np.abs(roots[:, 1])
    fate = hair.fates(roots, inside)
    (near,) = cKDTree(roots).query(roots, k=[2])[1].T
    alike = [np.corrcoef(fate[inside > 3][:, column], fate[near[inside > 3]][:, column])[0, 1] for column in range(10)]
    assert abs(alike[hair.EDGE]) < 0.1
    assert min(np.delete(alike, hair.EDGE)) > 0.6
    edge = inside < 0.3
    assert max(np.corrcoef(fate[edge][:, column], fate[near[edge]][:, column])[0, 1] for column in range(10)) < 0.5
