# SPDX-License-Identifier: Apache-2.0
"""Alpha, normals and depth: what is painted is what is sent, in whatever company, and only where it was asked for."""

from __future__ import annotations

import io
import json
from typing import get_args

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from effigy.editing import Parameters
from effigy.faces import DEFAULT_BUNDLE, BundleError, load_face_model
from effigy.faces.depth import DepthScale, depth_of, measure_depth
from effigy.faces.pictures import Pictures
from effigy.faces.recent import Recent
from effigy.faces.welcome import welcome
from effigy.generators.planes import ALPHA, DEPTH, NORMAL
from effigy.geometry import project
from effigy.matting.foreground import to_linear
from effigy_client.pixels import BRIGHTEST, Surface
from effigy_protocol.messages import LEANS, Frame, MatteName, Synthesize

from ..planes_bundle import PLANES


@pytest.fixture(scope="module")
def model(planes_bundle):
    return load_face_model(planes_bundle, "cpu")


def array(frame, name):
    return np.frombuffer(frame.passes[name].data, "<f2").reshape(frame.passes[name].shape)


def test_a_model_says_what_it_paints(model, default_model):
    told, bare = welcome(model), welcome(default_model)
    assert (told.alpha, bare.alpha) == (True, False)
    assert told.passes == bare.passes == ("normal", "depth", "albedo", "light"), (
        "what is not painted is told by landmarks"
    )


def test_passes_are_the_painted_planes_in_their_units():
    images = torch.linspace(-1.5, 1.5, 8 * 6).reshape(1, 8, 2, 3)
    pictures = Pictures(images, PLANES, DepthScale(2.0, 0.5))
    passes, clipped = pictures.passes(("normal", "depth")), images[0].clamp(-1, 1)
    for channel, plane in enumerate(NORMAL):
        np.testing.assert_array_equal(passes["normal"][..., channel], clipped[PLANES.index(plane)].half())
    alpha = (clipped[PLANES.index(ALPHA)] + 1) / 2
    depth = 2.0 * clipped[PLANES.index(DEPTH)] + 0.5 * alpha
    np.testing.assert_array_equal(passes["depth"][..., 0], depth.half())
    opaque = Pictures(images[:, [0, 1, 2, 7]], (*PLANES[:3], "depth"), DepthScale(2.0, 0.5))
    np.testing.assert_array_equal(opaque.passes(["depth"])["depth"][..., 0], (2 * clipped[7] + 0.5).half())


def test_finals_carry_exactly_what_was_asked_for_in_whatever_company(work, model):
    anchor = model.open_seed(3, 0.7)
    asked = [(), ("depth",), ("normal", "depth"), ("normal",), (), ("depth", "normal"), ("normal",)]
    yaws = [float(yaw) for yaw in range(-21, 21, 6)]
    finals = [
        Synthesize(anchor.key, yaw, 0.0, {}, "final", passes=passes, matte="head")
        for yaw, passes in zip(yaws, asked, strict=True)
    ]
    for frame, request in zip(work(model, finals), finals, strict=True):
        assert isinstance(frame, Frame)
        assert tuple(frame.passes) == request.passes
        alone = model.finals(model.edit(anchor, request.yaw, 0.0, {}).ws[None])
        rgba = np.frombuffer(frame.data, np.uint8).reshape(128, 128, 4)
        np.testing.assert_array_equal(rgba, alone.bytes("head")[0])
        assert len(np.unique(rgba[..., 3])) > 50, "the fixture's alpha is no matte"
        for name in request.passes:
            np.testing.assert_array_equal(array(frame, name), alone.passes([name])[name])


def test_every_lossless_encoding_carries_the_same_alpha(work, model):
    anchor = model.open_seed(3, 0.7)
    raw, png, deep = work(
        model,
        [
            Synthesize(anchor.key, 5.0, 0.0, {}, "final", encoding, matte="head")
            for encoding in ("rgba8", "png", "png16")
        ],
    )
    rgba = np.frombuffer(raw.data, np.uint8).reshape(128, 128, 4)
    np.testing.assert_array_equal(iio.imread(io.BytesIO(png.data)), rgba)
    words = model.finals(model.edit(anchor, 5.0, 0.0, {}).ws[None]).words("head")[0]
    assert words.shape == (128, 128, 4)
    np.testing.assert_array_equal((words.astype(int) + 128) // 257, rgba)
    assert bytes(deep.data)[24:26] == bytes([16, 6]), "16 bits, true colour with alpha"


def test_a_preview_carries_passes_of_its_own_size_where_they_are_asked_for(work, model):
    anchor = model.open_seed(3, 0.7)
    asked = [Synthesize(anchor.key, 5.0, 0.0, {}, stream=n, half=n == 2, passes=("depth",) * (n > 0)) for n in range(3)]
    bare, whole, half = work(model, asked)
    assert bare.passes == {}
    assert (whole.half, array(whole, "depth").shape) == (False, (128, 128, 1))
    assert (half.half, half.height, array(half, "depth").shape) == (True, 64, (64, 64, 1))


def test_landmarks_tell_the_surface_that_no_plane_tells(work, default_model):
    anchor = default_model.open_seed(3, 0.7)
    names = ("normal", "depth", "albedo", "light")
    asked = [Synthesize(anchor.key, yaw, 0.0, {}, "final", passes=names, matte="head") for yaw in (-25.0, 25.0)]
    asked += [Synthesize(anchor.key, 25.0, 0.0, {}, stream=1, passes=("depth",))]
    left, right, preview = work(default_model, asked)
    assert not preview.exact, "what waits for no network is no final's"
    for frame in (left, right):
        np.testing.assert_allclose(np.linalg.norm(array(frame, "normal").astype(float), axis=-1), 1, atol=2e-3)
    face = np.s_[50:100, 45:83]
    turned = [array(frame, "normal")[face][..., 0].mean() for frame in (left, right)]
    assert turned[1] - turned[0] > 0.08, "the face looks to the left, then to the right"
    ws = default_model.edit(anchor, 25.0, 0.0, {}).ws
    seen = default_model.see(ws)
    u, v, height = seen.points[:, 27:60]
    depth = array(right, "depth")[(128 * v).astype(int), (128 * u).astype(int), 0].astype(float)
    np.testing.assert_allclose(depth, height / seen.scale, atol=0.15, err_msg="in head units, at the landmarks")
    assert seen.is_visible.sum() < len(seen.is_visible), "the far side of the jaw is hidden"
    light = default_model.light(anchor).on(array(right, "normal").astype(np.float32))
    np.testing.assert_allclose(array(right, "light").astype(float), light, atol=5e-3)
    lit = array(right, "albedo") * light
    rgba = np.frombuffer(right.data, np.uint8).reshape(128, 128, 4) / 255
    np.testing.assert_allclose(lit, to_linear(rgba[..., :3]), atol=8e-3)


def test_the_background_is_lit_evenly_beside_painted_normals_that_are_noise_there(work):
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    anchor = model.open_seed(3, 0.7)
    (frame,) = work(model, [Synthesize(anchor.key, 10.0, 0.0, {}, "final", passes=("normal", "light", "albedo"))])
    surface = Surface.of(frame, "none")
    normal = surface.normal[::-1, :, :3] / 65535.0 * 2 - 1
    light = surface.light[::-1, :, :3] / 65535.0 * BRIGHTEST
    # Both are of one surface, or light that is divided out would not be what the scene's replaces.
    np.testing.assert_allclose(light, model.light(anchor).on(normal), atol=5e-3)
    pictures = model.finals(model.edit(anchor, 10.0, 0.0, {}).ws[None])
    # Backend and client lean short normals by one formula. What is sent is rounded to half precision, lengths at which
    # a normal begins to lean are above a half, and of the lean it is at most four times the length's.
    for matte in get_args(MatteName):
        sent = Surface.of(frame, matte).normal[::-1, :, :3] / 65535.0 * 2 - 1
        np.testing.assert_allclose(sent, pictures._normal(None, matte), atol=8 * 2**-11)
    alpha = pictures.opacity()[0]
    beside, head = alpha <= 0, alpha >= 1
    assert min(beside.mean(), head.mean()) > 0.2
    painted = array(frame, "normal").astype(float)
    length = np.linalg.norm(painted, axis=-1, keepdims=True)
    lean, rate = LEANS["none"]
    straight = head & (length[..., 0] > lean / rate)  # shorter ones lean, as a few do where hair ends
    assert straight.sum() > 0.999 * head.sum()
    np.testing.assert_allclose(normal[straight], (painted / length)[straight], atol=0.03)
    away = np.degrees(np.arccos(normal[beside][:, 2]))
    assert (np.quantile(away, 0.99), away.max()) < (8, 30), "degrees from the viewer"
    sun = np.array([-0.7, 0.0, 0.7])
    share = (normal[beside] @ sun).clip(0)[:, None] / light[beside]  # of what is painted there, in that light
    assert (share.std(axis=0) / share.mean(axis=0)).max() < 0.05
    plain = to_linear(np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)[..., :3] / 255)[beside]
    share = array(frame, "albedo").astype(float)[beside] / plain
    assert (share.std(axis=0) / share.mean(axis=0)).max() < 0.05


def test_an_identitys_light_is_found_once_and_few_are_kept(default_model, monkeypatch):
    monkeypatch.setattr(default_model, "_lights", Recent(1))
    first, second = (default_model.open_seed(seed, 0.7) for seed in (3, 8))
    light = default_model.light(first)
    assert default_model.light(first) is light
    default_model.light(second)
    again = default_model.light(first)
    assert again is not light
    np.testing.assert_array_equal(again.coefficients, light.coefficients)


class Deep:
    """The default's generator, which also paints how near the landmarks are: d = (z − 0.4) / 2.5, times alpha."""

    planes = (*PLANES[:4], "depth")

    def __init__(self, model, noise):
        self._model, self._noise = model, noise

    def __getattr__(self, name):
        return getattr(self._model.generator, name)

    def synthesize(self, ws):
        q = Parameters.from_vector(self._model.regressor.of_latents(ws.double()).numpy())
        X = self._model.shape.shape(q.alpha)
        z, places = (q.camera.R[:, 2][:, :, None] * X).sum(axis=1), project(X, q.camera)
        grid = (np.stack(np.meshgrid(np.arange(128), np.arange(128)), axis=0) + 0.5) / 128
        images = torch.ones(len(ws), 5, 128, 128)
        for row in range(len(ws)):
            nearest = ((grid[:, :, :, None] - places[row][:, None, None]) ** 2).sum(axis=0).argmin(axis=-1)
            images[row, 4] = torch.from_numpy((z[row][nearest] - 0.4) / 2.5)
        wild = torch.rand(images[:, 4].shape, generator=torch.Generator().manual_seed(0)) < self._noise
        images[:, 4][wild] = 0.9
        return images


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_scale_of_a_painted_depth_is_found_in_head_units(default_model, noise, monkeypatch):
    monkeypatch.setattr("effigy.faces.depth._PICTURES", 16)
    model = default_model
    found = measure_depth(Deep(model, noise), model.regressor, model.shape, model.topology, 0)
    assert found.scale == pytest.approx(2.5, rel=0.03)
    assert found.offset == pytest.approx(0.4, abs=0.03)


def test_a_depth_of_something_else_gets_no_scale(default_model, model, monkeypatch):
    monkeypatch.setattr("effigy.faces.depth._PICTURES", 16)
    known = default_model.regressor, default_model.shape, default_model.topology, 0
    assert measure_depth(default_model.generator, *known) is None
    assert measure_depth(model.generator, *known) is None


@pytest.mark.parametrize(
    "entry", [3, [], {}, {"scale": 1.0}, {"scale": 0.0, "offset": 0.0}, {"scale": 1e9, "offset": 0}]
)
def test_a_bundle_whose_depth_means_nothing_is_refused(planes_bundle, entry, tmp_path):
    with pytest.raises((TypeError, ValueError, KeyError)):
        depth_of(entry)
    for path in planes_bundle.iterdir():
        (tmp_path / path.name).symlink_to(path)
    header = json.loads((planes_bundle / "model.json").read_text("utf-8"))
    (tmp_path / "model.json").unlink()
    (tmp_path / "model.json").write_text(json.dumps(header | {"depth": entry}), "utf-8")
    with pytest.raises(BundleError, match="damaged"):
        load_face_model(tmp_path, "cpu")
