# SPDX-License-Identifier: Apache-2.0
"""Painted pictures in the forms that clients ask for: 8 or 16 bits, with a matte, linear, and as passes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effigy_protocol.messages import LEANS, MatteName, PassName

from ..generators.planes import ALPHA, DEPTH, NORMAL, alpha, colour
from ..matting import cut_out, cut_out_moving, multipliable, without_haze
from ..matting.foreground import to_linear
from ..matting.spread import Plane
from ..relighting import Light, Relief, estimate_light, relief
from ..threads import limited_threads
from .depth import LARGEST, DepthScale
from .mattes import head_alpha
from .seen import Seen

_Pixel = TypeVar("_Pixel", np.uint8, np.uint16)
_LEAN = np.float32(0.2)  # how far a straight normal leans to the viewer where nothing is painted, beside a length of 1
_HALF_HAZE = np.float32(0.1)  # alpha that pictures of half size have up to beside the head, and lack within it
_SOLID = 0.5  # alpha above which a painted depth is the head's


@dataclass(frozen=True, slots=True)
class Pictures:
    """N painted pictures. Each form of a picture depends on that picture's planes alone."""

    images: Tensor  # [N, C, H, W], finite, nominally in [−1, 1]
    planes: tuple[str, ...]  # what the C channels are
    depth: DepthScale | None
    is_exact: bool = True  # whether finals would be the same
    is_half: bool = False  # whether they are half as wide and high as the generator's pictures
    matte: Plane | None = None  # [H, W] of one picture's head from 0 to 1, where the generator paints no alpha
    seen: Seen | None = None  # the landmarks of one picture
    relief: Relief | None = None  # the surface of one picture, where the generator paints none

    def only(self, row: int) -> Pictures:
        """Returns the picture in this ``row`` alone."""
        return replace(self, images=self.images[row : row + 1])

    @property
    def has_alpha(self) -> bool:
        """Whether the generator has painted where the head is."""
        return ALPHA in self.planes

    def colours(self) -> Plane:
        """Returns the colours as painted, [N, H, W, 3], sRGB in [−1, 1]."""
        return colour(self.images, self.planes).permute(0, 2, 3, 1).cpu().float().numpy()

    def bytes(self, matte: MatteName = "none") -> NDArray[np.uint8]:
        """Returns uint8 [N, H, W, 3], or 4 with the straight alpha of ``matte``, rounded as StyleGAN's scripts do.

        Raises DetectorError where the matte network cannot be loaded.
        """
        pixels = (self._shown(matte) * 127.5).add_(128).clamp_(0, 255).to(torch.uint8)
        return _interleaved(pixels.cpu().numpy())

    def words(self, matte: MatteName = "none") -> NDArray[np.uint16]:
        """Returns the same as uint16, with 65535 for 255; its 8 upper bits round to those of ``bytes``.

        Raises DetectorError as ``bytes`` does.
        """
        images = self._shown(matte)
        # 257 levels of 16 bits to one of 8. The first step is that of ``bytes``, so that both round alike.
        if images.device.type == "mps":  # which has no double precision
            images = images.cpu()
        pixels = (((images * 127.5 + 128).double() - 0.5) * 257 + 0.5).floor().clamp(0, 65535)
        return _interleaved(pixels.cpu().numpy().astype(np.uint16))

    def _shown(self, matte: MatteName) -> Tensor:
        """Returns [N, 3, H, W] in [−1, 1] as painted, or [N, 4, H, W] with the head cut out.

        The head's own colours are found where its edge mixes with the background: in exact pictures with care, and so
        that their bytes survive being multiplied by alpha; in others fast.
        """
        if matte == "none":
            return colour(self.images, self.planes)
        colours, opacity = self.colours(), self.opacity()
        cut = partial(cut_out_moving, is_half=self.is_half)
        if self.is_exact:
            cut = partial(cut_out, is_painted=self.has_alpha)
        colours = np.stack([cut(*pair) for pair in zip(colours, opacity, strict=True)])
        shown = np.concatenate([colours, 2 * opacity[..., None] - 1], axis=-1)
        return torch.from_numpy(multipliable(shown) if self.is_exact else shown).permute(0, 3, 1, 2)

    def opacity(self) -> Plane:
        """Returns where the heads are, [N, H, W] from 0 to 1.

        It is the alpha that the generator paints, or else what the matte network finds in each picture. Raises
        DetectorError where that network cannot be loaded.
        """
        if self.has_alpha:
            painted = self._painted_opacity()
            if self.is_half:  # a generator's first blocks alone leave a little everywhere, and are not quite solid
                painted = ((painted - _HALF_HAZE) / (1 - 2 * _HALF_HAZE)).clip(0, 1)
            return np.stack([without_haze(each) for each in painted])
        if self.matte is not None:
            return self.matte[None].repeat(len(self.images), 0)
        with limited_threads(1):  # one thread rounds alike however many cores there are
            return np.stack([head_alpha(each) for each in self.colours()])

    def matted(self) -> Pictures:
        """Returns the same pictures with their matte computed once, if they need one."""
        return self if self.has_alpha or self.matte is not None else replace(self, matte=self.opacity()[0])

    def passes(
        self,
        names: Collection[PassName],
        light: Light | None = None,
        matte: MatteName = "none",
        *,
        is_straight: bool = False,
    ) -> dict[PassName, NDArray[np.float16]]:
        """Returns passes of one picture by name, each [H, W, channels], as effigy_protocol.messages.Frame defines them.

        Normals and depth are painted by the generator, or else come from a surface through the landmarks.

        Args:
            names: Which passes.
            light: The light on the face. It must be given for "light", which shows it, and for "albedo", which is the
                picture divided by it.
            matte: The matte of the picture that "albedo" starts from, and that "light" falls on.
            is_straight: Whether painted passes are those of the head alone: unit normals, and a depth within its solid
                part's. The generator paints both times alpha; divided by it they are noise where little is left.

        Raises DetectorError where the matte network is needed and cannot be loaded.
        """
        surface = self.surface() if self.needs_surface(names) else None
        made: dict[PassName, NDArray[Any]] = {}
        for name in names:
            if name == "albedo" or name == "light":
                if light is None:
                    raise ValueError(f"{name} is computed from a picture's light, and no light is given")
                falls = light.on(self._normal(surface, matte))
                made[name] = falls if name == "light" else self.linear(matte)[..., :3] / falls
            elif name == "normal" and self._paints_normals:
                made[name] = self._straight_normal() if is_straight else self._painted(NORMAL)
            elif name == "normal":
                made[name] = (surface or self.surface()).normal
            else:
                made[name] = self._straight_depth() if is_straight and self._paints_depth else self._depth(surface)
        return {name: np.ascontiguousarray(array, np.float16) for name, array in made.items()}

    def linear(self, matte: MatteName = "none") -> Plane:
        """Returns one picture in linear light, [H, W, 3 or 4], with straight alpha."""
        shown = ((self._shown(matte)[0].permute(1, 2, 0).cpu().float().numpy() + 1) / 2).clip(0, 1)
        return np.concatenate([to_linear(shown[..., :3]), shown[..., 3:]], axis=-1)

    def surface(self) -> Relief:
        """Returns the surface that was given, or else one through the landmarks and the outline of one picture.

        Raises ValueError where the landmarks are unknown, and DetectorError as ``opacity`` does.
        """
        return self.relief or relief(self._landmarks.visible(), self.opacity()[0])

    def light(self) -> Light:
        """Returns the smooth light on the face in one picture. Raises what ``surface`` raises."""
        weight = self._landmarks.face(self.images.shape[2:]) * self.opacity()[0]
        surface = None if self._paints_normals else self.surface()
        return estimate_light(self.linear(), self._normal(surface, "head"), weight)

    def waits_for_network(self, names: Collection[PassName], matte: MatteName) -> bool:
        """Returns whether these passes or this matte need the matte network to run."""
        return not self.has_alpha and (matte == "head" or self.needs_surface(names))

    def is_slow(self, names: Collection[PassName], matte: MatteName) -> bool:
        """Returns whether these passes or this matte take long beside the picture itself."""
        return self.waits_for_network(names, matte) or self.needs_surface(names)

    def needs_surface(self, names: Collection[PassName]) -> bool:
        """Returns whether any of these passes is computed from ``surface``."""
        return ("depth" in names and not self._paints_depth) or (
            not self._paints_normals and ("normal" in names or needs_light(names))
        )

    def is_empty(self, matte: MatteName) -> NDArray[np.bool_]:
        """Returns where one picture with this ``matte`` shows nothing of the head, [H, W]."""
        if matte == "none" and not self.has_alpha:
            return np.zeros(self.images.shape[2:], np.bool_)
        return self.opacity()[0] <= 0

    def _straight_normal(self) -> Plane:
        """Returns painted normals of unit length, [H, W, 3], which lean to the viewer the less the head covers."""
        painted, opacity = self._painted(NORMAL), self._painted_opacity()[0]
        painted *= (opacity > 0)[..., None]  # what is painted beside the head is noise
        return _leaning(painted, _LEAN * (1 - opacity))

    def _straight_depth(self) -> Plane:
        """Returns the painted depth divided by alpha, [H, W, 1] in head units, within that of the head's solid part."""
        opacity = self._painted_opacity()[0, ..., None]
        depth = self._depth(None) / np.maximum(opacity, 1e-3)
        solid = depth[opacity > _SOLID]
        low, high = (solid.min(), solid.max()) if solid.size else (-LARGEST, LARGEST)
        return np.asarray(depth.clip(low, high))

    def _painted_opacity(self) -> Plane:
        """Returns the alpha that the generator paints, [N, H, W], at the border as beside it.

        A generator's last block enlarges what the ones before it have painted as if 0, half of alpha, were around it.
        So the outermost pixels, one deep, say nothing of alpha.
        """
        painted = alpha(self.images, self.planes)[:, 0].cpu().float().numpy()
        if min(painted.shape[1:]) <= 2:
            return painted
        return np.pad(painted[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1)), mode="edge")

    @property
    def _landmarks(self) -> Seen:
        """The landmarks in one picture. Raises ValueError where they were not given."""
        if self.seen is None:
            raise ValueError("where these pictures' landmarks are is unknown")
        return self.seen

    @property
    def _paints_normals(self) -> bool:
        return set(NORMAL) <= set(self.planes)

    @property
    def _paints_depth(self) -> bool:
        """Whether there is a painted depth with a scale; without one its numbers have no unit."""
        return DEPTH in self.planes and self.depth is not None

    def _painted(self, planes: tuple[str, ...]) -> Plane:
        """Returns planes of one picture, [H, W, C] in [−1, 1]."""
        found = self.images[0, [self.planes.index(plane) for plane in planes]].clamp(-1, 1)
        return found.permute(1, 2, 0).cpu().float().numpy()

    def _normal(self, surface: Relief | None, matte: MatteName) -> Plane:
        """Returns the unit normals [H, W, 3] that light falls on in a picture with this ``matte``.

        Painted ones are times alpha, and noise beside the head. The shorter they are, the more they lean to the viewer,
        so that the background is lit evenly. effigy_client.pixels.Surface reads them alike, from their lengths alone.
        """
        if surface is not None:
            return surface.normal
        painted = self._painted(NORMAL)
        lean, rate = LEANS[matte]
        return _leaning(painted, lean - rate * np.linalg.norm(painted, axis=-1))

    def _depth(self, surface: Relief | None) -> Plane:
        """Returns the depth, [H, W, 1] in head units."""
        if DEPTH in self.planes and self.depth is not None:
            opacity = self._painted_opacity()[0, ..., None]
            return self.depth.scale * self._painted((DEPTH,)) + self.depth.offset * opacity
        surface = surface or self.surface()
        return (surface.height / self._landmarks.scale).clip(-LARGEST, LARGEST)[..., None]


def _leaning(normals: Plane, by: Plane) -> Plane:
    """Returns ``normals`` [H, W, 3], which are changed, leaning to the viewer ``by`` [H, W] of their unit, at length 1.

    They lean a little at least, so that what is 0 points to the viewer.
    """
    normals[..., 2] += np.maximum(by, np.float32(1e-3))
    return np.asarray(normals / np.linalg.norm(normals, axis=-1, keepdims=True))


def needs_light(names: Collection[PassName]) -> bool:
    """Returns whether any of these passes is computed from the light in the identity's own picture."""
    return "albedo" in names or "light" in names


def _interleaved(planes: NDArray[_Pixel]) -> NDArray[_Pixel]:
    """[N, C, H, W] → [N, H, W, C], plane by plane: at 1024 in 1 ms, where copying a transposed view takes 20."""
    return np.stack([planes[:, channel] for channel in range(planes.shape[1])], axis=-1)
