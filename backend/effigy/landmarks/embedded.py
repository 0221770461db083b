# SPDX-License-Identifier: Apache-2.0
"""The embedded landmark detector: a small U-shaped CNN with a soft-argmax at a quarter of 128 × 128.

Soft-argmax over heat maps: Nibali et al., *Numerical Coordinate Regression with CNNs*, 2018.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..tensor_files import read_tensors
from .detector import DetectorError

INPUT = 128  # pixels


def conv(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Makes a 3 × 3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
    )


class Residual(nn.Module):
    """x + two convolutions of x, then ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = conv(channels, channels)
        self.conv1 = conv(channels, channels)[:2]

    def forward(self, x: Tensor) -> Tensor:
        """x [N, channels, H, W] → the same shape."""
        return F.relu(x + self.conv1(self.conv0(x)))


class LandmarkNetwork(nn.Module):
    """Finds landmarks: pictures [N, 3, 128, 128] in [−1, 1] → points [N, landmarks, 2] in [0, 1] (x right, y down)."""

    def __init__(self, width: int = 24, landmarks: int = 68) -> None:
        super().__init__()
        half, full = 2 * width, 4 * width
        self.stem = conv(3, width, stride=2)
        self.quarter = nn.Sequential(conv(width, half, stride=2), Residual(half))
        self.eighth = nn.Sequential(conv(half, full, stride=2), Residual(full), Residual(full))
        self.sixteenth = nn.Sequential(conv(full, full, stride=2), Residual(full), Residual(full))
        self.context = nn.Linear(full, full)
        self.up8 = nn.Conv2d(full, full, 1)
        self.up4 = nn.Conv2d(full, half, 1)
        self.merge = conv(half, half)
        self.heat = nn.Conv2d(half, landmarks, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures → points."""
        return self.with_features(x)[0]

    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the landmarks [N, landmarks, 2] and the network's deepest features [N, 4 · width, 8, 8]."""
        quarter = self.quarter(self.stem(x))
        eighth = self.eighth(quarter)
        features = self.sixteenth(eighth)
        deep = features + self.context(features.mean(dim=(2, 3)))[:, :, None, None]
        eighth = eighth + _double(self.up8(deep))
        quarter = quarter + _double(self.up4(eighth))
        return soft_argmax(self.heat(self.merge(quarter))), features


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def soft_argmax(heat: Tensor) -> Tensor:
    """Maps heat maps [N, L, H, W] to their expected positions [N, L, 2] (x, y) in [0, 1], always in float32.

    In bfloat16, positions above 0.5 are resolved to half a pixel of 128 only, and training under autocast doubled the
    error of lips.
    """
    height, width = heat.shape[-2:]
    with torch.autocast(heat.device.type, enabled=False):
        probability = heat.float().flatten(2).softmax(dim=-1).view(*heat.shape[:2], height, width)
        x = (torch.arange(width, device=heat.device) + 0.5) / width
        y = (torch.arange(height, device=heat.device) + 0.5) / height
        return torch.stack([probability.sum(dim=2) @ x, probability.sum(dim=3) @ y], dim=-1)


# The landmark set by the number of landmarks: iBUG's points, without or with the irises.
_TOPOLOGIES = {68: "ibug68", 70: "ibug70"}


class EmbeddedDetector:
    """Implements ``effigy.landmarks.Detector`` for the embedded default's pictures."""

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        """Reads the network's weights from the safetensors file ``path``; "auto" means CUDA when there is one.

        Raises DetectorError.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            state = {name: value.float() for name, value in read_tensors(path).items()}
            landmarks = len(state["heat.bias"])
            self.topology = _TOPOLOGIES[landmarks]
            self.network = LandmarkNetwork(landmarks=landmarks)
            self.network.load_state_dict(state)
        except (ValueError, LookupError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise DetectorError(f"the landmark network {path} cannot be read ({reason}): install again") from None
        self.fingerprint = "embedded-" + hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        self.network.requires_grad_(requires_grad=False).eval().to(device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def detect(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → points [N, 2, L] in [0, 1] (x right, y down)."""
        return self.detect_with_features(images)[0]

    def detect_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns points as ``detect`` does, differentiably, and the network's deepest features [N, C, 8, 8]."""
        if images.shape[-2:] != (INPUT, INPUT):
            images = F.interpolate(images, size=(INPUT, INPUT), mode="area")
        points, features = self.network.with_features(images.clamp(-1, 1).contiguous(memory_format=torch.channels_last))
        return points.transpose(1, 2), features
