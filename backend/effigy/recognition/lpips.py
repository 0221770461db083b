# SPDX-License-Identifier: Apache-2.0
"""LPIPS, how unlike two pictures look to people, by networks whose files a user brings.

Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, CVPR 2018, version 0.1. Each
network comes in two files: its convolutions as torchvision has them, and the weights of their channels as the authors
have them (``lpips/weights/v0.1`` in their package).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
import torch.nn.functional as F
from torch import Tensor

from ..weight_files import read_weights
from .embedder import IdentityFileError

_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of colours in [−1, 1]
_LARGEST = 256  # pixels of a side, as StyleGAN's projector compares pictures
_LITTLE = 1e-10

Distance = Callable[[Tensor], Tensor]  # of a picture [1, 3, H, W] in [−1, 1], differentiable


@dataclass(frozen=True, slots=True)
class _Network:
    """Convolutions in five blocks, each behind a pooling of ``pools`` pixels if not 0; the blocks' ends are compared.

    A convolution is its number in torchvision's file, its stride and its padding.
    """

    convolutions: str  # how its file's name begins
    channels: str  # the name of the authors' file
    blocks: tuple[tuple[tuple[int, int, int], ...], ...]
    pools: tuple[int, ...]


_VGG = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
_NETWORKS = (  # the first whose files are there is used: its authors advise VGG for optimising
    _Network("vgg16", "vgg.pth", tuple(tuple((n, 1, 1) for n in block) for block in _VGG), (0, 2, 2, 2, 2)),
    _Network("alexnet", "alex.pth", (((0, 4, 2),), ((3, 1, 2),), ((6, 1, 1),), ((8, 1, 1),), ((10, 1, 1),)),
             (0, 3, 3, 0, 0)),
)  # fmt: skip


class Lpips:
    """LPIPS by one network."""

    def __init__(self, network: _Network, convolutions: Path, channels: Path, device: str | torch.device) -> None:
        """Reads both files without running anything in them. Raises IdentityFileError."""
        self._network = network
        numbers = [number for block in network.blocks for number, _, _ in block]
        names = [f"features.{number}.{part}" for number in numbers for part in ("weight", "bias")]
        self._convolutions = _read(convolutions, names, device)
        names = [f"lin{number}.model.1.weight" for number in range(len(network.blocks))]
        self._channels = list(_read(channels, names, device).values())
        told = hashlib.sha256()
        for values in (*self._convolutions.values(), *self._channels):
            told.update(values.cpu().numpy().tobytes())
        self.fingerprint = f"lpips-{network.convolutions}-{told.hexdigest()[:16]}"
        self._check()

    @torch.no_grad()
    def _check(self) -> None:
        """Raises IdentityFileError if the weights do not fit each other."""
        device, reason = self._channels[0].device, ""
        try:
            black, white = (torch.full((1, 3, 64, 64), level, device=device) for level in (0.0, 1.0))
            apart = float(self.distance_to(black)(white))
            if not 0 < apart < math.inf:
                reason = f"black is unlike white by {apart}"
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:200]
        if reason:
            raise IdentityFileError(
                f"the files of LPIPS in {lpips_folder()} do not fit each other ({reason}): put those of docs/people.md "
                "there, or remove them"
            )

    def distance_to(self, wanted: Tensor, weight: Tensor | None = None) -> Distance:
        """Returns the distance to the picture ``wanted`` [1, 3, H, W] in [−1, 1].

        What is somewhere in the picture counts as ``weight`` [1, 1, H, W] says, everywhere alike if that is None.
        """
        with torch.no_grad():
            there = self._seen(wanted)

        def distance(picture: Tensor) -> Tensor:
            apart = torch.zeros((), device=picture.device)
            for here, known, channels in zip(self._seen(picture), there, self._channels, strict=True):
                unlike = F.conv2d((here - known).square(), channels)
                if weight is None:
                    apart = apart + unlike.mean()
                else:
                    share = F.interpolate(weight, unlike.shape[-2:], mode="area")
                    apart = apart + (unlike * share).sum() / share.sum()
            return apart

        return distance

    def _seen(self, picture: Tensor) -> list[Tensor]:
        """Returns what each block sees in a picture; in all places vectors of length 1."""
        if max(picture.shape[-2:]) > _LARGEST:
            picture = F.interpolate(picture, scale_factor=_LARGEST / max(picture.shape[-2:]), mode="area")
        mean, deviation = (picture.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        x, seen = (picture.clamp(-1, 1) - mean) / deviation, []
        for block, pool in zip(self._network.blocks, self._network.pools, strict=True):
            x = F.max_pool2d(x, pool, 2) if pool else x
            for number, stride, padding in block:
                weights, bias = (self._convolutions[f"features.{number}.{part}"] for part in ("weight", "bias"))
                x = F.relu(F.conv2d(x, weights, bias, stride, padding))
            seen.append(x / (x.square().sum(dim=1, keepdim=True).add(_LITTLE**2).sqrt() + _LITTLE))
        return seen


def lpips_folder() -> Path:
    """Returns the folder in which a user puts the files; the variable ``EFFIGY_LPIPS`` names another one."""
    return Path(os.environ.get("EFFIGY_LPIPS") or Path(platformdirs.user_data_dir("effigy")) / "lpips")


def users_lpips(device: str | torch.device = "cpu") -> Lpips | None:
    """Returns LPIPS by the files in ``lpips_folder``, or None where there are none.

    Raises IdentityFileError for files that are damaged, or one without the other.
    """
    folder = lpips_folder()
    for network in _NETWORKS:
        channels = folder / network.channels
        convolutions = next(iter(sorted(folder.glob(f"{network.convolutions}*.pth"))), None)
        if convolutions is not None and channels.is_file():
            return Lpips(network, convolutions, channels, device)
        if convolutions is not None or channels.is_file():
            lacks = network.channels if convolutions is not None else f"{network.convolutions}-….pth"
            raise IdentityFileError(
                f"{folder} has one of LPIPS's two files and lacks {lacks}: put it there as docs/people.md says, or "
                "remove the other"
            )
    return None


def _read(path: Path, names: list[str], device: str | torch.device) -> dict[str, Tensor]:
    try:
        return {name: values.to(device, copy=True) for name, values in read_weights(path, names).items()}
    except ValueError as error:
        raise IdentityFileError(f"{path} is no file of LPIPS's ({error}): put it there again, or remove it") from None
