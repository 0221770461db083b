# SPDX-License-Identifier: Apache-2.0
"""Finds the latents of edits with the inverse, for pose and controls and, together with these, for attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..editing import IdentityTerm, InverseOptions, Regressor, invert
from ..editing.appearance import Appearance
from ..editing.compensation import compensation
from ..geometry.camera import Array
from ..geometry.expressions import Expression
from ..threads import limited_threads
from .attributes import Attribute
from .edit import Edit, EditTarget
from .identity import Identity, pose_of


@dataclass(frozen=True, slots=True, eq=False)
class Editor:
    """Finds the latents of edits with one model."""

    regressor: Regressor
    controls: Mapping[str, Expression]
    attributes: Mapping[str, Attribute]
    weights: Tensor  # W of ``edit.error_weights``
    appearance: Appearance | None
    options: InverseOptions
    term: IdentityTerm | None

    def edit(self, identity: Identity, asked: EditTarget) -> Edit:
        """Returns the latent nearest to the identity's that shows what is ``asked``."""
        if asked.attributes:
            return self._edit_looks(identity, asked)
        change = asked.change(identity, self.controls)
        if not change.any():
            return Edit(identity.ws, identity.pose, asked.clamped, {})
        ws, moved = self._invert(identity.ws.double(), change)
        pose = pose_of(identity.q + moved)
        return Edit(ws, pose, asked.clamped, asked.residual(identity, pose, moved, self.controls))

    def _edit_looks(self, identity: Identity, asked: EditTarget) -> Edit:
        """Edits from the latent w1 that the asked attributes make of the identity's w0.

        φ reads another pose and expression in w1 than in w0. As far as pictures show that, it is taken back together
        with what is asked, and so is what pictures showed to move although φ does not read it. So looks change alone.
        """
        start, drift = identity.ws.double(), np.zeros(2 + len(self.controls))
        shown, far = np.zeros(len(self.controls)), 0.0  # of several attributes, the mean by how far each is moved
        for name, value in asked.attributes.items():
            attribute = self.attributes[name]
            start = start + value * attribute.direction.double()
            drift += attribute.drift(value)
            shown += abs(value) * attribute.shown
            far += abs(value)
        with limited_threads(1):  # as in ``_invert``
            before, after = self.regressor.of_latents(torch.stack([identity.ws.double(), start])).numpy()
        less = asked.less(drift, self.controls)
        taken = compensation(after - before, list(self.controls.values()), shown / far)
        ws, reached = self._invert(start, less.change(identity, self.controls) + taken)
        moved = reached - taken  # as pictures show it
        read = pose_of(identity.q + moved)
        missing = less.residual(identity, read, moved, self.controls)
        pose = replace(read, yaw=read.yaw + float(drift[0]), pitch=read.pitch + float(drift[1]))
        told = {"yaw", "pitch"} | {name for name, value in asked.controls.items() if value}
        return Edit(ws, pose, asked.clamped, {name: value for name, value in missing.items() if name in told})

    def _invert(self, start: Tensor, change: Array) -> tuple[Tensor, Array]:
        """Returns the latent [num_ws, w_dim] near ``start`` whose q differs by ``change`` [Q], and what is reached."""
        # In one thread sums round alike however many cores there are, and matrices this small gain nothing from more.
        # An identity term paints pictures, which do.
        with limited_threads(1 if self.term is None else None):
            ws, reached = invert(
                self.regressor,
                start[None],
                torch.from_numpy(change)[None],
                self.weights,
                self.options,
                self.term,
                self.appearance,
            )
        return ws[0].float(), reached.numpy()[0]
