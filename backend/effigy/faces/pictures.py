# SPDX-License-Identifier: Apache-2.0
"""What a generator has painted, in the forms in which it is asked for: bytes, 16 bits, passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol.messages import PassName

from ..generators.planes import ALPHA, DEPTH, NORMAL, alpha, shown
from ..matting import cut_out
from .depth import DepthScale

_Pixel = TypeVar("_Pixel", np.uint8, np.uint16, np.float16)


@dataclass(frozen=True, slots=True)
class Pictures:
    """N painted pictures. Every form of one is a function of its own planes alone."""

    images: Tensor  # [N, C, H, W], finite, nominally in [−1, 1]
    planes: tuple[str, ...]  # what the C channels are
    depth: DepthScale | None
    is_exact: bool = True  # whether finals would be the same
    is_half: bool = False  # whether they are half as wide and high as the generator's pictures

    def only(self, row: int) -> Pictures:
        """One of them."""
        return replace(self, images=self.images[row : row + 1])

    def bytes(self) -> NDArray[np.uint8]:
        """[N, H, W, 3], or 4 with straight alpha, rounded as the official scripts do."""
        pixels = (self._shown() * 127.5).add_(128).clamp_(0, 255).to(torch.uint8)
        return _interleaved(pixels.cpu().numpy())

    def words(self) -> NDArray[np.uint16]:
        """As ``bytes``, with 65535 for 255: what the 8 bits of ``bytes`` leave of it."""
        images = self._shown()
        # 257 levels of 16 bits to one of 8. The first step is that of ``bytes``, so that both round alike.
        pixels = (((images * 127.5 + 128).double() - 0.5) * 257 + 0.5).floor().clamp(0, 65535)
        return _interleaved(pixels.cpu().numpy().astype(np.uint16))

    def _shown(self) -> Tensor:
        """[N, 3 or 4, H, W]: with alpha, the head's own colours, in which nothing shines through from behind it.

        A preview keeps what the generator painted, mixed with its background at edges: cutting out takes longer.
        """
        images = shown(self.images, self.planes)
        if ALPHA not in self.planes or not self.is_exact:
            return images
        opacity = alpha(self.images, self.planes)[:, 0].cpu().float().numpy()
        colours = images[:, :3].permute(0, 2, 3, 1).cpu().float().numpy()
        heads = np.stack([cut_out(*pair) for pair in zip(colours, opacity, strict=True)])
        return torch.cat([torch.from_numpy(heads).permute(0, 3, 1, 2), images[:, 3:].cpu()], dim=1)

    def pass_of(self, name: PassName) -> NDArray[np.float16]:
        """The pass called ``name`` [N, H, W, channels], which ``passes_of`` names: see protocol.messages.Frame."""
        if name == "normal":
            found = self.images[:, [self.planes.index(plane) for plane in NORMAL]].clamp(-1, 1)
        else:
            assert self.depth is not None
            painted = self.images[:, [self.planes.index(DEPTH)]].clamp(-1, 1)
            found = self.depth.scale * painted + self.depth.offset * alpha(self.images, self.planes)
        return _interleaved(found.half().cpu().numpy())


def passes_of(planes: tuple[str, ...], depth: DepthScale | None) -> tuple[PassName, ...]:
    """What can be had beside pictures of ``planes``; a depth of unknown scale cannot."""
    passes: list[PassName] = ["normal"] if set(NORMAL) <= set(planes) else []
    return (*passes, "depth") if DEPTH in planes and depth is not None else tuple(passes)


def _interleaved(planes: NDArray[_Pixel]) -> NDArray[_Pixel]:
    """[N, C, H, W] → [N, H, W, C], plane by plane: at 1024 in 1 ms, where copying a transposed view takes 20."""
    return np.stack([planes[:, channel] for channel in range(planes.shape[1])], axis=-1)
