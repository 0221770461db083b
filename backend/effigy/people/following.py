# SPDX-License-Identifier: Apache-2.0
"""Measures how far a person's pictures follow what the regressor φ reads: each degree of yaw, and each control.

φ has learnt from the model's own people. The latent found for a photograph is unlike them, and tuning changes the
generator besides, so pictures may turn or smile less than φ reads. The networks that read photographs see how far.
Edits then ask φ for that much more.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from ..faces import FaceModel, Identity
from ..faces.edit import Edit
from ..faces.identity import shares_by_name
from ..faces.person import SHOWN, TURNS
from ..faces.photo_map import Features
from ..geometry.camera import Array
from ..geometry.expressions import mirror_twins
from ..landmarks.photo import PhotoReader, doubled
from .steps import told_as

_TURNED = (-24.0, -12.0, 0.0, 12.0, 24.0)  # degrees from where the photograph looks
_FEWEST = 4  # pictures with a face
_STRENGTHS = (0.6, 1.0)  # of a control

R = TypeVar("R")
Steps = Generator[int, None, R]  # yields how many pictures it has painted and read since, and may be closed then


def measure(
    model: FaceModel, identity: Identity, reader: PhotoReader
) -> Generator[float, None, tuple[float | None, Array | None]]:
    """Returns what ``measure_turns`` and ``measure_controls`` do. It yields which share of the pictures is read."""
    work, done = len(_TURNED) + 2 * (1 + len(_STRENGTHS) * len(_ends(model))), 0

    def share(pictures: int) -> float:
        nonlocal done
        done += pictures
        return done / work

    turns = yield from told_as(measure_turns(model, identity, reader), share)
    return turns, (yield from told_as(measure_controls(model, identity, reader), share))


def measure_turns(model: FaceModel, identity: Identity, reader: PhotoReader) -> Steps[float | None]:
    """Returns the slope of the yaw that pictures of ``identity`` show by the yaw that φ reads in their latents.

    One factor stands for both sides, although some people turn further to one than to the other. None for a model that
    cannot read photographs, where too few pictures show a face, and beyond what is possible.
    """
    photos = model.photo_map
    if photos is None:
        return None
    edits = [model.edit(identity, identity.pose.yaw + turn, identity.pose.pitch, {}) for turn in _TURNED]
    faces = yield from _seen(model, identity, edits, reader)
    seen = [
        (edit.pose.yaw, photos.read_pose(each)[0]) for edit, each in zip(edits, faces, strict=True) if each is not None
    ]
    if len(seen) < _FEWEST:
        return None
    read, shown = np.array(seen).T
    slope = float(np.polyfit(read, shown, 1)[0])
    return slope if TURNS[0] <= slope <= TURNS[1] else None


def measure_controls(model: FaceModel, identity: Identity, reader: PhotoReader) -> Steps[Array | None]:
    """Returns the shares [2, C], within SHOWN, of each control's moves in φ's reading that pictures of them show.

    The first row is of values above zero, the second of those below. Who smiles already can hardly smile more, but
    smiles less as asked, so what is measured above zero says nothing of values below: there the share is 1. Only of a
    control whose sign changes in a mirror both ends are measured, since left and right are treated alike.

    Edits ask for 1 / share of the value. Pictures of such edits are read, too: where they show too much the share is
    interpolated, and where they are no nearer to what is asked, as with brows under a fringe, it is 1. Where pictures
    show more than is asked nothing changes: a lid that should shut would stay open by a slit. Of what cannot be read
    it is 1, too. None for a model that cannot read photographs, and where the person at rest shows no face.
    """
    names = list(model.controls)
    twins = mirror_twins(model.topology, names)
    twin, is_odd = [names.index(twins[name].name) for name in names], [twins[name].is_odd for name in names]

    def mirrored(gains: Array) -> Array:
        return np.where(is_odd, gains[::-1], gains)[:, twin]

    plain = yield from _gains(model, identity, reader)
    if plain is None:
        return None
    plain = np.where(np.isnan(plain), 1.0, plain)
    before = (plain + mirrored(plain)) / 2
    more = 1 / np.clip(before, *SHOWN)
    corrected = yield from _gains(model, replace(identity, shown=shares_by_name(names, 1 / more)), reader)
    if corrected is None:
        return None
    after = (corrected + mirrored(corrected)) / 2
    missed, still_missed = (apart + mirrored(apart) for apart in (np.abs(plain - 1), np.abs(corrected - 1)))
    is_too_much = (more > 1) & (after > 1)
    more[is_too_much] = 1 + ((more - 1) * (1 - before))[is_too_much] / (after - before)[is_too_much]
    return np.where(is_too_much | (still_missed < missed), 1 / more, 1.0)


def _ends(model: FaceModel) -> list[tuple[str, int]]:
    """Returns the controls that are measured, each with its row: 0 above zero, 1 below."""
    twins = mirror_twins(model.topology, model.controls)
    return [(name, row) for row in (0, 1) for name in model.controls if row == 0 or twins[name].is_odd]


def _gains(model: FaceModel, identity: Identity, reader: PhotoReader) -> Steps[Array | None]:
    """Returns the slopes [2, C] of what pictures show of each control by what is asked, above zero and below.

    Below zero it is 1 but for controls whose sign changes in a mirror; NaN where a picture shows no face. None where
    that of the person at rest does not.
    """
    if (photos := model.photo_map) is None or not model.controls:
        return None
    ends, strengths = _ends(model), np.array(_STRENGTHS)
    asks = [{name: -strength if row else strength} for name, row in ends for strength in _STRENGTHS]
    edits = [model.edit(identity, identity.pose.yaw, identity.pose.pitch, asked) for asked in ({}, *asks)]
    rest, *moved = yield from _seen(model, identity, edits, reader)
    if rest is None:
        return None
    read = [
        np.nan if each is None else photos.read_controls(each, rest)[name]
        for each, ask in zip(moved, asks, strict=True)
        for name in ask
    ]
    gains = {name: [1.0, 1.0] for name in model.controls}
    slopes = np.array(read).reshape(len(ends), -1) @ strengths / (strengths @ strengths)
    for (name, row), slope in zip(ends, slopes.tolist(), strict=True):
        gains[name][row] = -slope if row else slope
    return np.array(list(gains.values())).T


def _seen(model: FaceModel, identity: Identity, edits: list[Edit], reader: PhotoReader) -> Steps[list[Features | None]]:
    """Paints the edits, and returns what is read in each picture; None where it shows no face."""
    tuned, faces = model.tuned_for(identity), []
    for ws in torch.split(torch.stack([edit.ws for edit in edits]), tuned.painter.batch):  # all at once may be GiB
        faces += reader.read_each(doubled(torch.from_numpy(tuned.paint(ws)[..., :3])))
        yield len(ws)
    return [None if face is None else Features.of(face) for face in faces]
