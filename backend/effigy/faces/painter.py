# SPDX-License-Identifier: Apache-2.0
"""Paints latents with a generator: finals exactly, and previews in the fastest way that is ready."""

from __future__ import annotations

import torch
from torch import Tensor

from ..generators import Generator, PreviewPainter, check_pictures
from .depth import DepthScale
from .finals import Finals
from .pictures import Pictures


class Painter:
    """A generator, and how its finals and previews are painted."""

    def __init__(
        self,
        generator: Generator,
        depth: DepthScale | None = None,  # of the depth that the generator paints, if it paints one
        previews: PreviewPainter | None = None,  # paints w+ [1, num_ws, w_dim] faster, and less exactly
        finals: Finals | None = None,  # None: with the batch that suits the generator's device
    ) -> None:
        self.generator = generator
        self.depth = depth
        self._previews = previews
        self._finals = finals or Finals.of(generator)

    @property
    def batch(self) -> int:
        """The number of finals that are painted at once, where so many are asked for."""
        return self._finals.batch

    @property
    def is_fast(self) -> bool:
        """Whether previews are painted in a faster way than finals."""
        return self._previews is not None

    @torch.inference_mode()
    def finals(self, ws: Tensor) -> Pictures:
        """Paints w+ [N, num_ws, w_dim] exactly. Raises PictureError for values that are not finite."""
        ws = ws.to(self.generator.device)
        images = self._finals(ws)
        check_pictures(images, self.generator, ws)
        return Pictures(images, self.generator.planes, self.depth)

    @torch.inference_mode()
    def preview(self, ws: Tensor, *, half: bool = False) -> Pictures:
        """Paints w+ [num_ws, w_dim], one picture, in the fastest way that is ready.

        ``half``: at half the width and height, if the generator can paint that with its first blocks alone. Raises
        PictureError for values that are not finite.
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

    def close(self) -> None:
        """Stops a compilation of faster previews that is still running."""
        if self._previews is not None:
            self._previews.close()
