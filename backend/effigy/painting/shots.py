# SPDX-License-Identifier: Apache-2.0
"""Paints a person at a moment, and makes the same PNG file, byte for byte, that Blender's bake would write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effigy_protocol.messages import Pose
from effigy_protocol.png import annotate
from effigy_protocol.record import KEYWORD, SAME_POSE, Record

from ..editing import InverseOptions
from ..faces import Edit, FaceModel, Identity, LatentError
from ..faces.pictures import Pictures, needs_light
from ..generators import PictureError
from ..landmarks import DetectorError
from ..service.encode import png
from ..service.exr import exr
from .errors import PaintingError
from .format import Format

MOMENT = ("yaw", "pitch", "keep")  # the parameters besides controls, by name
_LARGEST = 1e6  # of a parameter: far beyond every angle and control


@dataclass(frozen=True, slots=True)
class Moment:
    """The pose and expression of one picture.

    ``yaw`` and ``pitch`` in degrees, None for the person's own; ``controls``: offsets from the person's own
    expression, and attributes, by name; a missing one is 0. ``keep``: how firmly looks are held (0 … 1).
    """

    yaw: float | None = None
    pitch: float | None = None
    controls: Mapping[str, float] = field(default_factory=dict)
    keep: float = 1.0

    def turn(self, rest: Pose) -> tuple[float, float]:
        """Returns yaw and pitch in degrees; those of ``rest``, the person's own pose, where they are not given."""
        return rest.yaw if self.yaw is None else self.yaw, rest.pitch if self.pitch is None else self.pitch

    @classmethod
    def named(cls, values: Mapping[str, float]) -> Moment:
        """Returns the moment with these values: yaw, pitch and keep by those names, controls by all others."""
        controls = {name: value for name, value in values.items() if name not in MOMENT}
        return cls(values.get("yaw"), values.get("pitch"), controls, values.get("keep", 1.0))


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to paint."""

    person: Identity
    moment: Moment = Moment()


@dataclass(frozen=True, slots=True)
class Painted:
    """One picture [H, W, 3, or 4 with a matte], uint8 or uint16, linear float32 of ``exr``, and what it was made from.

    ``clamped`` names the parameters that exceeded the data's range.
    """

    picture: NDArray[Any]
    record: Record
    clamped: tuple[str, ...]
    exr: bytes | None = None

    def file(self) -> bytes:
        """Returns the picture as a PNG or OpenEXR file, with its record as text inside."""
        return self.exr or annotate(png(self.picture), {KEYWORD: self.record.as_text()})


def record_of(model: FaceModel, shot: Shot, form: Format = Format()) -> Record:
    """Returns the record of what the picture of ``shot`` is made from, rounded as in Blender. Raises PaintingError."""
    asked, rest = shot.moment, shot.person.pose
    if unknown := sorted(asked.controls.keys() - set(model.sliders)):
        known = ", ".join(model.sliders) or "none"
        raise PaintingError(f"this model has no control {', '.join(unknown)[:200]}: its controls are {known}")
    for name, value in {"yaw": asked.yaw, "pitch": asked.pitch, **asked.controls}.items():
        if value is not None and not abs(value) <= _LARGEST:  # NaN, too
            raise PaintingError(f"{name} {value} is out of range")
    if not 0 <= asked.keep <= 1:
        raise PaintingError(f"keep {asked.keep} is out of range: it runs from 0 to 1")
    yaw, pitch = map(float, asked.turn(rest))  # 20 is written as 20.0
    if abs(yaw - rest.yaw) < SAME_POSE and abs(pitch - rest.pitch) < SAME_POSE:
        yaw, pitch = _single(rest.yaw), _single(rest.pitch)
    controls = tuple((name, _single(value)) for name, value in asked.controls.items())
    made_of, keep = (model.model_id, shot.person.latent, yaw, pitch, controls), _single(asked.keep)
    if (layers := form.layers) is not None:
        return Record.of(*made_of, form.encoding, form.matte, layers.passes, (layers.unit, layers.distance), keep)
    return Record.of(*made_of, form.encoding, form.matte, keep=keep)


def paint_shots(model: FaceModel, shots: Iterable[Shot], form: Format = Format()) -> Iterator[Painted]:
    """Yields the exact pictures of ``shots`` in order; as many are in memory as are painted together.

    Raises PaintingError.
    """
    waiting = iter(shots)
    while some := list(islice(waiting, model.painter.batch)):
        for tuned, together in groupby(some, lambda shot: model.tuned_for(shot.person)):
            yield from _painted(tuned, list(together), form)


def _painted(model: FaceModel, shots: list[Shot], form: Format) -> Iterator[Painted]:
    """Paints ``shots`` together."""
    records = [record_of(model, shot, form) for shot in shots]
    try:
        edits = [
            model.edit(shot.person, record.yaw, record.pitch, dict(record.controls), InverseOptions(keep=record.keep))
            for shot, record in zip(shots, records, strict=True)
        ]
        painted = model.finals(torch.stack([edit.ws for edit in edits]))
        if form.layers is not None:
            pictures = [painted.only(row) for row in range(len(edits))]
            for each in zip(pictures, shots, records, edits, strict=True):
                yield _layered(model, *each)
            return
        pixels: NDArray[Any] = painted.words(form.matte) if form.depth == 16 else painted.bytes(form.matte)
    except (LatentError, PictureError) as error:
        raise PaintingError(f"{error}: try another pose or person") from None
    except DetectorError as error:
        raise PaintingError(str(error)) from None
    for picture, record, edit in zip(pixels, records, edits, strict=True):
        yield Painted(picture, record, edit.clamped)


def _layered(model: FaceModel, pictures: Pictures, shot: Shot, record: Record, edit: Edit) -> Painted:
    """Encodes one picture as an OpenEXR file. Raises PictureError and DetectorError."""
    pictures = model.prepared(pictures, edit.ws, record.passes, record.matte)
    light = model.light(shot.person) if needs_light(record.passes) else None
    return Painted(pictures.linear(record.matte), record, edit.clamped, exr(pictures, light, record))


def over_white(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Puts a picture [H, W, 3 or 4] over white, [H, W, 3], as films and sheets show it."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.rint(picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _single(value: float) -> float:
    """Rounds a value to float32, as Blender's properties hold it."""
    return float(np.float32(value))
