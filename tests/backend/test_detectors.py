# SPDX-License-Identifier: Apache-2.0
"""Detectors of other packages behind our interface: the real package with random weights."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from effigy.faces import FIRST_BUNDLE
from effigy.landmarks import DetectorError, load_detector
from effigy.landmarks.embedded import LandmarkNetwork, soft_argmax

EMBEDDED = FIRST_BUNDLE / "detector.safetensors"
FAN_FILES = ("2DFAN4-11f355bf06.pth.tar", "s3fd-619a316812.pth")


@pytest.fixture()
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def offline(*arguments, **more):
    from urllib.error import URLError

    raise URLError("no network in tests")


def test_face_alignment_finds_68_points_in_every_picture(torch_home, monkeypatch):
    pytest.importorskip("face_alignment")
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    torch.manual_seed(0)
    monkeypatch.setattr("face_alignment.api.FAN", lambda stacks: FAN(1))  # a quarter of the real one's depth
    torch.save(FAN(1).state_dict(), torch_home / FAN_FILES[0])
    torch.save(s3fd().state_dict(), torch_home / FAN_FILES[1])
    detector = load_detector("face-alignment", EMBEDDED, "cpu")
    pictures = torch.rand(2, 3, 128, 128) * 2 - 1
    batches = []
    hook = FAN.forward
    monkeypatch.setattr(FAN, "forward", lambda self, x: (batches.append(len(x)), hook(self, x))[1])
    points = detector.detect(pictures)
    assert batches == [2], "all in one pass"
    assert points.shape == (2, 2, 68)
    assert points.dtype == torch.float32
    assert detector.topology == "ibug68"
    assert points.min() > -0.3
    assert points.max() < 1.3
    torch.testing.assert_close(detector.detect(pictures[1:2])[0], points[1], atol=1e-4, rtol=0)
    assert detector.fingerprint != load_detector("embedded", EMBEDDED, "cpu").fingerprint


@pytest.mark.parametrize(("landmarks", "topology"), [(68, "ibug68"), (70, "ibug70")])
def test_an_embedded_detector_finds_as_many_points_as_it_was_trained_for(tmp_path, landmarks, topology):
    save_file(LandmarkNetwork(landmarks=landmarks).state_dict(), tmp_path / "detector.safetensors")
    detector = load_detector("embedded", tmp_path / "detector.safetensors", "cpu")
    assert detector.topology == topology
    assert detector.detect(torch.zeros(2, 3, 128, 128)).shape == (2, 2, landmarks)


def test_missing_weights_are_named_with_their_folder(torch_home, monkeypatch):
    pytest.importorskip("face_alignment")
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(DetectorError) as refused:
        load_detector("face-alignment", EMBEDDED, "cpu")
    for expected in (*FAN_FILES, str(torch_home), "https://"):
        assert expected in str(refused.value)


def test_damaged_weights_are_named(torch_home, monkeypatch):
    pytest.importorskip("face_alignment")
    for name in FAN_FILES:
        (torch_home / name).write_bytes(b"damaged")
    with pytest.raises(DetectorError, match="damaged"):
        load_detector("face-alignment", EMBEDDED, "cpu")


def test_what_mediapipe_lacks_is_named(tmp_path):
    with pytest.raises(DetectorError, match=r"face_landmarker\.task.*storage\.googleapis"):
        load_detector(str(tmp_path / "face_landmarker.task"), EMBEDDED, "cpu")


def test_a_task_file_that_is_none_is_named(tmp_path):
    pytest.importorskip("mediapipe")
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"damaged")
    with pytest.raises(DetectorError, match="not a face landmarker"):
        load_detector(str(path), EMBEDDED, "cpu")


@pytest.fixture()
def landmarker(monkeypatch):
    """Imitates the part of MediaPipe that we call; x of its face are the picture's reds, y its blues, if any."""

    def detect(image):
        channels = image.data.shape[2]
        assert (image.data.dtype, channels, image.image_format) == (np.uint8, 3, "SRGB")
        assert image.data.flags["C_CONTIGUOUS"]
        red, blue = image.data[0, 0, 0] / 255, image.data[0, 0, 2] / 255
        face = [SimpleNamespace(x=red, y=blue, z=0.0) for _ in range(478)]
        return SimpleNamespace(face_landmarks=[face] if red > 0 else [])

    vision = SimpleNamespace(
        FaceLandmarkerOptions=SimpleNamespace,
        FaceLandmarker=SimpleNamespace(create_from_options=lambda options: SimpleNamespace(detect=detect)),
    )
    package, tasks, python = (ModuleType(name) for name in ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python"))
    package.Image, package.ImageFormat = SimpleNamespace, SimpleNamespace(SRGB="SRGB")
    python.BaseOptions, python.vision = SimpleNamespace, vision
    for module in (package, tasks, python):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_mediapipe_is_given_rgb_bytes_and_gives_points_or_nan(landmarker, tmp_path):
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"a task")
    detector = load_detector(str(path), EMBEDDED, "cpu")
    pictures = torch.full((3, 3, 8, 8), -1.0)
    pictures[0, 0], pictures[0, 2] = 1.0, 0.0
    pictures[1, 0], pictures[1, 2] = 0.0, 1.0
    points = detector.detect(pictures)
    assert points.shape == (3, 2, 478)
    assert points.dtype == torch.float32
    assert points[0, 0].unique().tolist() == [1.0]
    assert points[0, 1].unique().tolist() == pytest.approx([0.5], abs=0.01)
    assert points[1, 1].unique().tolist() == [1.0]
    assert points[2].isnan().all(), "no face"
    assert detector.topology == "mediapipe478"
    path.write_bytes(b"another task")
    assert load_detector(str(path), EMBEDDED, "cpu").fingerprint != detector.fingerprint


def test_positions_are_exact_in_mixed_precision_too():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    places = torch.tensor([[22.3, 20.1], [25.7, 29.0], [3.4, 10.6]])  # bfloat16 is coarsest above one half
    heat = torch.stack([-((x - a) ** 2 + (y - b) ** 2) for a, b in places])[None]
    exact = soft_argmax(heat)
    assert (32 * exact[0] - 0.5 - places).abs().max() < 0.05
    with torch.autocast("cpu", torch.bfloat16):
        mixed = soft_argmax(heat)
    assert torch.equal(mixed, exact)


def test_an_unknown_detector_is_named():
    with pytest.raises(DetectorError, match="'dlib'.*face-alignment"):
        load_detector("dlib", EMBEDDED, "cpu")
