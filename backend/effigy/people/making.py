# SPDX-License-Identifier: Apache-2.0
"""From a picture's file to a person: aligned, inverted, and told what came of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from effigy_protocol.version import VERSION

from ..editing import Parameters
from ..editing.parameters import ROTATION
from ..faces import FaceModel, Identity
from ..faces.encoder import Encoder
from ..faces.person import Person
from ..faces.photo_map import Features
from ..geometry import rotation
from ..geometry.camera import Array
from ..landmarks.photo import PhotoReader
from ..picture_files import decode_picture
from .alignment import Aligned, Alignment, UnfitModelError, align
from .inversion import Progress, invert
from .masks import face_mask
from .objective import Judged, Objective, PhotoFace, Target

_SOURCE = "a picture that its user gave"
_OWN = 30.0  # decibels: a picture painted so well is one of the generator's, and φ knows its pose


@dataclass(frozen=True, slots=True)
class Made:
    """A person, opened, and what was seen of the picture."""

    person: Person
    identity: Identity
    aligned: Aligned
    figures: dict[str, float]


Steps = Generator[Progress, None, Made]


def make_person(
    model: FaceModel,
    reader: PhotoReader,
    data: bytes | memoryview,  # a picture's file
    number: int = 1,  # of the face, the largest being 1
    how: Alignment = "auto",
    *,
    keep_picture: bool = False,  # in the person's file
    name: str = "the picture",  # for errors
) -> Steps:
    """Yields how far it is, and returns who was made; it may be left at any time. Deterministic.

    Raises PictureFileError, NoFaceError or UnfitModelError.
    """
    encoder = encoder_of(model)
    picture = decode_picture(data, name)
    aligned = align(model, reader, picture, number, how)
    objective = Objective(model, encoder, target_of(aligned, reader))
    best = yield from invert(objective)
    story = {
        "source": {
            "sha256": hashlib.sha256(data).hexdigest(),
            "face": number,
            "framed": aligned.framed,
        },
        "provenance": [
            {"made": f"by Effigy {VERSION}", "from": _SOURCE, "shows": "what a model makes of a real person"}
        ],
    }
    rows = objective.latents(best.v).cpu().numpy().astype(np.float32)
    found = _figures(objective, best)
    person = replace(
        model.person(rows, {**story, "figures": found}),
        quad=aligned.quad / [picture.shape[1], picture.shape[0]],
        picture=bytes(data) if keep_picture else None,
    )
    if found["psnr"] < _OWN:
        person = replace(person, bias=_bias(model, model.open_person(person), aligned))
    return Made(person, model.open_person(person), aligned, found)


def encoder_of(model: FaceModel) -> Encoder:
    """From where the model inverts pictures. Raises UnfitModelError."""
    if model.encoder is None:
        raise UnfitModelError(
            f"{model.name} has not learnt to make people of pictures: run 'effigy bundle learn-people' on it once"
        )
    return model.encoder


def target_of(aligned: Aligned, reader: PhotoReader) -> Target:
    """What is to be painted: a picture framed as the generator's is taken for one of its own."""
    if aligned.framed:
        return Target(aligned.picture)
    size, device = aligned.picture.shape[-1], aligned.picture.device
    points = aligned.in_cut(aligned.face.points[:, :2])
    mask = torch.from_numpy(face_mask(points, size)).float().to(device)[None, None]
    crop = aligned.face.crop()
    scale = size / aligned.crop.side
    x, y = aligned.in_cut(np.array([[crop.x, crop.y]]))[0].tolist()
    within = replace(crop, x=x, y=y, side=crop.side * scale, angle=crop.angle - aligned.crop.angle)
    return Target(aligned.picture, PhotoFace(mask, within, reader))


def psnr(picture: Tensor, wanted: Tensor, weight: Tensor | None = None) -> float:
    """Decibels of the peak over the difference of pictures [1, 3, H, W] in [−1, 1], where ``weight`` is."""
    apart = ((picture.clamp(-1, 1) - wanted) / 2).square()
    if weight is not None:
        error = float((apart * weight).sum() / weight.sum().clamp_min(1e-9) / 3)
    else:
        error = float(apart.mean())
    return -10 * math.log10(max(error, 1e-12))


def _figures(objective: Objective, best: Judged) -> dict[str, float]:
    """How well the picture is met, in decibels, and what it took."""
    target = objective.target
    found = {"psnr": round(psnr(best.picture, target.picture), 2), "painted": objective.painted}
    if target.face is not None:
        found["psnr_face"] = round(psnr(best.picture, target.picture, target.face.mask), 2)
    return found


def _bias(model: FaceModel, identity: Identity, aligned: Aligned) -> Array | None:
    """What q is more in the photograph than φ reads: its turn, as photographs are read. None where they are not."""
    if model.photo_map is None:
        return None
    yaw, pitch, _ = model.photo_map.read_pose(Features.of(aligned.face))
    turned = rotation(*(np.radians([angle]) for angle in (yaw, pitch, identity.pose.roll)))
    target = Parameters.from_vector(identity.q[None])
    target.camera.R[:] = turned
    bias = np.zeros(len(identity.q))
    bias[ROTATION] = target.to_vector()[0, ROTATION] - identity.q[ROTATION]
    return bias
