# SPDX-License-Identifier: Apache-2.0
"""The face model at run time: opens identities, edits their latents, and paints pictures.

A picture is a function of (model, anchor latent, asked yaw, pitch and controls) alone, and an edit of zero
is the anchor itself, bit for bit.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol.messages import MatteName, PassName
from effigy_protocol.record import is_person

from ..editing import IdentityTerm, InverseOptions, Regressor
from ..editing.appearance import Appearance
from ..editing.parameters import ALPHA
from ..generators import Generator, GeneratorFileError, PreviewPainter, load_generator
from ..geometry import ShapeModel, Topology, surface
from ..geometry.camera import Array
from ..geometry.expressions import Expression
from ..relighting import Light
from ..threads import limited_threads
from .attributes import Attribute
from .depth import DepthScale
from .edit import Edit, EditTarget, error_weights
from .editor import Editor
from .encoder import Encoder
from .identity import Identity, pose_and_shape_of, shares_by_name
from .latent import LatentError, latent_from_bytes, latent_to_bytes, mix
from .painter import Painter
from .person import Person, PersonError
from .photo_map import PhotoMap
from .pictures import Pictures
from .recent import Recent
from .seen import Seen

_TUNED = 4  # tuned generators that stay in memory; each has weights of its own
_LIGHTS = 256  # identities whose light is remembered; a few hundred bytes each


class FaceModel:
    """A generator with its shape model, regressor and named controls."""

    def __init__(
        self,
        name: str,
        model_id: str,  # names all that pictures depend on: latents and baked pictures are compared by it
        generator: Generator,
        topology: Topology,
        shape: ShapeModel,
        regressor: Regressor,  # φ: w+ → q
        controls: list[Expression],
        pose_range: tuple[float, float],  # the largest |yaw| and |pitch| of the training data, in degrees
        appearance: Appearance | None = None,  # reads the looks that edits keep; a bundle of format 4 has none
        depth: DepthScale | None = None,  # of the depth that the generator paints, if it paints one
        previews: PreviewPainter | None = None,  # paints w+ [1, num_ws, w_dim] faster, and less exactly
        photo_map: PhotoMap | None = None,  # turns readings of photographs into q, once that is learnt
        encoder: Encoder | None = None,  # gives the latent at which an inversion starts, once that is learnt
        generator_sha256: str = "",
        generator_path: Path | None = None,  # from which generators tuned for one person are loaded
        firm: bool = True,  # whether edits are those of bundle format 6: see ``error_weights`` and ``_relaxed``
        attributes: Iterable[Attribute] = (),  # looks that are asked for by name, as controls are
    ) -> None:
        self.name = name
        self.model_id = model_id
        self.painter = Painter(generator, depth, previews)
        self.topology = topology
        self.shape = shape
        self.regressor = regressor
        self.controls = {control.name: control for control in controls}
        self.attributes = {attribute.name: attribute for attribute in attributes}
        self.pose_range = pose_range
        self.appearance = appearance
        self.photo_map = photo_map
        self.encoder = encoder
        self.generator_sha256 = generator_sha256
        self.generator_path = generator_path
        self._is_firm = firm
        self._average: Array | None = None  # the mean face's expression, [C], once it was asked for
        self._lights = Recent[Light](_LIGHTS)  # by identity
        self._tuned = Recent[FaceModel](_TUNED)  # by identity whose generator is tuned
        self.triangles = topology.triangles if len(topology.triangles) else surface(shape.mean, topology)
        self._weights = torch.from_numpy(error_weights(shape, controls, is_firm=firm))

    @property
    def generator(self) -> Generator:
        """The generator that paints all identities but tuned ones."""
        return self.painter.generator

    def with_regressor(self, regressor: Regressor, appearance: Appearance | None = None) -> FaceModel:
        """Returns this model with another regressor, and with the ``appearance`` that reads its latents, if any.

        What pictures show of what it reads is not known.
        """
        other = copy.copy(self)
        other.regressor, other.appearance, other._average = regressor, appearance, None
        other.controls = {name: replace(control, shown=1.0) for name, control in self.controls.items()}
        return other

    def with_attributes(self, attributes: Iterable[Attribute]) -> FaceModel:
        """Returns this model with other attributes."""
        other = copy.copy(self)
        other.attributes = {attribute.name: attribute for attribute in attributes}
        return other

    def open_seed(self, seed: int, truncation: float = 0.7) -> Identity:
        """Opens the identity with the number ``seed``, as StyleGAN's official scripts count.

        ``truncation`` is ψ: 1 leaves the latent as it was drawn, 0 gives the mean face.
        """
        z = np.random.RandomState(seed).randn(1, self.generator.z_dim)
        z32 = torch.from_numpy(z).float().to(self.generator.device)
        with limited_threads(1):  # as in ``edit``
            ws = self.generator.map(z32, truncation)
        return self._open(ws[0].cpu().numpy())

    def own_expression(self, identity: Identity) -> dict[str, float]:
        """Returns the identity's expression minus the mean face's, by control and in units of it."""
        if self._average is None:
            self._average = self._expression(self.open_seed(0, truncation=0.0))
        apart = self._expression(identity) - self._average
        return dict(zip(self.controls, apart.tolist(), strict=True))

    def _expression(self, identity: Identity) -> Array:
        """Returns what each control reads in the identity's shape, [C], up to a constant of the control."""
        return np.array([control.reading @ identity.q[ALPHA] for control in self.controls.values()])

    def open_latent(
        self, latent: bytes | memoryview, other: bytes | memoryview | None = None, share: float = 0.0
    ) -> Identity:
        """Opens the identity that ``latent`` (an Identity's bytes) anchors, with a ``share`` of ``other`` mixed in.

        The anchor is w0 + share · (w1 − w0). Raises LatentError for bytes that are no latent of this generator, and
        for one in which the model reads a pose or shape beyond all bounds.
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
        """Opens the identity of somebody made from a picture. Raises LatentError for another generator's person."""
        return self._open(person.rows_for(self.generator_sha256, self.generator.num_ws, self.generator.w_dim), person)

    def tuned_for(self, identity: Identity) -> FaceModel:
        """Returns the model that paints ``identity``: this one, or a copy with the generator tuned for that person.

        The last few copies are kept. Raises LatentError where the tuning does not fit the generator.
        """
        if identity.person is None or not identity.person.deltas:
            return self
        if self.generator_path is None:
            raise LatentError("this person needs a generator of their own, which a model without a file cannot have")
        path, sha256, deltas = self.generator_path, self.generator_sha256, identity.person.deltas

        def tune() -> FaceModel:
            generator = load_generator(path, str(self.generator.device), changes=deltas, sha256=sha256)
            tuned = copy.copy(self)
            tuned.painter = Painter(generator, self.painter.depth)
            return tuned

        try:
            return self._tuned.get(identity.key, tune)
        except GeneratorFileError as error:
            raise LatentError(f"this person's own generator cannot be made: {error}") from None

    def person(self, ws: NDArray[np.float32], metadata: Mapping[str, Any] | None = None) -> Person:
        """Returns the person that w+ [rows, w_dim] anchors; with ``metadata`` and what names this model."""
        whose = {"model": self.model_id, "name": self.name, "generator": self.generator_sha256}
        return Person(ws, {**(metadata or {}), **whose})

    def _read(self, latent: bytes | memoryview) -> tuple[NDArray[np.float32], Person | None]:
        """Returns the w+ [num_ws, w_dim] in an identity's bytes, and the person where they are of one."""
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
        # What was measured of a person is this model's regressor's error; that of another model errs otherwise.
        mine = person if person is not None and person.metadata["model"] == self.model_id else None
        if mine is not None and mine.bias is not None:
            if mine.bias.shape != q.shape:
                raise _unfit("bias", len(mine.bias), len(q))
            q = q + mine.bias
        turns = 1.0 if mine is None or mine.turns is None else mine.turns
        shown: Mapping[str, tuple[float, float]] = {}
        if mine is not None and mine.shown is not None:
            if mine.shown.shape[1] != len(self.controls):
                raise _unfit("shown", mine.shown.shape[1], len(self.controls))
            shown = shares_by_name(self.controls, mine.shown)
        pose, rest = pose_and_shape_of(q, self.shape)
        key = hashlib.sha256(self.model_id.encode() + latent).hexdigest()[:16]
        identity = Identity(key, anchor, latent, q, pose, rest, person, turns, shown)
        self.tuned_for(identity)  # so that tuning that does not fit is refused here, and not when it is painted
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
        """Returns the latent nearest to the identity's whose face is turned to (yaw, pitch), with ``controls``.

        ``yaw`` and ``pitch`` are degrees, ``controls`` offsets from the identity's own expression by name, 0 where one
        is missing; they may name attributes too, which change looks alone. Roll, size and shift stay the identity's
        own. ``options`` choose the inverse; ``term`` adds what a recognition network sees change to its cost. Raises
        KeyError for a name that the model does not have, and LatentError where it leads to no face.
        """
        asked = EditTarget.within(
            self.pose_range, self.controls, identity.pose, identity.read_for(yaw), pitch, controls, self.attributes,
            self._relaxed(identity),
        )  # fmt: skip
        editor = Editor(self.regressor, self.controls, self.attributes, self._weights, self.appearance, options, term)
        edit = editor.edit(identity, asked)
        if identity.turns == 1:
            return edit
        missing = {n: value * identity.turns if n == "yaw" else value for n, value in edit.residual.items()}
        return replace(edit, pose=replace(edit.pose, yaw=identity.shown_for(edit.pose.yaw)), residual=missing)

    def _relaxed(self, identity: Identity) -> dict[str, float]:
        """Returns the controls of the average expression, which is always within range, for this identity.

        Before bundle format 6 that did not count, so such models return the identity's own expression, 0.
        """
        own = self.own_expression(identity) if self._is_firm else dict.fromkeys(self.controls, 0.0)
        return {name: -value for name, value in own.items()}

    @property
    def sliders(self) -> list[str]:
        """The names of all that a face can be asked for besides its turn: controls, then attributes."""
        return [*self.controls, *self.attributes]

    def see(self, ws: Tensor) -> Seen:
        """Returns where the regressor reads the landmarks in the picture of w+ [num_ws, w_dim]."""
        with limited_threads(1):  # as in ``edit``
            q = self.regressor.of_latents(ws[None].cpu().double()).numpy()[0]
        return Seen.of(q, self.shape, self.topology)

    def prepared(self, pictures: Pictures, ws: Tensor, passes: Collection[PassName], matte: MatteName) -> Pictures:
        """Adds to the picture of w+ [num_ws, w_dim] what ``passes`` and ``matte`` need: landmarks, and the matte.

        So they are found once, however many passes are read from the result.
        """
        if passes and pictures.seen is None:
            pictures = replace(pictures, seen=self.see(ws))
        return pictures.matted() if pictures.waits_for_network(passes, matte) else pictures

    def light(self, identity: Identity) -> Light:
        """Returns the smooth light in the identity's own picture; all its pictures are taken to be lit by it.

        Raises PictureError, and DetectorError where the network that finds the matte cannot be loaded.
        """

        def measure() -> Light:
            own = self.finals(identity.ws[None])
            return self.prepared(own, identity.ws, ["albedo"], "none").matted().light()

        return self._lights.get(identity.key, measure)

    def finals(self, ws: Tensor) -> Pictures:
        """Paints w+ [N, num_ws, w_dim] exactly. Raises PictureError for values that are not finite."""
        return self.painter.finals(ws)

    def preview(self, ws: Tensor, *, half: bool = False) -> Pictures:
        """Paints w+ [num_ws, w_dim], one picture, in the fastest way that is ready; ``half`` as in ``Painter``.

        Raises PictureError for values that are not finite.
        """
        return self.painter.preview(ws, half=half)

    def paint(self, ws: Tensor) -> NDArray[np.uint8]:
        """Returns the exact pictures of w+ [N, num_ws, w_dim] as uint8 [N, H, W, 3]. Raises PictureError."""
        return self.finals(ws).bytes()

    def close(self) -> None:
        """Stops a compilation of faster previews that is still running."""
        self.painter.close()


def _unfit(name: str, has: int, needs: int) -> PersonError:
    """Returns the error for a person whose measurement ``name`` was not made with the model that the file names."""
    return PersonError(
        f"this person's file is damaged (its {name} has {has} numbers, and its model needs {needs}): make it again"
    )
