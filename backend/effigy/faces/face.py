# SPDX-License-Identifier: Apache-2.0
"""The face model at work: identities, edits and pictures.

A picture is a function of (model, anchor latent, asked yaw, pitch and controls) alone, and an edit of zero
is the anchor itself, bit for bit.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol import ProtocolError
from effigy_protocol.messages import MAX_POSE, MatteName, PassName, Pose
from effigy_protocol.record import SAME_POSE, is_person

from ..editing import IdentityTerm, InverseOptions, Parameters, Regressor, invert
from ..editing.appearance import Appearance
from ..editing.parameters import ALPHA, POSE, ROTATION, SCALE, SHIFT
from ..generators import Generator, GeneratorFileError, PreviewPainter, check_pictures, load_generator
from ..geometry import ShapeModel, Topology, angles, rotation, surface
from ..geometry.camera import Array
from ..geometry.expressions import Expression
from ..relighting import Light
from ..threads import limited_threads
from .depth import DepthScale
from .encoder import Encoder
from .finals import Finals
from .latent import LatentError, latent_from_bytes, latent_to_bytes, mix
from .person import Person
from .photo_map import PhotoMap
from .pictures import Pictures
from .recent import Recent
from .seen import Seen

__all__ = ["Edit", "FaceModel", "Identity", "LatentError"]

# What error weighs as much as one standard deviation of latent distance: see editing.inverse.
_ROTATION_TOLERANCE = 0.01  # radians
_SHAPE_TOLERANCE = 0.03  # root-mean-square landmark shift, in outer-eye distances
# Of a control's full strength. The slope of an open lid is mostly noise: with 0.03 the person changed rather than a lid
# missed a little. A mouth would pucker less while the jaw opens with 0.2.
_EYE_TOLERANCE, _CONTROL_TOLERANCE = 0.2, 0.1
# The plate carries size and shift exactly, so the latent edit only keeps them from drifting far.
_SCALE_TOLERANCE = 0.05  # of log scale
_SHIFT_TOLERANCE = 0.03  # of the picture's width
_ROUNDING = 1e-6  # a slider's end is the range's, in float32
_GIVE = 0.1  # of a range: how far beyond it a soft limit gives way
_PAINTERS = 4  # each has all of a generator's weights, so that a picture costs what it costs without changes
_LIGHTS = 256  # of the identities used last: a few hundred bytes each
_NO_FACE = "the latent is no face of this model: its pose or shape is beyond all bounds"


@dataclass(frozen=True, slots=True)
class Identity:
    """An anchor latent and what the model reads in it."""

    key: str  # hash of model and latent
    ws: Tensor  # [num_ws, w_dim] float32
    latent: bytes
    q: Array  # [Q] = φ(w0)
    pose: Pose
    rest: Array  # [3, L], the face with all controls at 0
    person: Person | None = None  # who was made from a picture: ``latent`` is then the bytes of all that is known


@dataclass(frozen=True, slots=True)
class Edit:
    """The latent that an edit led to, the camera it shows, and how that differs from what was asked.

    ``clamped`` names what was asked beyond the data's range; ``residual`` says how much of what was asked, so
    limited, is missing: degrees of yaw and pitch, units of each control that was not at rest.
    """

    ws: Tensor  # [num_ws, w_dim]
    pose: Pose
    clamped: tuple[str, ...]
    residual: dict[str, float]


def _pose_of(q: Array) -> Pose:
    """The camera in one parameter vector q [Q]. Raises LatentError where it is beyond all bounds."""
    camera = Parameters.from_vector(q[None]).camera
    yaw, pitch, roll = (math.degrees(float(a[0])) for a in angles(camera.R))
    if not np.isfinite([yaw, pitch, roll]).all():
        raise LatentError(_NO_FACE)
    try:
        return Pose(yaw, pitch, roll, float(camera.s[0]), float(camera.t[0, 0]), float(camera.t[0, 1]))
    except ProtocolError:
        raise LatentError(_NO_FACE) from None


class FaceModel:
    """A generator with its shape model, regressor and named controls."""

    def __init__(
        self,
        name: str,
        model_id: str,
        generator: Generator,
        topology: Topology,
        shape: ShapeModel,
        regressor: Regressor,
        controls: list[Expression],
        pose_range: tuple[float, float],
        appearance: Appearance | None = None,
        depth: DepthScale | None = None,
        previews: PreviewPainter | None = None,
        photo_map: PhotoMap | None = None,
        encoder: Encoder | None = None,
        generator_sha256: str = "",
        generator_path: Path | None = None,
        firm: bool = True,
    ) -> None:
        """``pose_range``: the largest |yaw| and |pitch| of the training data, in degrees.

        ``appearance``: what edits hold at the identity's; a bundle of an earlier Effigy has none. ``depth``: what the
        depth that the generator paints means, if it does. ``previews`` paints [1, num_ws, w_dim] faster than the
        generator, and not quite so exactly. ``photo_map``: what readings of photographs mean to
        it, ``encoder`` from where pictures are inverted, if it has learnt that. ``generator_sha256``: whose latents
        it knows, and ``generator_path``: its file. ``firm``: controls hold each other as from bundle format 6 on.
        """
        self.name = name
        self.model_id = model_id
        self.generator = generator
        self.topology = topology
        self.shape = shape
        self.regressor = regressor
        self.controls = {control.name: control for control in controls}
        self.pose_range = pose_range
        self.appearance = appearance
        self.depth = depth
        self.photo_map = photo_map
        self.encoder = encoder
        self.generator_sha256 = generator_sha256
        self.generator_path = generator_path
        self._previews = previews
        self._finals = Finals.of(generator)
        self._lights = Recent[Light](_LIGHTS)  # of identities
        self._painters = Recent[FaceModel](_PAINTERS)  # of people for whom the generator is changed
        self.triangles = topology.triangles if len(topology.triangles) else surface(shape.mean, topology)
        self._weigh = torch.from_numpy(_weigh(shape, controls, firm))

    def with_regressor(self, regressor: Regressor) -> FaceModel:
        """The same model with another regressor, and nothing that holds looks, for comparisons."""
        other = copy.copy(self)
        other.regressor, other.appearance = regressor, None
        return other

    def open_seed(self, seed: int, truncation: float = 0.7) -> Identity:
        """The identity of ``seed`` as the official scripts number them; truncation pulls it to the mean face."""
        z = np.random.RandomState(seed).randn(1, self.generator.z_dim)
        z32 = torch.from_numpy(z).float().to(self.generator.device)
        with limited_threads(1):  # as in ``edit``
            ws = self.generator.map(z32, truncation)
        return self._open(ws[0].cpu().numpy())

    def calmest(self, seed: int, seeds: int, truncation: float = 0.7) -> int:
        """Of ``seeds`` numbers from ``seed`` on the one whose expression is nearest to the average face's.

        Some people whom a generator knows laugh, or have an eye shut, and would do so with every slider at rest.
        """
        average = self._expression(self.open_seed(0, truncation=0.0))

        def strongest(number: int) -> float:
            apart = self._expression(self.open_seed(number, truncation)) - average
            return float(np.abs(apart).max(initial=0.0))

        return min(range(seed, seed + seeds), key=strongest)

    def own_expression(self, identity: Identity) -> dict[str, float]:
        """By how much the identity's own expression goes beyond the average face's, by control."""
        apart = self._expression(identity) - self._expression(self.open_seed(0, truncation=0.0))
        return dict(zip(self.controls, apart.tolist(), strict=True))

    def _expression(self, identity: Identity) -> Array:
        """What each control reads in a face, [C], up to a constant."""
        return np.array([control.reading @ identity.q[ALPHA] for control in self.controls.values()])

    def open_latent(
        self, latent: bytes | memoryview, other: bytes | memoryview | None = None, share: float = 0.0
    ) -> Identity:
        """The identity that ``latent`` (an Identity's bytes) anchors, with a ``share`` of ``other`` mixed in.

        Raises LatentError if they are none of ours, or no face: of a pose or shape beyond all bounds.
        """
        first = self._read(latent)
        second = None if other is None else self._read(other)
        if second is None or share == 0:
            return self._open(*first)
        if first[1] is None and second[1] is None:
            return self._open(mix(first[0], second[0], share))
        one, two = (self.person(ws) if person is None else person for ws, person in (first, second))
        return self.open_person(one.mixed(two, share))

    def open_person(self, person: Person) -> Identity:
        """The identity of somebody who was made from a picture. Raises LatentError for another model's."""
        return self._open(person.rows_for(self.generator_sha256, self.generator.num_ws, self.generator.w_dim), person)

    def painter_of(self, identity: Identity) -> FaceModel:
        """What paints pictures of ``identity``: this model, or one whose generator was changed for that person.

        Raises LatentError where the changes do not fit.
        """
        if identity.person is None or not identity.person.deltas:
            return self
        if self.generator_path is None:
            raise LatentError("this person needs a generator of their own, which a model without a file cannot have")
        path, deltas = self.generator_path, identity.person.deltas

        def change() -> FaceModel:
            painter = copy.copy(self)
            painter.generator = load_generator(path, str(self.generator.device), changes=deltas)
            painter._finals, painter._previews = Finals.of(painter.generator), None
            return painter

        try:
            return self._painters.get(identity.key, change)
        except GeneratorFileError as error:
            raise LatentError(f"what was changed for this person does not fit: {error}") from None

    def person(self, ws: NDArray[np.float32], story: Mapping[str, Any] | None = None) -> Person:
        """Who is anchored by w+ [rows, w_dim], with ``story`` beside what tells whose latent that is."""
        whose = {"model": self.model_id, "name": self.name, "generator": self.generator_sha256}
        return Person(ws, {**(story or {}), **whose})

    def _read(self, latent: bytes | memoryview) -> tuple[NDArray[np.float32], Person | None]:
        size = self.generator.num_ws, self.generator.w_dim
        if not is_person(latent):
            return latent_from_bytes(latent, *size), None
        person = Person.from_bytes(latent)
        return person.rows_for(self.generator_sha256, *size), person

    def _open(self, ws: NDArray[np.float32], person: Person | None = None) -> Identity:
        latent = latent_to_bytes(ws) if person is None else replace(person, picture=None).to_bytes()
        anchor = torch.from_numpy(ws.copy())
        with limited_threads(1):
            q = self.regressor.of_latents(anchor[None].double()).numpy()[0]
        # Another regressor of the same generator's has its own errors, not those that were noted.
        if person is not None and person.bias is not None and person.story["model"] == self.model_id:
            if person.bias.shape != q.shape:
                raise LatentError(_NO_FACE)
            q = q + person.bias
        with np.errstate(all="ignore"):  # what overflows is looked at
            pose, rest = _pose_of(q), self.shape.shape(q[None, ALPHA])[0]
            if not np.isfinite(q).all() or not np.abs(rest).max() <= MAX_POSE:
                raise LatentError(_NO_FACE)
        key = hashlib.sha256(self.model_id.encode() + latent).hexdigest()[:16]
        identity = Identity(key, anchor, latent, q, pose, rest, person)
        self.painter_of(identity)  # which raises what there is to say now, and not when somebody is painted
        return identity

    def edit(
        self,
        identity: Identity,
        yaw: float,
        pitch: float,
        controls: Mapping[str, float],
        options: InverseOptions = InverseOptions(),
        term: IdentityTerm | None = None,
    ) -> Edit:
        """The latent near the identity's whose face is turned to (yaw, pitch) degrees, with the controls' shape.

        Roll, size and shift stay the identity's own; ``options`` choose the inverse, ``term`` prices what it
        does to the identity. Raises KeyError for a control that the model has not.
        """
        clamped: list[str] = []
        rest = identity.pose
        yaw = _limit("yaw", yaw, -self.pose_range[0], self.pose_range[0], rest.yaw, clamped)
        pitch = _limit("pitch", pitch, -self.pose_range[1], self.pose_range[1], rest.pitch, clamped)
        change = np.zeros(len(identity.q))
        if abs(yaw - rest.yaw) > SAME_POSE or abs(pitch - rest.pitch) > SAME_POSE:
            turned = rotation(*(np.radians([a]) for a in (yaw, pitch, rest.roll)))
            target = Parameters.from_vector(identity.q[None])
            target.camera.R[:] = turned
            change[ROTATION] = target.to_vector()[0, ROTATION] - identity.q[ROTATION]
        if unknown := controls.keys() - self.controls.keys():
            raise KeyError(min(unknown))
        moves = {}
        for name, control in self.controls.items():  # in the model's order: sums round by their order
            if name not in controls:
                continue
            moves[name] = _limit(name, controls[name], control.low, control.high, 0.0, clamped)
            change[ALPHA] += moves[name] * control.direction
        if not change.any():
            return Edit(identity.ws, rest, tuple(clamped), {})
        # One thread rounds alike however many cores there are, and matrices this small gain nothing from more;
        # what prices the identity paints pictures, which do.
        with limited_threads(1 if term is None else None):
            ws, reached = invert(
                self.regressor,
                identity.ws[None].double(),
                torch.from_numpy(change)[None],
                self._weigh,
                options,
                term,
                self.appearance,
            )
        moved = reached.numpy()[0]
        pose = _pose_of(identity.q + moved)
        residual = {"yaw": yaw - pose.yaw, "pitch": pitch - pose.pitch}
        residual |= {n: v - float(self.controls[n].reading @ moved[ALPHA]) for n, v in moves.items() if v}
        return Edit(ws[0].float(), pose, tuple(clamped), residual)

    @property
    def final_batch(self) -> int:
        """How many finals are painted at once, when so many are asked for."""
        return self._finals.batch

    def see(self, ws: Tensor) -> Seen:
        """The landmarks in the picture of w+ [num_ws, w_dim]."""
        with limited_threads(1):  # as in ``edit``
            q = self.regressor.of_latents(ws[None].double().cpu()).numpy()[0]
        return Seen.of(q, self.shape, self.topology)

    def prepared(self, pictures: Pictures, ws: Tensor, passes: Collection[PassName], matte: MatteName) -> Pictures:
        """The picture of w+ [num_ws, w_dim] with what these ``passes`` and this ``matte`` need, found once."""
        if passes:
            pictures = replace(pictures, seen=self.see(ws))
        return pictures.matted() if pictures.waits_for_network(passes, matte) else pictures

    def light(self, identity: Identity) -> Light:
        """The smooth light in the identity's own picture, which its other pictures are taken to share.

        Raises PictureError, and DetectorError where that needs a matte that cannot be had.
        """

        def measure() -> Light:
            own = self.finals(identity.ws[None])
            return self.prepared(own, identity.ws, ["albedo"], "none").matted().light()

        return self._lights.get(identity.key, measure)

    @torch.inference_mode()
    def finals(self, ws: Tensor) -> Pictures:
        """w+ [N, num_ws, w_dim] → their exact pictures. Raises PictureError."""
        ws = ws.to(self.generator.device)
        images = self._finals(ws)
        check_pictures(images, self.generator, ws)
        return Pictures(images, self.generator.planes, self.depth)

    @torch.inference_mode()
    def preview(self, ws: Tensor, *, half: bool = False) -> Pictures:
        """w+ [num_ws, w_dim] → its picture [1, …], the fastest way.

        ``half``: at half the width and height, where the generator's first blocks alone can paint that. Raises
        PictureError.
        """
        ws = ws[None].to(self.generator.device)
        halved = False
        if half and self.generator.paints_half:
            images, exact, halved = self.generator.synthesize_half(ws), False, True
        else:
            images = (self._previews or self.generator.synthesize)(ws)
            exact = self._previews is None or self._previews.is_exact
        check_pictures(images, self.generator, ws)
        return Pictures(images, self.generator.planes, self.depth, exact, halved)

    @torch.inference_mode()
    def paint(self, ws: Tensor) -> NDArray[np.uint8]:
        """The exact pictures of w+ [N, num_ws, w_dim] as bytes [N, H, W, 3]. Raises PictureError."""
        return self.finals(ws).bytes()

    @property
    def is_fast(self) -> bool:
        """Whether previews may come from a faster way than finals."""
        return self._previews is not None

    def close(self) -> None:
        """Ends what prepares faster previews."""
        if self._previews is not None:
            self._previews.close()


def _limit(name: str, value: float, low: float, high: float, rest: float, clamped: list[str]) -> float:
    """``value`` if it lies within [low, high], widened to hold ``rest``; otherwise ``name`` is noted.

    Beyond the range it gives way smoothly, by a tenth of the range at most, so that an animation that leaves
    it slows down instead of hitting a wall.
    """
    low, high = min(low, rest), max(high, rest)
    inside = min(max(value, low), high)
    if abs(inside - value) <= _ROUNDING:
        return value
    clamped.append(name)
    give = _GIVE * (high - low) or 1e-9
    return inside + give * math.tanh((value - inside) / give)


def _weigh(shape: ShapeModel, controls: list[Expression], firm: bool) -> Array:
    """[POSE + K + C, POSE + K]: errors of pose, of every coefficient, and of what the controls read from them.

    A control's direction is never quite what the generator can do: its reading counts by itself, while the rest of
    the face may follow as the generator's own faces do.
    """
    size = np.sqrt((shape.basis**2).sum(axis=1).mean(axis=1))  # rms landmark shift per unit of α
    tolerance = np.empty(POSE + len(size))
    tolerance[ROTATION] = _ROTATION_TOLERANCE
    tolerance[SCALE] = _SCALE_TOLERANCE
    tolerance[SHIFT] = _SHIFT_TOLERANCE
    tolerance[ALPHA] = _SHAPE_TOLERANCE / np.maximum(size, 1e-6)
    readings = np.zeros((len(controls), len(tolerance)))
    for row, control in zip(readings, controls, strict=True):
        row[ALPHA] = control.reading / (_CONTROL_TOLERANCE if firm and control.group != "eyes" else _EYE_TOLERANCE)
    return np.concatenate([np.diag(1 / tolerance), readings])
