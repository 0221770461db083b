# SPDX-License-Identifier: Apache-2.0
"""Paints finals several at a time; each has the same bits as if it were painted alone."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import torch
from torch import Tensor

from ..generators import Generator

log = structlog.get_logger()

_MOST = 4  # which a GPU paints in little more than the time of one
_PIXELS = _MOST * 128**2  # of all of them on a CPU: at 128 four take four fifths of the time, at 256 more than alone


class Finals:
    """w+ [N, num_ws, w_dim] → pictures [N, 3, H, W], at most ``batch`` at a time."""

    def __init__(self, paint: Callable[[Tensor], Tensor], batch: int, *, always_whole: bool) -> None:
        """``always_whole``: smaller batches than ``batch`` round differently, so a batch is always filled up.

        Otherwise finals are painted one by one until the first full batch, which is painted both ways and compared. If
        the bits differ, as they might with convolution kernels that nobody has tested, all further finals are painted
        one by one.
        """
        self._paint = paint
        self.batch = batch
        self._always_whole = always_whole
        self._is_proven = batch == 1

    @staticmethod
    def of(generator: Generator) -> Finals:
        """Returns Finals with the largest batch that makes the generator's device faster."""
        if generator.device.type == "cuda":
            return Finals(generator.synthesize, _MOST, always_whole=True)
        height, width = generator.resolution
        return Finals(generator.synthesize, max(1, min(_MOST, _PIXELS // (height * width))), always_whole=False)

    def __call__(self, ws: Tensor) -> Tensor:
        """Paints all of ``ws``, which is on the generator's device."""
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
