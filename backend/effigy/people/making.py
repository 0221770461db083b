# SPDX-License-Identifier: Apache-2.0
"""Makes a person of a picture's file: aligns, inverts, tunes, and notes how it was done and how well it fits."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from effigy_protocol.messages import Alignment
from effigy_protocol.version import VERSION

from ..editing import Parameters
from ..editing.parameters import ROTATION
from ..faces import FaceModel, Identity
from ..faces.encoder import Encoder
from ..faces.person import MOST_BYTES, Person, PersonError
from ..faces.photo_map import Features
from ..geometry import load_topology, rotation
from ..geometry.camera import Array
from ..landmarks.photo import PhotoReader
from ..picture_files import decode_picture
from ..recognition import Lpips
from .alignment import Aligned, UnfitModelError, align
from .following import measure
from .inversion import Progress, invert
from .masks import face_mask
from .objective import Judged, Objective, PhotoFace, Target, mesh_of
from .stages import Kept, Remembered, Stages
from .steps import told_as
from .tuning import tune

_SOURCE = "a picture that its user gave"
_OUTER_EYES = 33, 263  # their corners, among the points of MediaPipe's mesh
# The shares of the work that are done after inversion, and after tuning; the rest is measuring.
_FITTED, _FITTED_AND_TUNED = 0.6, (0.25, 0.9)
_KEPT_BYTES = MOST_BYTES - (64 << 10)  # of a picture in a person's file, beside what else is in there
_TUNED_BYTES = 1 << 20  # which tuning adds to that
_OWN = 30.0  # dB of PSNR above which a picture counts as the generator's own, whose pose φ reads without bias


@dataclass(frozen=True, slots=True)
class Made:
    """A person who was made, opened in the model, and how well they fit."""

    person: Person
    identity: Identity
    aligned: Aligned  # the face as it was cut out
    figures: dict[str, float]  # PSNR in dB, of picture and face, and pictures painted


Steps = Generator[Progress, None, Made]


def make_person(
    model: FaceModel,
    reader: PhotoReader,
    data: bytes | memoryview,  # a picture's file
    number: int = 1,  # which face; 1 is the largest
    how: Alignment = "auto",
    *,
    tuned: bool = False,  # change the generator for this person, unless the picture is one of the generator's own
    keep_picture: bool = False,  # in the person's file
    name: str = "the picture",  # for errors
    lpips: Lpips | None = None,  # compares a photograph with what is painted, too: ``users_lpips``
    kept: Kept | None = None,  # what was found before one was stopped: it goes on there, to the same bits
) -> Steps:
    """Makes a person; yields its progress and returns who was made.

    The generator may be closed at any time. The same input gives the same person. Raises PictureFileError, NoFaceError,
    UnfitModelError, GeneratorFileError, or PersonError for a picture that is too large to keep.
    """
    encoder = encoder_of(model)
    most = _KEPT_BYTES - (_TUNED_BYTES if tuned else 0)
    if keep_picture and len(data) > most:
        has, fit = (f"{size / 2**20:.2f}" for size in (len(data), most))
        raise PersonError(f"{name} has {has} MiB, more than fit into a person's file ({fit}): keep it out")
    if not encoder.has_its_networks:
        raise UnfitModelError(
            f"{model.name} learnt to make people by networks that this Effigy has not: run "
            "'effigy bundle learn-people' on it again"
        )
    picture = decode_picture(data, name)
    aligned = align(model, reader, picture, number, how)
    fitting, trained = _FITTED_AND_TUNED if tuned else (_FITTED, _FITTED)
    by = None if lpips is None else lpips.fingerprint
    whose = model.model_id, model.generator_sha256, encoder.fingerprint, number, how, by
    stages = Stages.begin(Remembered() if kept is None else kept, data, *whose)
    objective, best = yield from _scaled(_fit(model, encoder, aligned, reader, lpips, stages), 0.0, fitting)
    found, target = _figures(objective, best), objective.target
    if target.face is not None:
        found["mirror_apart"] = _mirrored(target, target.face)
    metadata = {
        "source": {"sha256": hashlib.sha256(data).hexdigest(), "face": number, "framed": aligned.framed},
        "provenance": [
            {"made": f"by Effigy {VERSION}", "from": _SOURCE, "shows": "what a model makes of a real person"}
        ],
    }
    person = replace(
        model.person(objective.latents(best.v).cpu().numpy().astype(np.float32), metadata),
        quad=aligned.quad / [picture.shape[1], picture.shape[0]],
        picture=bytes(data) if keep_picture else None,
    )
    if target.face is not None:
        person = replace(person, bias=_bias(model, model.open_person(person), aligned))
        if tuned:
            steps = tune(model, model.open_person(person), target, stages)
            person = replace(person, deltas=(yield from _scaled(steps, fitting, trained)))
            found |= {f"tuned_{key}": value for key, value in _met(_painted(model, person), target).items()}
        person = yield from _scaled(_measured(model, person, target, reader), trained, 1.0)
    person = replace(person, metadata={**person.metadata, "figures": found})
    return Made(person, model.open_person(person), aligned, found)


def _fit(
    model: FaceModel, encoder: Encoder, aligned: Aligned, reader: PhotoReader, lpips: Lpips | None, stages: Stages
) -> Generator[Progress, None, tuple[Objective, Judged]]:
    """Inverts a face. A picture that is already cut is first taken for the generator's own, and kept if that fits."""
    if aligned.framed:
        own = Objective(model, encoder, Target(aligned.picture))
        best = yield from _scaled(invert(own, stages.part("own")), 0.0, 0.5)
        if psnr(best.picture, aligned.picture) >= _OWN:
            return own, best
    photograph = Objective(model, encoder, target_of(aligned, reader, lpips))
    steps = invert(photograph, stages.part("photograph"))
    best = yield from _scaled(steps, 0.5 * aligned.framed, 1.0)
    return photograph, best


def _measured(
    model: FaceModel, person: Person, target: Target, reader: PhotoReader
) -> Generator[Progress, None, Person]:
    """Adds how far the person's pictures follow what is asked."""
    picture, steps = _painted(model, person), measure(model, model.open_person(person), reader)
    told = told_as(steps, lambda share: Progress("measured", share, picture, target.picture))
    turns, shown = yield from told
    return replace(person, turns=turns, shown=shown)


R = TypeVar("R")


def _scaled(steps: Generator[Progress, None, R], low: float, high: float) -> Generator[Progress, None, R]:
    """Passes on steps whose share of the work goes from ``low`` to ``high``."""
    return told_as(steps, lambda step: replace(step, share=low + (high - low) * step.share))


def encoder_of(model: FaceModel) -> Encoder:
    """Returns the model's encoder. Raises UnfitModelError if it has none."""
    if model.encoder is None:
        raise UnfitModelError(
            f"{model.name} has not learnt to make people of pictures: run 'effigy bundle learn-people' on it once"
        )
    return model.encoder


def target_of(aligned: Aligned, reader: PhotoReader, lpips: Lpips | None = None) -> Target:
    """Returns the target of inverting a photograph: the cut-out face, its mask and the crop of its mesh."""
    size, device = aligned.picture.shape[-1], aligned.picture.device
    points = aligned.in_cut(aligned.face.points[:, :2])
    mask = torch.from_numpy(face_mask(points, size)).float().to(device)[None, None]
    crop = aligned.face.crop()
    scale = size / aligned.crop.side
    x, y = aligned.in_cut(np.array([[crop.x, crop.y]]))[0].tolist()
    within = replace(crop, x=x, y=y, side=crop.side * scale, angle=crop.angle - aligned.crop.angle)
    return Target(aligned.picture, PhotoFace(mask, within, reader, lpips))


def psnr(picture: Tensor, wanted: Tensor, weight: Tensor | None = None) -> float:
    """Returns the PSNR in dB of pictures [1, 3, H, W] in [−1, 1], weighted by ``weight`` [1, 1, H, W] if given."""
    apart = ((picture.clamp(-1, 1) - wanted) / 2).square()
    if weight is not None:
        error = float((apart * weight).sum() / weight.sum().clamp_min(1e-9) / 3)
    else:
        error = float(apart.mean())
    return -10 * math.log10(max(error, 1e-12))


def _figures(objective: Objective, best: Judged) -> dict[str, float]:
    """Returns how well the picture is met, in dB, and how many pictures were painted for it."""
    return {**_met(best.picture, objective.target), "painted": objective.painted}


@torch.no_grad()
def _met(picture: Tensor, target: Target) -> dict[str, float]:
    """Returns the PSNR of a picture in dB, and of a photograph also that of its face."""
    found = {"psnr": round(psnr(picture, target.picture), 2)}
    if target.face is not None:
        found["psnr_face"] = round(psnr(picture, target.picture, target.face.mask), 2)
        found["points_apart"] = _percent_apart(mesh_of(picture, target.face), mesh_of(target.picture, target.face))
        if target.face.lpips is not None:
            found["lpips"] = round(float(target.face.lpips.distance_to(target.picture)(picture)), 3)
    return found


@torch.no_grad()
def _mirrored(target: Target, face: PhotoFace) -> float:
    """Returns how far apart a face's points are found in a picture and in its mirror image: their uncertainty."""
    size, crop = target.picture.shape[-1], face.crop
    there = replace(face, crop=replace(crop, x=size - crop.x, angle=-crop.angle))
    found = mesh_of(target.picture.flip(3), there)[torch.from_numpy(load_topology("mediapipe478").mirror)]
    back = found * found.new_tensor([-1, 1]) + found.new_tensor([crop.side / size, 0])  # in the crop's own axes
    return _percent_apart(back, mesh_of(target.picture, face))


def _percent_apart(points: Tensor, wanted: Tensor) -> float:
    """Returns the mean distance of a face's points [478, 2], in percent of the outer-eye distance."""
    across = (wanted[_OUTER_EYES[0]] - wanted[_OUTER_EYES[1]]).norm()
    return round(float(100 * (points - wanted).norm(dim=1).mean() / across), 2)


def _painted(model: FaceModel, person: Person) -> Tensor:
    """Paints the person, [1, 3, H, W] in [−1, 1]."""
    identity = model.open_person(person)
    pixels = model.tuned_for(identity).paint(identity.ws[None])[..., :3]
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1).to(model.generator.device)


def _bias(model: FaceModel, identity: Identity, aligned: Aligned) -> Array | None:
    """Returns q of the photograph minus what φ reads, [Q]: the difference of their turn.

    None for a model that cannot read photographs.
    """
    if model.photo_map is None:
        return None
    yaw, pitch, _ = model.photo_map.read_pose(Features.of(aligned.face))
    turned = rotation(*(np.radians([angle]) for angle in (yaw, pitch, identity.pose.roll)))
    target = Parameters.from_vector(identity.q[None])
    target.camera.R[:] = turned
    bias = np.zeros(len(identity.q))
    bias[ROTATION] = target.to_vector()[0, ROTATION] - identity.q[ROTATION]
    return bias
