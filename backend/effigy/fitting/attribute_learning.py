# SPDX-License-Identifier: Apache-2.0
"""Learns attributes of a face model: directions that change looks, and neither pose nor expression.

1. The direction is made orthogonal to the mean gradients of φ's pose and controls (``held_slopes``).
2. In a single person φ may still read a movement, which edits subtract (``faces.editor``). But φ errs, and part of what
   it reads is not in the pictures. A reader of photographs, which is independent of φ, measures over many people the
   share that pictures do show (``share_shown``); only that share is subtracted.
3. Pictures may also show a movement, the same in everybody, that φ does not read: the drift. It is measured likewise,
   and subtracted from what an edit asks for.

Where the fit knew which latents show one scene, all of this is simpler, and exact: the direction is made orthogonal to
how latents of one scene differ, so no expression moves. What φ or a reader of photographs then makes of it is their
error, and nothing is subtracted but what φ reads of the pose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..editing.guide import explained_axes
from ..editing.parameters import ALPHA, POSE
from ..faces import BundleError, FaceModel, load_face_model
from ..faces.about import follows_scenes
from ..faces.attributes import MOST, REACH, Attribute, check_name
from ..faces.bundle import replace_attributes
from ..faces.header import attribute_sources, read_header
from ..faces.identity import pose_of
from ..faces.photo_map import Features, PhotoMap
from ..faces.replacing import check_replaceable
from ..geometry.camera import Array
from ..landmarks.photo import PhotoDetector
from .attribute_sources import SourceError, Step, read_step
from .evaluation import seen

PEOPLE = 32
_LOOKS = 6  # of SeFa's, where nothing is named
_SLOPES = 512  # people of whose slopes the mean is taken
_VALUES = (-2.0, 2.0)  # of an attribute, at which movements are measured
_FIRST_SEED = 6_000_000  # apart from the seeds of fits and evaluations
_TRUNCATION = 0.7
_SMALL = 1e-3  # of a direction's length: if less is left without pose and expression, it is refused


@dataclass(frozen=True, slots=True)
class Learnt:
    """An attribute, and how far pictures show pose (degrees) and controls moved at ±2, on average over people.

    nan where the model has not learnt to read photographs.
    """

    attribute: Attribute
    note: str
    pose: float = float("nan")
    controls: float = float("nan")


def learn_attributes(
    folder: Path,
    sources: Mapping[str, str],
    remove: Iterable[str] = (),
    people: int = PEOPLE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Learnt]:
    """Puts the attributes of these ``sources``, by name, into the bundle in ``folder``, and takes out others.

    Without any sources or removals it learns SeFa's first components: look1, look2, … Raises SourceError,
    GeneratorFileError, BundleError or OSError. Of those that are there and damaged none is kept: without any sources or
    removals they are learnt again, each from where it came.
    """
    check_replaceable(folder)
    remove, there = set(remove), attribute_sources(folder)
    lost: dict[str, str] = {}
    try:
        model = load_face_model(folder)
    except BundleError:
        model, lost = load_face_model(folder, without=["attributes"]), there
    if unknown := remove - model.attributes.keys() - lost.keys():
        raise SourceError(f"there is no attribute {min(unknown)}: there are {', '.join(model.attributes) or 'none'}")
    if not sources and not remove:
        sources = lost or {f"look{number}": f"sefa:{number}" for number in range(1, _LOOKS + 1)}
    retired = (read_header(folder).get("attributes") or {}).get("retired", [])
    kept = [attribute for name, attribute in model.attributes.items() if name not in remove]
    again = {name for name, source in sources.items() if lost.get(name) == source}  # which give what they gave
    taken = [*model.controls, *(there.keys() - again), *retired]
    for name in sources:
        try:
            check_name(name, taken)
        except ValueError as error:
            raise SourceError(
                f"{error} (a name never means another direction: pictures may have been made with it)"
            ) from None
        taken.append(name)
    if len(kept) + len(sources) > MOST:
        raise SourceError(f"a model has at most {MOST} attributes")
    found = learn(model, sources, people, progress, knows_scenes=follows_scenes(folder))
    replace_attributes(folder, [*kept, *(each.attribute for each in found)])
    return found


def learn(
    model: FaceModel,
    sources: Mapping[str, str],
    people: int = PEOPLE,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    knows_scenes: bool = False,  # whether the model was fitted to latents of which it was known which show one scene
) -> list[Learnt]:
    """Learns attributes of ``model``, which stays as it is. Seeded. Raises SourceError or GeneratorFileError."""
    held, found = held_moves(model) if knows_scenes else held_slopes(model), []
    steps = {name: read_step(model, source, held) for name, source in sources.items()}
    directions = {name: _direction(model, name, step, held) for name, step in steps.items()}
    reader = None if model.photo_map is None or not steps else _Reader(model, model.photo_map, people)
    for number, (name, step) in enumerate(steps.items()):
        none, share = np.zeros((2, 2 + len(model.controls))), 0.0 if knows_scenes else 1.0
        shown = np.full(len(model.controls), share)
        attribute = Attribute(name, directions[name], none, shown, -REACH, REACH, Path(sources[name]).name)
        if reader is None:
            found.append(Learnt(attribute, step.note))
        elif knows_scenes:
            found.append(_measured(attribute, step.note, reader.edits(attribute)))
        else:
            found.append(_steadied(reader, attribute, step.note))
        progress(number + 1, len(steps))
    return found


def held_slopes(model: FaceModel) -> Tensor:
    """Returns [P, M], the mean gradients of the pose's six numbers and of each control by a whitened row of w+."""
    random = torch.Generator().manual_seed(_FIRST_SEED)
    z = torch.randn(_SLOPES, model.generator.z_dim, generator=random).to(model.generator.device)
    regressor = model.regressor
    with torch.inference_mode():
        J = regressor.jacobian(regressor.read(model.generator.map(z, _TRUNCATION).cpu().double()))[1].mean(dim=0)
        J = J.reshape(len(J), regressor.rows, -1).sum(dim=1)  # where φ reads all rows, all move alike
        readings = [torch.from_numpy(control.reading) @ J[ALPHA] for control in model.controls.values()]
        slopes = torch.stack([*J[:POSE], *readings])
    return slopes.clone()


def held_moves(model: FaceModel) -> Tensor:
    """Returns [R, M], how a whitened row of w+ counts in each of the axes along which latents of one scene differ."""
    axes = explained_axes(model.regressor.typical, model.regressor.q_scale)
    rows = model.regressor.rows
    return axes.T.reshape(axes.shape[1], rows, len(axes) // rows).sum(dim=1)  # all rows move alike


def _direction(model: FaceModel, name: str, step: Step, held: Tensor) -> Tensor:
    """Removes from the step what ``held`` sees, and scales it to a standard deviation of w+ [1 or num_ws, w_dim]."""
    moved = step.v * step.rows
    if not 0 < float(moved.square().sum()) < math.inf:  # NaN, too
        raise SourceError(f"{name} has no direction: its source holds zeros alone, or numbers beyond all bounds")
    mean = moved.sum(dim=0) / step.rows.sum()
    left = (moved - torch.linalg.pinv(held) @ (held @ mean)) * step.rows
    length = left.square().sum(dim=1).sum().div(step.rows.sum()).sqrt()
    if not length > _SMALL * moved.norm():
        raise SourceError(f"{name} is pose and expression alone: there are sliders for these")
    w = (left / length) @ model.regressor.whitening.basis.double()
    return (w[:1] if (w == w[0]).all() else w).float()


def _steadied(reader: _Reader, attribute: Attribute, note: str) -> Learnt:
    """Returns the attribute with the share of φ's readings that pictures show, and with its drift: see above."""
    pictures, read = reader.steps(attribute)
    shown = share_shown(pictures[..., 2:], read[..., 2:])
    attribute = replace(attribute, shown=np.asarray(shown, np.float32).astype(np.float64))  # as it is read again
    moved = pictures - read * [1.0, 1.0, *attribute.shown]
    for _ in range(2):  # an edit misses what is asked for by a little: so the drift is measured again, in edits
        low, high = _VALUES
        at_low, at_high = np.nanmean(moved, axis=0)
        bent = np.stack([(at_high - at_low) / (high - low), (at_high + at_low) / (low**2 + high**2)])
        attribute = replace(attribute, seen=np.asarray(attribute.seen + bent, np.float32).astype(np.float64))
        moved = reader.edits(attribute)
    return _measured(attribute, note, moved)


def _measured(attribute: Attribute, note: str, moved: Array) -> Learnt:
    """Returns the attribute with the means of what edits ``moved``, [people, values, 2 + C]."""
    size = np.nanmean(np.abs(moved), axis=(0, 1))
    return Learnt(attribute, note, float(size[:2].mean()), float(size[2:].mean()))


def share_shown(pictures: Array, read: Array) -> Array:
    """Returns, for each of C controls, the share of what is ``read`` [people, values, C] that ``pictures`` show, 0 … 1.

    That is the slope of the one by the other over people, apart from their means at each value; 0 where nothing is
    read. nan in ``pictures``: nothing was seen.
    """
    known = np.where(np.isnan(pictures), np.nan, read)
    apart = known - np.nanmean(known, axis=0)
    together, size = (np.nansum(product, axis=(0, 1)) for product in (pictures * apart, apart**2))
    return np.clip(np.divide(together, size, out=np.zeros_like(size), where=size > 0), 0.0, 1.0)


class _Reader:
    """Measures how pose and controls of people move in pictures, by a reader of photographs: independently of φ."""

    def __init__(self, model: FaceModel, photos: PhotoMap, people: int) -> None:
        self._model, self._photos = model, photos
        self._detector = PhotoDetector(model.generator.device)
        self._people = [model.open_seed(_FIRST_SEED + number, _TRUNCATION) for number in range(people)]
        self._rest = [self._read([person.ws])[0] for person in self._people]
        if not any(self._rest):
            raise SourceError(f"no face is seen in what {model.name} paints: nothing can be measured")

    def steps(self, attribute: Attribute) -> tuple[Array, Array]:
        """Measures how far yaw, pitch and controls move along the direction alone, at _VALUES, and what φ reads of it.

        Both are [people, 2, 2 + C]; nan where no face is found in a picture.
        """
        readings = np.stack([control.reading for control in self._model.controls.values()])
        steps, read = [], []
        for person in self._people:
            steps.append([person.ws + value * attribute.direction for value in _VALUES])
            q = self._model.regressor.of_latents(torch.stack(steps[-1]).double()).numpy()
            turned = [[pose.yaw - person.pose.yaw, pose.pitch - person.pose.pitch] for pose in map(pose_of, q)]
            read.append(np.concatenate([turned, (q - person.q)[:, ALPHA] @ readings.T], axis=1))
        return self._moved(attribute.name, steps), np.stack(read)

    def edits(self, attribute: Attribute) -> Array:
        """Measures how far yaw, pitch and controls move in edits at _VALUES, [people, 2, 2 + C], nan as above."""
        model = self._model.with_attributes([attribute])
        edits = [
            [model.edit(who, who.pose.yaw, who.pose.pitch, {attribute.name: value}).ws for value in _VALUES]
            for who in self._people
        ]
        return self._moved(attribute.name, edits)

    def _moved(self, name: str, latents: list[list[Tensor]]) -> Array:
        """Measures what pictures of w+, by person and value, show to have moved from the person's own."""
        moved = np.full((len(self._people), len(_VALUES), 2 + len(self._model.controls)), np.nan)
        for ws, rest, rows in zip(latents, self._rest, moved, strict=True):
            for row, features in zip(rows, self._read(ws), strict=True):
                if rest is not None and features is not None:
                    turned = np.subtract(self._photos.read_pose(features)[:2], self._photos.read_pose(rest)[:2])
                    row[:] = [*turned, *self._photos.read_controls(features, rest).values()]
        if np.isnan(moved).all(axis=(0, 2)).any():
            raise SourceError(f"no face is seen in pictures with {name}: it leads too far away")
        return moved

    def _read(self, ws: list[Tensor]) -> list[Features | None]:
        faces = self._detector.faces(seen(self._model, torch.stack(ws)))
        return [None if face is None else Features.of(face) for face in faces]
