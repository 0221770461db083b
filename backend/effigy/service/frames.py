# SPDX-License-Identifier: Apache-2.0
"""Paints and encodes the pictures of requests whose latents were found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray

from effigy_protocol.messages import Buffer, Error, Frame, Synthesize, Timings
from effigy_protocol.record import Record

from ..faces import Edit, FaceModel
from ..faces import Identity as Anchor
from ..faces.pictures import Pictures, needs_light
from ..faces.welcome import encode_halves
from .encode import encode_picture
from .exr import exr
from .live_mattes import LiveMattes
from .refusals import guarded
from .scheduler import Queued


@dataclass(frozen=True, slots=True)
class Edited:
    """A request whose latent was found, with the seconds that it waited and that the inverse took."""

    model: FaceModel
    request: Synthesize
    anchor: Anchor
    edit: Edit
    queue: float
    inverse: float


def frames_of(model: FaceModel, queued: Queued, edited: list[Edited], mattes: LiveMattes) -> Sequence[Frame | Error]:
    """Returns the pictures of ``edited``, whose first request is ``queued``. If painting them together fails, each is
    painted alone.
    """
    if not edited:
        return []
    frames = guarded(type(queued.request).__name__, partial(_paint, model, queued, edited, mattes))
    if not isinstance(frames, Error):
        return frames
    if len(edited) == 1:
        return [frames]
    return [
        frame for each in edited for frame in frames_of(model, queued, [each], mattes)
    ]  # the others' may be other clients'


def _paint(model: FaceModel, queued: Queued, edited: list[Edited], mattes: LiveMattes) -> list[Frame]:
    """Paints several finals in one encoding, or one preview."""
    started, request = time.monotonic(), edited[0].request
    ws = torch.stack([each.edit.ws for each in edited])
    is_final = request.purpose == "final" or request.encoding in ("png16", "exr")
    pictures = model.finals(ws) if is_final else model.preview(ws[0], half=request.half)
    if not is_final and pictures.is_slow(request.passes, request.matte):
        seen = model.see(ws[0]) if pictures.needs_surface(request.passes) else None
        pictures = mattes.dress(queued.client, request.stream, replace(pictures, seen=seen))
    synthesis = (time.monotonic() - started) / len(edited)
    return [_frame(each, pictures.only(row), synthesis) for row, each in enumerate(edited)]


def _frame(edited: Edited, pictures: Pictures, synthesis: float) -> Frame:
    """Encodes the one picture in ``pictures`` as it was asked for."""
    request, edit, started = edited.request, edited.edit, time.monotonic()
    model, passes = edited.model, {}
    pictures = model.prepared(pictures, edit.ws, request.passes, request.matte)
    light = model.light(edited.anchor) if needs_light(request.passes) else None
    if request.encoding == "exr":
        data: Buffer = exr(pictures, light, _record(edited))
    else:
        deep = request.encoding == "png16"
        pixels: NDArray[Any] = pictures.words(request.matte) if deep else pictures.bytes(request.matte)
        data = encode_picture(pixels[0], request.encoding)
        passes = pictures.passes(request.passes, light, request.matte)
    seconds = edited.queue, edited.inverse, synthesis, time.monotonic() - started
    return Frame(
        identity=request.identity,
        purpose=request.purpose,
        height=pictures.images.shape[2],
        width=pictures.images.shape[3],
        encoding=request.encoding,
        data=data,
        exact=pictures.is_exact,
        pose=edit.pose,
        clamped=edit.clamped,
        residual=edit.residual,
        timings=Timings(*(1e3 * each for each in seconds)),
        half=pictures.is_half,
        passes={name: encode_halves(array) for name, array in passes.items()},
    )


def _record(edited: Edited) -> Record:
    """Returns the record of what the picture is made from, the same that its client would make."""
    request, controls = edited.request, tuple(edited.request.controls.items())
    metres = request.unit, request.distance
    return Record.of(
        edited.model.model_id, bytes(edited.anchor.latent), request.yaw, request.pitch, controls,
        request.encoding, request.matte, request.passes, metres, request.keep,
    )  # fmt: skip
