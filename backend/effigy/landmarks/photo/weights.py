# SPDX-License-Identifier: Apache-2.0
"""Loads what reads photographs: Google's MediaPipe networks, which come with Effigy (Apache-2.0, see NOTICE).

Bazarevsky et al., *BlazeFace*, 2019; Grishchenko et al., *Attention Mesh*, 2020, and *Blendshapes GHUM*, 2023.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import torch

from effigy_protocol.files import file_problem

from ...tflite import TFLiteError, TFLiteNetwork
from ..detector import DetectorError

_FOLDER = Path(__file__).with_name("networks")
_LANDMARKER = "face_landmarker.task"  # a zip archive
_SHA256 = {
    _LANDMARKER: "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    "face_detection_full_range_sparse.tflite": "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    "selfie_segmentation.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    "straightening.npz": "3dbdf6f1f748dcd5ce0e0dff9583a981691f6ebc5d0676707894d96610479ee0",
}
# By the name that we give each network: its file, and its member where that is an archive.
NETWORKS = {
    "near": (_LANDMARKER, "face_detector.tflite"),  # pictures [N, 128, 128, 3] in [−1, 1] → boxes of faces
    "far": ("face_detection_full_range_sparse.tflite", ""),  # the same of [N, 192, 192, 3], smaller faces too
    "mesh": (_LANDMARKER, "face_landmarks_detector.tflite"),  # crops [N, 256, 256, 3] in [0, 1] → 478 points
    "scores": (_LANDMARKER, "face_blendshapes.tflite"),  # points [N, 146, 2] → 52 scores of expression
    "matte": ("selfie_segmentation.tflite", ""),  # pictures [N, 256, 256, 3] in [0, 1] → where the person is
}
# The number rises when ``PhotoDetector`` gives other points with the same files.
FINGERPRINT = "photo-3-" + hashlib.sha256("".join(_SHA256.values()).encode()).hexdigest()[:16]


def load_networks(names: tuple[str, ...], device: str | torch.device, folder: Path = _FOLDER) -> list[TFLiteNetwork]:
    """Loads the networks with these names, in that order.

    Raises DetectorError unless their files are exactly those that come with Effigy.
    """
    files: dict[str, bytes] = {}
    networks = []
    for name in names:
        file, member = NETWORKS[name]
        if file not in files:
            files[file] = read_shipped(file, folder)
        data = files[file]
        if member:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(member)
        try:
            networks.append(TFLiteNetwork(data).requires_grad_(requires_grad=False).eval().to(device))
        except TFLiteError as error:
            raise DetectorError(f"{folder / file} cannot be run: {error}") from None
    return networks


def read_shipped(name: str, folder: Path = _FOLDER) -> bytes:
    """Reads the file of this name. Raises DetectorError unless it is exactly the one that comes with Effigy."""
    path = folder / name
    if problem := file_problem(path):
        raise DetectorError(f"{problem}, which reads photographs: install Effigy again")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != _SHA256[name]:
        raise DetectorError(
            f"{path} is not the file that comes with Effigy (sha256 {found[:12]}…, wanted "
            f"{_SHA256[name][:12]}…): install Effigy again"
        )
    return data
