# SPDX-License-Identifier: Apache-2.0
"""The demo face's renderer: triangles, strokes, light, landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.demo_face import kernels
from recipes.demo_face.figures import moved
from recipes.demo_face.parameters import COUNT, sample
from recipes.demo_face.renderer import OVERSAMPLING, Renderer


def square(z: float, mode: int, low: float = 1.0, high: float = 9.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two triangles that face the viewer and cover the pixels from ``low`` to ``high``."""
    points = np.array([[low, low, z], [low, high, z], [high, high, z], [high, low, z]], np.float32)
    return points, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.full(2, mode, np.int8)


def test_a_triangle_covers_the_pixels_whose_centres_it_holds():
    canvas = kernels.Canvas.of(12)
    kernels.rasterise(*square(2.0, kernels.FRONT), canvas)
    assert (canvas.triangle >= 0).sum() == 64
    assert (canvas.depth[1:9, 1:9] == 2.0).all()
    kernels.rasterise(square(2.0, 0)[0], square(2.0, 0)[1][:, ::-1].copy(), np.full(2, kernels.FRONT, np.int8), canvas)
    assert (canvas.triangle == -1).all()  # seen from behind


def test_stippling_covers_an_equal_share_of_every_pixel():
    canvas = kernels.Canvas.of(12)
    kernels.rasterise(*square(2.0, kernels.STIPPLED, 0.0, 12.0), canvas)
    blocks = (canvas.triangle >= 0).reshape(4, OVERSAMPLING, 4, OVERSAMPLING).sum(axis=(1, 3))
    assert (blocks == 3).all()


def test_the_nearer_triangle_is_seen_whatever_the_order():
    near, far = square(2.0, kernels.FRONT), square(1.0, kernels.FRONT, 0.0, 12.0)
    for first, second in ((near, far), (far, near)):
        points = np.concatenate([first[0], second[0]])
        canvas = kernels.Canvas.of(12)
        kernels.rasterise(points, np.concatenate([first[1], second[1] + 4]), np.full(4, kernels.FRONT, np.int8), canvas)
        assert (canvas.depth[1:9, 1:9] == 2.0).all()
        assert canvas.depth[0, 0] == 1.0


def test_a_stroke_is_hidden_by_what_is_nearer():
    canvas = kernels.Canvas.of(12)
    kernels.rasterise(*square(2.0, kernels.FRONT, 6.0, 12.0), canvas)
    white = (1.0, 1.0, 1.0)
    kernels.stroke((0.5, 8.5, 1.0), (11.5, 8.5, 1.0), white, white, 1.0, 1.0, 0.0, canvas)
    assert (canvas.triangle[8] == kernels.STROKE).sum() == 6
    assert canvas.colour[8, :6].min() == 1.0
    assert canvas.colour[8, 6:].max() == 0.0


def test_normals_of_a_plane_point_out_of_it():
    points, triangles, _ = square(0.0, 0)
    normals = np.empty_like(points)
    kernels.vertex_normals(points, triangles, normals)
    assert np.abs(normals) == pytest.approx(np.tile([0.0, 0.0, 1.0], (4, 1)))


def test_developing_keeps_black_and_darkens_corners():
    canvas = kernels.Canvas.of(12)
    canvas.depth[:] = kernels.FAR
    out = np.empty((4, 4, 3), np.uint8)
    kernels.develop(canvas, (0.0, 0.0, 0.0), 3, out)
    assert out.max() == 0
    kernels.develop(canvas, (0.3, 0.3, 0.3), 3, out)
    assert out[0, 0, 0] < out[1, 1, 0]


@pytest.mark.parametrize("oversampling", [2, 3])
def test_edges_are_developed_without_stairs(oversampling: int):
    canvas = kernels.Canvas.of(6 * oversampling)
    canvas.depth[:] = 0.0
    canvas.colour[:] = 0.4
    even, edge = np.empty((6, 6, 3), np.uint8), np.empty((6, 6, 3), np.uint8)
    kernels.develop(canvas, (0.0, 0.0, 0.0), oversampling, even)
    assert even.min() == even.max()  # up to the border
    canvas.colour[:, : 3 * oversampling] = 0.0  # an edge between two pixels
    kernels.develop(canvas, (0.0, 0.0, 0.0), oversampling, edge)
    dark, faint, strong, light = edge[3, 1:5, 0]
    assert dark == 0 < faint < strong < light == even[0, 0, 0]


def test_a_render_knows_its_landmarks_and_camera(renderer: Renderer):
    vector = sample(1, 3)[0]
    rendering = renderer(vector)
    assert rendering.picture.std() > 20
    assert (rendering.picture == renderer(vector).picture).all()  # the canvas keeps nothing
    np.testing.assert_allclose(renderer.landmarks(vector), rendering.landmarks, atol=1e-3)
    # The documented camera, up to where its centre is.
    flat = rendering.scale * rendering.points[:, :2] * [1, -1]
    centred = [points - points.mean(axis=0) for points in (flat, rendering.landmarks)]
    np.testing.assert_allclose(*centred, atol=1e-3)
    np.testing.assert_allclose(rendering.rotation @ rendering.rotation.T, np.eye(3), atol=1e-6)


def test_yaw_turns_to_the_heads_left_pitch_nods_and_the_jaw_opens(renderer: Renderer):
    still = np.zeros((1, COUNT))
    nose, chin = 30, 8

    def place(name: str, value: float, landmark: int) -> np.ndarray:
        points = renderer.landmarks(moved(still, name, value)[0])
        return points[landmark] - points[[36, 45]].mean(axis=0)

    assert place("yaw", 1, nose)[0] > place("yaw", -1, nose)[0] + 2
    assert place("pitch", 1, nose)[1] > place("pitch", -1, nose)[1]
    assert place("jaw", 2, chin)[1] > place("jaw", 0, chin)[1] + 1
