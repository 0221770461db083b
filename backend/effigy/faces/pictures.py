# SPDX-License-Identifier: Apache-2.0
"""What a generator has painted, in the forms in which it is asked for: bytes, 16 bits, passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol.messages import MatteName, PassName

from ..generators.planes import ALPHA, DEPTH, NORMAL, alpha, colour
from ..matting import cut_out
from ..matting.spread import Plane
from ..threads import limited_threads
from .depth import DepthScale
from .mattes import head_alpha

_Pixel = TypeVar("_Pixel", np.uint8, np.uint16, np.float16)


@dataclass(frozen=True, slots=True)
class Pictures:
    """N painted pictures. Every form of one is a function of its own planes alone."""

    images: Tensor  # [N, C, H, W], finite, nominally in [−1, 1]
    planes: tuple[str, ...]  # what the C channels are
    depth: DepthScale | None
    is_exact: bool = True  # whether finals would be the same
    is_half: bool = False  # whether they are half as wide and high as the generator's pictures
    matte: Plane | None = None  # [H, W] of a preview's head from 0 to 1, where the generator paints no alpha

    def only(self, row: int) -> Pictures:
        """One of them."""
        return replace(self, images=self.images[row : row + 1])

    @property
    def has_alpha(self) -> bool:
        """Whether the generator has painted where the head is."""
        return ALPHA in self.planes

    def colours(self) -> Plane:
        """[N, H, W, 3], sRGB from −1 to 1, as painted."""
        return colour(self.images, self.planes).permute(0, 2, 3, 1).cpu().float().numpy()

    def bytes(self, matte: MatteName = "none") -> NDArray[np.uint8]:
        """[N, H, W, 3], or 4 with the straight alpha of ``matte``, rounded as the official scripts do.

        Raises DetectorError, as ``words`` does, where a matte cannot be had.
        """
        pixels = (self._shown(matte) * 127.5).add_(128).clamp_(0, 255).to(torch.uint8)
        return _interleaved(pixels.cpu().numpy())

    def words(self, matte: MatteName = "none") -> NDArray[np.uint16]:
        """As ``bytes``, with 65535 for 255: what the 8 bits of ``bytes`` leave of it."""
        images = self._shown(matte)
        # 257 levels of 16 bits to one of 8. The first step is that of ``bytes``, so that both round alike.
        pixels = (((images * 127.5 + 128).double() - 0.5) * 257 + 0.5).floor().clamp(0, 65535)
        return _interleaved(pixels.cpu().numpy().astype(np.uint16))

    def _shown(self, matte: MatteName) -> Tensor:
        """[N, 3 or 4, H, W] in [−1, 1]: as painted, or the head in its own colours, which nothing shines through.

        A preview keeps what the generator painted, mixed with its background at edges: cutting out takes longer.
        """
        if matte == "none":
            return colour(self.images, self.planes)
        colours, opacity = self.colours(), self._opacity()
        if self.is_exact:
            colours = np.stack([cut_out(*pair) for pair in zip(colours, opacity, strict=True)])
        return torch.from_numpy(np.concatenate([colours, 2 * opacity[..., None] - 1], axis=-1)).permute(0, 3, 1, 2)

    def _opacity(self) -> Plane:
        """[N, H, W] from 0 to 1: the generator's own alpha, else what the matte network sees in each picture."""
        if self.has_alpha:
            return alpha(self.images, self.planes)[:, 0].cpu().float().numpy()
        if self.matte is not None:
            return self.matte[None].repeat(len(self.images), 0)
        with limited_threads(1):  # one thread rounds alike however many cores there are
            return np.stack([head_alpha(each) for each in self.colours()])

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
