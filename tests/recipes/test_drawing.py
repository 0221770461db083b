# SPDX-License-Identifier: Apache-2.0
"""The demo face's renderer: triangles, strokes, light, landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.demo_face import kernels
from recipes.demo_face.figures import moved
from recipes.demo_face.film import Film, toned
from recipes.demo_face.head import EXPRESSIONS, IDENTITY_MODES
from recipes.demo_face.parameters import COUNT, column, sample
from recipes.demo_face.planes import DEEP, DEPTH, NORMAL, PLANES, RGB, planes_of
from recipes.demo_face.renderer import OVERSAMPLING, Renderer

from ..closeness import assert_same

SUMMED = IDENTITY_MODES + len(EXPRESSIONS)  # for each vertex


def square(z: float, mode: int, low: float = 1.0, high: float = 9.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Makes two triangles that face the viewer and cover the pixels from ``low`` to ``high``."""
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


def gathered(canvas: kernels.Canvas, size: int) -> Film:
    return Film.of(canvas, np.tile(np.float32([0, 0, 1]), (4, 1)), np.zeros((1, 3), np.int32), size, 1.0)


@pytest.mark.parametrize("oversampling", [2, 3])
def test_edges_are_developed_without_stairs(oversampling: int):
    canvas = kernels.Canvas.of(12 * oversampling)
    canvas.colour[:] = 0.4
    even = gathered(canvas, 12)  # the canvas is full of the first triangle, up to its border
    values = canvas.depth.size  # the most that go into a pixel
    assert_same(even.alpha, np.ones((12, 12)), values)
    assert_same(even.light, np.full((12, 12, 3), 0.4), values)
    canvas.depth[:, : 6 * oversampling] = kernels.FAR  # an edge between two pixels
    edge = gathered(canvas, 12)
    assert (np.diff(edge.alpha[6]) > -1e-6).all()
    assert edge.alpha[6, 5] + edge.alpha[6, 6] == pytest.approx(1, abs=0.02)
    assert edge.alpha[6, 2] < 1e-3 < edge.alpha[6, 5] < 0.5
    assert_same(edge.light[..., 0], 0.4 * edge.alpha, values)  # premultiplied


def test_normals_are_as_long_as_alpha_and_strands_take_theirs_from_depth():
    canvas = kernels.Canvas.of(36)
    canvas.triangle[:] = kernels.STROKE
    canvas.depth[:] = np.arange(36, dtype=np.float32) / 3  # cm, at a pixel per cm: it rises to the right
    canvas.depth[:, :9] = kernels.FAR
    film = gathered(canvas, 12)
    np.testing.assert_allclose(np.linalg.norm(film.normal, axis=2), film.alpha, atol=0.02)
    inner = film.normal[6, 8]
    assert inner[0] == pytest.approx(-(0.5**0.5), abs=0.1)
    assert inner[2] == pytest.approx(0.5**0.5, abs=0.1)
    assert film.depth[6, 8] == pytest.approx(8.5, abs=0.5)


def test_a_head_stands_before_any_background(renderer: Renderer):
    film = renderer(sample(1, 3)[0]).film
    green = np.broadcast_to(np.float32([0.05, 0.6, 0.1]), (64, 64, 3))
    picture = film.over(green)
    empty, full = film.alpha == 0, film.alpha > 1 - 1e-5
    assert empty.any()
    assert (picture[empty] == toned(green)[0, 0]).all()
    assert (picture[full] == film.over(0 * green)[full]).all()


def test_a_render_does_not_depend_on_those_before_it(renderer: Renderer):
    """Exposure once multiplied empty pixels of the canvas, which grew by an eighth per picture."""
    one, other = sample(2, seed=11)
    first = renderer(one)
    for _ in range(3):
        renderer(other)
    renderer._canvas.colour[:] = np.nan
    assert np.array_equal(planes_of(renderer(one)), planes_of(first))


def test_a_render_knows_its_landmarks_and_camera(renderer: Renderer):
    vector = sample(1, 3)[0]
    rendering = renderer(vector)
    assert rendering.picture.std() > 20
    assert (rendering.picture == renderer(vector).picture).all()  # the canvas keeps nothing
    assert_same(renderer.landmarks(vector), rendering.landmarks, SUMMED)
    # The documented camera, up to where its centre is.
    flat = rendering.scale * rendering.points[:, :2] * [1, -1]
    centred = [points - points.mean(axis=0) for points in (flat, rendering.landmarks)]
    assert_same(*centred, SUMMED)
    assert_same(rendering.rotation @ rendering.rotation.T, np.eye(3), 3)


def test_yaw_turns_to_the_heads_left_pitch_nods_and_the_jaw_opens(renderer: Renderer):
    still = np.zeros((1, COUNT))
    nose, chin = 30, 8

    def place(name: str, value: float, landmark: int) -> np.ndarray:
        points = renderer.landmarks(moved(still, name, value)[0])
        return points[landmark] - points[[36, 45]].mean(axis=0)

    assert place("yaw", 1, nose)[0] > place("yaw", -1, nose)[0] + 1.5
    assert place("pitch", 1, nose)[1] > place("pitch", -1, nose)[1]
    assert place("jaw", 2, chin)[1] > place("jaw", 0, chin)[1] + 1


def test_irises_turn_with_the_gaze_in_landmarks_and_in_the_picture(renderer: Renderer):
    still = np.zeros((1, COUNT))
    still[:, column("eyes_wide")] = 2.0
    left, right = (renderer(moved(still, "gaze.0", value)[0]) for value in (1.5, -1.5))
    up, down = (renderer(moved(still, "gaze.1", value)[0]) for value in (1.5, -1.5))
    assert (left.landmarks[68:, 0] > right.landmarks[68:, 0] + 1).all()
    assert (up.landmarks[68:, 1] < down.landmarks[68:, 1] - 0.5).all()
    assert np.abs(left.landmarks[:17] - right.landmarks[:17]).max() < 0.3, "the head holds still"
    for rendering in (left, right):  # the dark pixels are where the landmark puts the pupil
        for x, y in rendering.landmarks[68:]:
            row, column_ = int(y), int(x)
            around = rendering.picture[row - 4 : row + 5, column_ - 4 : column_ + 5].mean(axis=2)
            assert rendering.picture[row, column_].mean() < around.mean()


def test_planes_hold_the_picture_and_the_truth(renderer: Renderer):
    rendering = renderer(sample(1, 3)[0])
    planes = planes_of(rendering)
    assert planes.shape == (64, 64, PLANES)
    assert (planes[..., RGB] == rendering.picture).all()
    values = (planes.astype(float) + 0.5 - 128) / 127.5
    np.testing.assert_allclose(values[..., NORMAL], rendering.film.normal, atol=5e-3)
    np.testing.assert_allclose(DEEP * values[..., DEPTH][..., 0], rendering.film.depth, atol=0.1)
