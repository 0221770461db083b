# SPDX-License-Identifier: Apache-2.0
"""Faces in photographs: scikit-image's astronaut, moved, turned and put into larger pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from effigy.faces import FIRST_BUNDLE
from effigy.geometry import angles, load_topology, rotation
from effigy.landmarks import load_detector
from effigy.landmarks.photo import SCORES, Crop, Film, Matte, head
from effigy.landmarks.photo.crop import cut

EYES = np.array([[98.0, 80.7], [162.0, 83.6]])  # corners on the outside, by hand, in pixels
NEAR = 3.0  # pixels: the face is 109 high


def enlarged(photo: np.ndarray, size: int) -> np.ndarray:
    """Of [256, 256, 3], at ``size``."""
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return resized[0].round().byte().permute(1, 2, 0).numpy()


def on_grey(height: int, width: int, *pictures: tuple[np.ndarray, int, int]) -> np.ndarray:
    """Pictures at (top, left) on a grey one."""
    out = np.full((height, width, 3), 90, np.uint8)
    for picture, top, left in pictures:
        out[top : top + len(picture), left : left + picture.shape[1]] = picture
    return out


def test_a_face_is_read(reader, photo):
    (face,) = reader.read(photo)
    assert face.points.shape == (478, 3)
    assert np.abs(face.points[[33, 263], :2] - EYES).max() < NEAR
    iris = face.points[468:473, :2].mean(axis=0)
    assert face.points[33, 0] < iris[0] < face.points[133, 0], "the iris lies between the corners of its eye"
    assert face.points[1, 2] < face.points[[234, 454], 2].min(), "the nose is nearer than the ears"
    scores = dict(zip(SCORES, face.scores, strict=True))
    assert len(scores) == 52
    assert min(scores["mouthSmileLeft"], scores["mouthSmileRight"]) > 0.5, "she smiles"
    assert scores["jawOpen"] < 0.3
    assert face.presence > 0.9


@pytest.mark.parametrize("turns", [1, 3])
def test_a_picture_that_lies_on_its_side_shows_the_same_face(reader, photo, turns):
    (upright,), (turned,) = reader.read(photo), reader.read(np.ascontiguousarray(np.rot90(photo, turns)))
    x, y = turned.points[:, 0] - 128, turned.points[:, 1] - 128
    for _ in range(turns):
        x, y = -y, x
    assert np.abs(np.stack([x, y], axis=1) + 128 - upright.points[:, :2]).max() < 2 * NEAR
    assert np.abs(turned.scores - upright.scores).max() < 0.5


def test_points_follow_size_and_place(reader, photo):
    (face,) = reader.read(photo)
    (moved,) = reader.read(on_grey(700, 900, (enlarged(photo, 512), 100, 250)))
    assert np.abs((moved.points[:, :2] - [250, 100]) / 2 - face.points[:, :2]).max() < NEAR
    assert moved.size == pytest.approx(2 * face.size, rel=0.03)


def test_several_faces_come_by_size_and_each_once(reader, photo):
    picture = on_grey(900, 1400, (enlarged(photo, 300), 20, 20), (photo, 500, 1000), (enlarged(photo, 400), 300, 400))
    faces = reader.read(picture)
    assert [face.size / 109 * 256 for face in faces] == pytest.approx([400, 300, 256], rel=0.05)
    assert len(reader.read(picture, most=2)) == 2


def test_faces_far_away_are_found_in_tiles(reader, photo):
    (face,) = reader.read(on_grey(1600, 2400, (enlarged(photo, 160), 1200, 2000)))
    assert np.abs(face.points[[33, 263], :2] - [2000, 1200] - EYES * 160 / 256).max() < NEAR


def test_a_face_that_fills_its_picture_is_found(reader, photo):
    (face,) = reader.read(np.ascontiguousarray(photo[40:150, 70:180]))
    assert np.abs(face.points[[33, 263], :2] + [70, 40] - EYES).max() < NEAR


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (64, 64, 3), (480, 640, 3)])
def test_where_there_is_no_face_none_is_read(reader, shape):
    assert reader.read(np.full(shape, 128, np.uint8)) == []
    assert reader.read(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)) == []


def test_the_detector_gives_points_in_the_picture_or_nan(photo):
    detector = load_detector("photo", FIRST_BUNDLE / "detector.safetensors", "cpu")
    wide = on_grey(256, 512, (photo, 0, 256))
    images = torch.from_numpy(np.stack([wide, np.zeros_like(wide), wide])).permute(0, 3, 1, 2) / 127.5 - 1
    points = detector.detect(images)
    assert points.shape == (3, 2, 478)
    assert points.dtype == torch.float32
    assert points[1].isnan().all()
    torch.testing.assert_close(points[0], points[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(points[0], detector.detect(images[:1])[0], atol=1e-4, rtol=0)
    wanted = (EYES + np.array([256, 0])) / [512, 256]
    assert np.abs(points[0][:, [33, 263]].T.numpy() - wanted).max() < NEAR / 256
    assert detector.topology == "mediapipe478"
    assert detector.fingerprint.startswith("photo-")


def test_a_film_looks_where_the_face_was(reader, photo, monkeypatch):
    looked = []
    find = reader._finder.find
    monkeypatch.setattr(reader._finder, "find", lambda picture: (looked.append(1), find(picture))[1])
    film = Film(reader)
    walk = [on_grey(300, 400, (photo, 0, 4 * step)) for step in range(4)]
    faces = [film.read(picture) for picture in walk]
    assert len(looked) == 1
    steps = np.diff([face.points[1, 0] for face in faces])
    assert np.abs(steps - 4).max() < 1.0
    assert film.read(on_grey(300, 400)) is None, "gone"
    assert film.read(on_grey(300, 400)) is None
    assert film.read(walk[0]) is not None, "and back"
    assert len(looked) == 4
    assert film.faces == 1


def test_a_film_follows_the_face_that_was_asked_for(reader, photo):
    picture = on_grey(400, 700, (photo, 0, 0), (enlarged(photo, 384), 0, 300))
    first, second = Film(reader).read(picture), Film(reader, number=1).read(picture)
    assert first.points[1, 0] > 300 > second.points[1, 0]
    assert Film(reader, number=5).read(picture) is None, "there are but two"


def test_a_matte_tells_the_person_from_the_background(photo):
    matte = Matte().matte(on_grey(256, 300, (photo, 0, 0)))
    assert matte.shape == (256, 300)
    assert matte.min() >= 0
    assert matte.max() <= 1
    assert matte[70:130, 105:145].mean() > 0.95
    assert matte[:60, :40].mean() < 0.05


@pytest.mark.parametrize("angle", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("side", [37.0, 200.0])
def test_crops_show_the_places_that_they_say(angle, side):
    """On a picture whose colours are its coordinates."""
    y, x = np.mgrid[:256, :256].astype(np.uint8)
    picture = torch.from_numpy(np.stack([x, y, np.zeros_like(x)], axis=2))
    crop = Crop(120.5, 130.25, side, angle)
    shown = cut(picture, crop, 32).numpy()[..., :2] * 255
    v, u = (np.mgrid[:32, :32] + 0.5) / 32
    wanted = crop.to_picture(np.stack([u, v], axis=-1)) - 0.5  # a pixel's colour is that of its middle
    inside = ((wanted > 6) & (wanted < 248)).all(axis=-1)
    assert np.abs(shown - wanted)[inside].max() < 0.6


def test_a_head_is_turned_as_its_points_are(reader, photo):
    (face,) = reader.read(photo)
    read = head(face.points)
    assert np.allclose(read.R @ read.R.T, np.eye(3))
    yaw, _, roll = (float(np.degrees(a)) for a in angles(read.R))
    assert abs(yaw) < 5, "she looks at the camera"
    eyes = face.points[263, :2] - face.points[33, :2]
    assert roll == pytest.approx(-np.degrees(np.arctan2(eyes[1], eyes[0])), abs=2), "her head is tilted as her eyes"
    assert read.size == pytest.approx(np.linalg.norm(eyes), rel=0.1)
    assert read.residual < 0.1


def test_the_pose_of_a_turned_mesh_is_the_turn():
    from effigy.landmarks.photo.pose import _canonical

    mean = np.concatenate([_canonical()[0], np.zeros((3, 10))], axis=1)
    R = rotation(*np.radians([[20.0], [-10.0], [5.0]]))[0]
    seen = 60 * (R @ mean) * np.array([[1], [-1], [-1]]) + np.array([[300], [200], [10]])
    read = head(seen.T)
    np.testing.assert_allclose(read.R, R, atol=1e-6)
    np.testing.assert_allclose(read.points[:, :468], mean[:, :468], atol=1e-6)
    assert read.size == pytest.approx(60)
    assert read.residual == pytest.approx(0, abs=1e-6)


def test_a_mirrored_picture_is_read_as_the_same_face_mirrored(reader, photo):
    """Both are read in both ways, so that they differ by how they are cut out alone."""
    (face,), (other,) = reader.read(photo), reader.read(np.ascontiguousarray(photo[:, ::-1]))
    mirror = load_topology("mediapipe478").mirror
    there = other.points[mirror] * [-1, 1, 1] + [256, 0, 0]
    assert np.abs(there - face.points).max() < 1.0
    twins = [name.replace("Left", "?").replace("Right", "Left").replace("?", "Right") for name in SCORES]
    assert np.abs(other.scores[[SCORES.index(name) for name in twins]] - face.scores).max() < 0.2
    alike = [np.corrcoef(one, two)[0, 1] for one, two in zip(face.eyes, other.eyes[::-1], strict=True)]
    assert min(alike) > 0.9, "the left eye looks as the mirror image's right one"
    assert face.eyes.mean(axis=1) == pytest.approx(0, abs=1e-9)


def test_specks_of_noise_are_no_faces(reader):
    random = np.random.default_rng(1)
    for height, width in ((64, 152), (48, 163), (36, 150), (51, 54)):
        assert reader.read(random.integers(0, 256, (height, width, 3)).astype(np.uint8)) == []
