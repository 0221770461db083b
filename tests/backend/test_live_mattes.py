# SPDX-License-Identifier: Apache-2.0
"""Moving previews with a matte: none waits for the network, and what a final has is told by finals alone."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from effigy.faces.pictures import Pictures
from effigy.faces.seen import Seen
from effigy.landmarks import DetectorError
from effigy.relighting import Relief
from effigy.service import live_mattes
from effigy.service.live_mattes import LiveMattes
from effigy_protocol.messages import Synthesize

RGB = ("red", "green", "blue")


def rgba(frame):
    return np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 4)


def preview(level, size=16):
    return Pictures(torch.full((1, 3, size, size), float(level)), RGB, None)


@pytest.fixture()
def mattes():
    live = LiveMattes()
    yield live
    live.close()


def test_a_preview_waits_for_no_matte_but_the_first(mattes, monkeypatch):
    release, seen = threading.Event(), []

    def slow(colours):
        seen.append(float(colours.mean()))
        assert len(seen) == 1 or release.wait(300)
        return np.full(colours.shape[:2], abs(colours.mean()), np.float32)

    monkeypatch.setattr(live_mattes, "head_alpha", slow)
    first, *later = (mattes.dress(b"a", 1, preview(level)) for level in (0.2, 0.4, 0.6, 0.8))
    for dressed in (first, *later):
        np.testing.assert_allclose(dressed.matte, 0.2, atol=0.01)
        assert not dressed.is_exact
    release.set()
    mattes._at_work.result(300)
    assert seen == pytest.approx([0.2, 0.4]), "while one is looked at, others are not kept waiting for it"
    half = mattes.dress(b"a", 1, preview(1.0, size=8))
    assert half.matte.shape == (8, 8)
    np.testing.assert_allclose(half.matte, 0.4, atol=0.01)
    mattes._at_work.result(300)
    other = mattes.dress(b"a", 2, preview(0.7))
    np.testing.assert_allclose(other.matte, 0.7, atol=0.01, err_msg="each face has its own")


def test_a_client_that_leaves_while_its_picture_is_looked_at_stays_forgotten(mattes, monkeypatch):
    began, release = threading.Event(), threading.Event()

    def slow(colours):
        began.set()
        release.wait(300)
        return np.ones(colours.shape[:2], np.float32)

    mattes._keep((b"a", 1), live_mattes._Known(np.full((2, 2), 255, np.uint8)))
    monkeypatch.setattr(live_mattes, "head_alpha", slow)
    mattes.dress(b"a", 1, preview(0, size=2))
    assert began.wait(300)
    mattes.forget(b"a")
    release.set()
    mattes._at_work.result(300)
    assert not mattes._known


def test_surfaces_wait_for_nothing_either(mattes, monkeypatch):
    """One is found in the first picture that asks for it; later ones show the newest, in their own size."""
    release, found = threading.Event(), []

    def slow(points, alpha):
        found.append(float(points[0, 0]))
        assert len(found) == 1 or release.wait(300)
        height = np.full(alpha.shape, found[-1], np.float32)
        return Relief(np.stack([0 * height, 0 * height, 1 + 0 * height], axis=-1), height)

    def moved(u, size=16):
        points = np.full((3, 4), u)
        return replace(preview(0, size), seen=Seen(points, np.ones(4, np.bool_), 0.3))

    monkeypatch.setattr(live_mattes, "head_alpha", lambda colours: np.ones(colours.shape[:2], np.float32))
    monkeypatch.setattr(live_mattes, "relief", slow)
    assert mattes.dress(b"a", 1, preview(0)).relief is None, "nobody has asked for it"
    mattes._at_work = None
    for u in (0.2, 0.4, 0.6):
        np.testing.assert_allclose(mattes.dress(b"a", 1, moved(u)).surface().height, 0.2)
    release.set()
    mattes._at_work.result(300)
    assert found == [0.2, 0.4]
    half = mattes.dress(b"a", 1, moved(0.8, size=8)).surface()
    assert half.normal.shape == (8, 8, 3)
    np.testing.assert_allclose(half.height, 0.4, rtol=1e-5)


def test_what_is_kept_is_bounded_and_forgotten_with_its_client(mattes, monkeypatch):
    monkeypatch.setattr(live_mattes, "head_alpha", lambda colours: np.ones(colours.shape[:2], np.float32))
    for stream in range(live_mattes.MOST + 5):
        mattes.dress(b"a", stream, preview(0, size=2))
    mattes.dress(b"b", 1, preview(0, size=2))
    assert len(mattes._known) == live_mattes.MOST
    mattes.forget(b"a")
    assert list(mattes._known) == [(b"b", 1)]
    monkeypatch.setattr(live_mattes, "_BYTES", 258)
    mattes.dress(b"b", 2, preview(0, size=16))
    assert list(mattes._known) == [(b"b", 2)]


def test_previews_have_a_matte_at_once_and_finals_their_own(work, default_model):
    anchor = default_model.open_seed(3, 0.7)
    asked = [Synthesize(anchor.key, 5.0, 0.0, {}, stream=n, half=n == 2, matte="head") for n in (1, 2)]
    asked += [Synthesize(anchor.key, 6.0, 0.0, {}, "final", matte=matte) for matte in ("head", "none")]
    asked += [Synthesize(anchor.key, 6.0, 0.0, {}, stream=3)]
    *moving, final, whole, bare = work(default_model, asked)
    for frame in moving:
        assert not frame.exact
        assert 0.1 < (rgba(frame)[..., 3] == 255).mean() < 0.9
    painted = default_model.finals(default_model.edit(anchor, 6.0, 0.0, {}).ws[None])
    np.testing.assert_array_equal(rgba(final), painted.bytes("head")[0])
    np.testing.assert_array_equal(rgba(whole)[..., :3], painted.bytes()[0])
    assert (rgba(whole)[..., 3] == 255).all()
    assert (final.exact, whole.exact, bare.exact) == (True, True, True)


def test_a_matte_in_jpeg_is_refused(work, default_model):
    key = default_model.open_seed(3, 0.7).key
    [refused] = work(default_model, [Synthesize(key, 6.0, 0.0, {}, encoding="jpeg", matte="head")])
    assert (refused.code, refused.hint) == ("bad-field", "ask for rgba8 or png")


def test_a_missing_network_fails_what_asks_for_it_alone(work, default_model, monkeypatch):
    def missing(colours):
        raise DetectorError("its file is missing")

    monkeypatch.setattr("effigy.faces.pictures.head_alpha", missing)
    key = default_model.open_seed(3, 0.7).key
    head, none = work(default_model, [Synthesize(key, 6.0, 0.0, {}, "final", matte=m) for m in ("head", "none")])
    assert (head.code, head.message) == ("failed", "its file is missing")
    assert "no matte" in head.hint
    assert none.exact
