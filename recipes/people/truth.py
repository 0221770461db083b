# SPDX-License-Identifier: Apache-2.0
"""What is true of the default's people: its latents are parameters of the renderer that it was trained on.

So a person who turns and smiles has a true latent, in which these parameters alone differ, and the generator a picture
of it. The renderer's picture of the same parameters is a truth that no network has made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from effigy.editing.parameters import ALPHA
from effigy.faces import FaceModel
from recipes.demo_face.mapping import OFFSET, code, parameters_of_code
from recipes.demo_face.parameters import COUNT, YAW, column
from recipes.demo_face.renderer import Renderer
from recipes.people.inputs import renderer_of

_SAME = 0.05  # of w: the mapping's weights are stored in half precision
_HALVINGS = 20
_MOST = 6.0  # standard deviations that a parameter is moved


class UnknownTruthError(Exception):
    """A model whose latents are not the renderer's parameters."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Moves people of one model truly, and paints them."""

    model: FaceModel
    renderer: Renderer | None

    @staticmethod
    def of(model: FaceModel, head: Path | None) -> Truth:
        """Returns the truth of ``model``; ``head`` is what ``python -m recipes.demo_face bake`` has written.

        Raises UnknownTruthError for models other than the default and those that were trained like it.
        """
        w = model.open_seed(0).ws[:1]
        known = w.shape[1] == len(code(torch.zeros(1, COUNT))[0])
        if not known or float((OFFSET + code(parameters_of_code(w)) - w).abs().max()) > _SAME:
            raise UnknownTruthError(
                f"the latents of {model.name} are not the renderer's parameters: this needs 'default', or a model of a "
                "generator that 'python -m recipes.demo_face' has trained"
            )
        return Truth(model, None if head is None else renderer_of(head, model.generator.resolution[0]))

    def moved(self, ws: Tensor, turn: float, control: str, value: float, parameter: str) -> Tensor:
        """Turns w+ [num_ws, w_dim] by ``turn`` degrees and moves one parameter until φ reads ``value`` of a control."""
        p = parameters_of_code(ws[:1].double())[0]
        p[column("yaw")] = YAW.parameter(YAW.angle(float(p[column("yaw")])) + math.radians(turn))
        reading, start = torch.from_numpy(self.model.controls[control].reading), float(p[column(parameter)])

        def shown(at: float) -> float:
            p[column(parameter)] = at
            return float(reading @ self.model.regressor.of_latents(self._latent(p)[None].double())[0, ALPHA])

        rest, low, high = shown(start), 0.0, _MOST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if shown(start + middle) - rest < value else (low, middle)
        p[column(parameter)] = start + (low + high) / 2
        return self._latent(p)

    def pictures(self, ws: Tensor) -> list[Tensor]:
        """Paints [3, H, W] in [−1, 1] of w+ [num_ws, w_dim]: the generator's; with a head the renderer's too."""
        shown = [self.model.paint(ws[None])[0, ..., :3]]
        if self.renderer is not None:
            shown.append(self.renderer(parameters_of_code(ws[:1].double())[0].numpy().astype(np.float32)).picture)
        return [torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1 for picture in shown]

    def _latent(self, p: Tensor) -> Tensor:
        return (OFFSET + code(p[None].float())).expand(self.model.generator.num_ws, -1)
