# SPDX-License-Identifier: Apache-2.0
"""Light taken out of pictures: on a ball whose colour, surface and light are known."""

from __future__ import annotations

import numpy as np
import pytest

from effigy.relighting import estimate_light, relief
from effigy.relighting.light import Light, harmonics

SIZE, RADIUS = 96, 0.3
V, U = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
ROUND = np.sqrt(np.maximum(RADIUS**2 - (U - 0.5) ** 2 - (V - 0.5) ** 2, 0))  # heights of a ball
ALPHA = (ROUND > 0).astype(np.float32)
NORMAL = np.stack([U - 0.5, 0.5 - V, ROUND], axis=-1)
NORMAL /= np.linalg.norm(NORMAL, axis=-1, keepdims=True)
INNER = ROUND > 0.6 * RADIUS
# A light from the left and above, redder there than elsewhere, whose mean on the ball is not 1.
LIGHT = Light(
    np.array([[1, 1, 1], [-0.5, -0.4, -0.3], [0.2] * 3, [0.3] * 3, [0.05] * 3, [0] * 3, [0] * 3, [0.1] * 3, [0] * 3])
)


def points(count=120):
    """[3, count] on the ball's front, within the part of it that a face would be of a head."""
    random = np.random.default_rng(0)
    radius, angle = 0.75 * RADIUS * np.sqrt(random.random(count)), 2 * np.pi * random.random(count)
    u, v = 0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)
    return np.stack([u, v, np.sqrt(RADIUS**2 - radius**2)])


def test_a_surface_is_found_between_its_points():
    found = relief(points(), ALPHA)
    np.testing.assert_allclose(np.linalg.norm(found.normal, axis=-1), 1, atol=1e-5)
    degrees = np.degrees(np.arccos((found.normal * NORMAL).sum(axis=-1).clip(-1, 1)))
    assert degrees[INNER].mean() < 8
    assert np.abs(found.height - ROUND)[INNER].mean() < 0.03
    assert np.abs(found.height[[0, -1]]).max() < 0.05, "nothing stands out at the border"


@pytest.mark.parametrize("alpha", [np.zeros((40, 50)), np.ones((40, 50))])
def test_a_surface_without_an_outline_is_one(alpha):
    found = relief(points(9), alpha.astype(np.float32))
    assert found.normal.shape == (40, 50, 3)
    assert np.isfinite(found.normal).all()
    assert np.isfinite(found.height).all()


def test_points_on_one_spot_are_a_surface_too():
    found = relief(np.full((3, 6), 0.5), ALPHA)
    assert np.isfinite(found.normal).all()


def test_the_light_on_a_ball_is_found_and_taken_away():
    colour = np.float32([0.5, 0.3, 0.2]) * np.ones((SIZE, SIZE, 1), np.float32)
    colour[40:46, 30:50], colour[60:64, 40:60] = (0.1, 0.05, 0.02), (0.6, 0.1, 0.1)  # brows and lips
    picture = colour * LIGHT.on(NORMAL)
    found = estimate_light(picture, NORMAL, INNER.astype(np.float32))
    on = found.on(NORMAL)[INNER]
    np.testing.assert_allclose(on.mean(axis=0), 1, atol=1e-3, err_msg="the picture keeps its brightness and hue")
    true = LIGHT.on(NORMAL)[INNER]
    np.testing.assert_allclose(on, true / true.mean(axis=0), atol=0.12)
    albedo = (picture / found.on(NORMAL))[INNER]
    for channel in range(3):
        assert np.corrcoef(albedo[:, channel], colour[INNER][:, channel])[0, 1] > 0.95


def test_even_light_changes_nothing():
    picture = np.broadcast_to(np.float32([0.5, 0.3, 0.2]), (SIZE, SIZE, 3))
    found = estimate_light(picture, NORMAL, ALPHA)
    np.testing.assert_allclose(found.on(NORMAL), 1, atol=1e-5)


@pytest.mark.parametrize(("level", "weight"), [(0.0, 1.0), (0.5, 0.0)])
def test_a_picture_that_tells_nothing_is_in_even_light(level, weight):
    found = estimate_light(np.full((SIZE, SIZE, 3), level), NORMAL, np.full((SIZE, SIZE), weight))
    np.testing.assert_array_equal(found.on(NORMAL), 1)


def test_a_light_from_the_left_brightens_the_left():
    """Relit by what is found of it, the ball looks as it does in that light."""
    lights = [np.zeros((9, 3)), np.zeros((9, 3))]
    for side, coefficients in zip((-1, 1), lights, strict=True):
        coefficients[0], coefficients[1], coefficients[3] = 0.8, 0.4 * side, 0.3
    before, wanted = (0.4 * (harmonics(NORMAL) @ coefficients) for coefficients in lights)
    surface = relief(points(), ALPHA)
    albedo = before / estimate_light(before, surface.normal, INNER.astype(np.float32)).on(surface.normal)
    relit = albedo * (harmonics(surface.normal) @ lights[1])
    left, right = INNER & (U < 0.5), INNER & (U > 0.5)
    assert relit[right].mean() > 1.2 * relit[left].mean()
    assert np.corrcoef(relit[INNER].mean(axis=1), wanted[INNER].mean(axis=1))[0, 1] > 0.9
