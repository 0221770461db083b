# SPDX-License-Identifier: Apache-2.0
"""Paints finals several at a time; each has the bits that it would have if it were painted alone."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import torch
from torch import Tensor

from ..generators import Generator

log = structlog.get_logger()

_MOST = 4  # a GPU paints so many in little more than the time of one
# Pixels of all of them on a CPU. At 128² four together take four fifths of the time, at 256² more than one by one.
_PIXELS = _MOST * 128**2


class Finals:
    """w+ [N, num_ws, w_dim] → pictures [N, 3, H, W], at most ``batch`` at a time."""

    def __init__(self, paint: Callable[[Tensor], Tensor], batch: int, *, always_whole: bool) -> None:
        """Paints with ``paint`` in batches of at most ``batch``.

        ``always_whole`` fills every batch up to ``batch``, for devices on which smaller batches round differently.
        Without it, finals are painted one by one until the first full batch, which is painted both ways and compared.
        If the bits differ, as they might with untested convolution kernels, all later finals are painted one by one.
        """
        self._paint = paint
        self.batch = batch
        self._always_whole = always_whole
        self._is_proven = batch == 1

    @staticmethod
    def of(generator: Generator) -> Finals:
        """Returns Finals with the largest batch that is faster on the generator's device."""
        if generator.device.type == "cuda":
            return Finals(generator.synthesize, _MOST, always_whole=True)
        height, width = generator.resolution
        return Finals(generator.synthesize, max(1, min(_MOST, _PIXELS // (height * width))), always_whole=False)

    def __call__(self, ws: Tensor) -> Tensor:
        """Paints all of ``ws`` [N, num_ws, w_dim], which is on the generator's device."""
        if self._always_whole:
            missing = -len(ws) % self.batch
            whole = torch.cat([ws, ws[-1:].expand(missing, -1, -1)])
            return torch.cat([self._paint(part) for part in torch.split(whole, self.batch)])[: len(ws)]
        return torch.cat([self._together(part) for part in torch.split(ws, self.batch)])

    def _together(self, ws: Tensor) -> Tensor:
        if len(ws) == self.batch and self._is_proven:
            return self._paint(ws)
        singly = torch.cat([self._paint(row) for row in torch.split(ws, 1)])
        if len(ws) == self.batch:
            self._is_proven = True
            if not torch.equal(self._paint(ws), singly):
                log.info("finals are painted one by one: together they round otherwise here", together=len(ws))
                self.batch = 1
        return singly
