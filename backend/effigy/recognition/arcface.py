# SPDX-License-Identifier: Apache-2.0
"""ArcFace for photographs: the IR-SE50 network whose weights a user brings (``model_ir_se50.pth``).

Deng et al., *ArcFace: Additive Angular Margin Loss for Deep Face Recognition*, CVPR 2019; squeeze and
excitation after Hu et al., CVPR 2018. Module names are those of the published weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effigy_protocol.files import digest, file_problem

from ..weight_files import read_weights
from .embedder import IdentityFileError

INPUT = 112  # pixels
# The part of an FFHQ-aligned picture that is an ArcFace crop, as shares of its size.
_ROWS, _COLUMNS = (35 / 256, 223 / 256), (32 / 256, 220 / 256)
_STAGES = ((64, 64, 3), (64, 128, 4), (128, 256, 14), (256, 512, 3))  # channels in, out, units
_SQUEEZE = 16


class SqueezeExcite(nn.Module):
    """Scales every channel by a function of the channels' means over the picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _SQUEEZE, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // _SQUEEZE, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))))


class Unit(nn.Module):
    """A residual unit, normalised before its first convolution; ``stride`` shrinks the picture."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = None
        if channels_in != channels_out:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False),
            nn.PReLU(channels_out),
            nn.Conv2d(channels_out, channels_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            SqueezeExcite(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride] if self.shortcut_layer is None else self.shortcut_layer(x)
        result: Tensor = self.res_layer(x) + shortcut
        return result


class IRSE50(nn.Module):
    """[N, 3, 112, 112] in [−1, 1] → [N, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        units = []
        for channels_in, channels_out, count in _STAGES:
            units.append(Unit(channels_in, channels_out, 2))
            units += [Unit(channels_out, channels_out, 1) for _ in range(count - 1)]
        self.body = nn.Sequential(*units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512), nn.Dropout(), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512)
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.output_layer(self.body(self.input_layer(x)))
        return result


class ArcFace:
    """Implements ``effigy.recognition.Embedder`` for FFHQ-aligned photographs."""

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        """Reads the weights without running anything in the file; raises IdentityFileError."""
        if problem := file_problem(path):
            raise IdentityFileError(f"{problem}: give ArcFace's model_ir_se50.pth, or embedded")
        self.network = IRSE50()
        try:
            self.fingerprint = "arcface-" + digest(path)[:16]
            self.network.load_state_dict(read_weights(path))
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise IdentityFileError(
                f"{path} is not ArcFace's IR-SE50 ({reason}): give its model_ir_se50.pth, or embedded"
            ) from None
        self.network.requires_grad_(requires_grad=False).eval().to(device)

    def embed(self, images: Tensor) -> Tensor:
        """Pictures [N, 3, H, W] in [−1, 1] → unit vectors [N, 512]; differentiable."""
        height, width = images.shape[-2:]
        top, bottom = (round(share * height) for share in _ROWS)
        left, right = (round(share * width) for share in _COLUMNS)
        crop = images[..., top:bottom, left:right].clamp(-1, 1)
        small = F.interpolate(crop, size=(INPUT, INPUT), mode="bilinear", antialias=True, align_corners=False)
        return F.normalize(self.network(small), dim=1)
