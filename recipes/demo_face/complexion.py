# SPDX-License-Identifier: Apache-2.0
"""Makes the skin of people who do not exist, from statistics of public-domain portraits (data/PROVENANCE.md).

On the head model's face texture, linear RGB: log(albedo + 0.01) = base(melanin) + mean + Σ zₖ·modeₖ + s·smile +
f·female + a·age + detail. Mean and modes contain no tone, exposure or white balance: tone is in the base alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from .parameters import Scene

STATISTICS = Path(__file__).parent / "data" / "skin_statistics_256.npz"
FINE = 512  # texels of the detail's side
CONTRAST = 1.12
Texture = NDArray[np.float32]  # [S, S, 3] log(albedo + 0.01)


class Complexion:
    """Paints textures of the size of the statistics; the fine detail, the same for everybody, has twice that size."""

    def __init__(self, path: Path = STATISTICS) -> None:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.size = int(arrays["size"])
        self._box = tuple(int(edge) for edge in arrays["box"])
        self._mean = self._unpack(arrays["mean_y"], arrays["mean_c"], arrays["mean_s"])
        self._smile, self._female, self._age = (
            self._unpack(arrays[f"{name}_y"], arrays[f"{name}_c"], arrays[f"{name}_s"])
            for name in ("smile", "female", "age")
        )
        packed = zip(arrays["modes_y"], arrays["modes_c"], arrays["modes_s"], strict=True)
        self._modes = np.stack([self._unpack(*mode) for mode in packed])
        self._tone = arrays["tone_by_melanin"].astype(np.float64)  # [33, 3]
        # Nostrils, the lips' inside and their corners are somewhat darker than what was painted over them.
        inner = gaussian_filter(arrays["inner"].astype(np.float32), 1.2)
        self._inner = inner[..., None] * np.array([0.25, 0.325, 0.3125], np.float32)
        self.detail = detail_of(arrays, self.size)

    def _unpack(self, lightness: NDArray[Any], hues: NDArray[Any], scales: NDArray[Any]) -> Texture:
        """Returns [S, S, 3] within the box, from int8 ``lightness`` at full and two ``hues`` at half resolution."""
        top, bottom, left, right = self._box
        y = lightness.astype(np.float32) * scales[0]
        c = zoom(hues.astype(np.float32) * scales[1], (2, 2, 1), order=1, grid_mode=True, mode="nearest")
        rgb = np.stack([y + c[..., 0], y + c[..., 1], y - c[..., 0] - c[..., 1]], axis=-1)
        whole = np.zeros((self.size, self.size, 3), np.float32)
        whole[top:bottom, left:right] = rgb
        return whole

    def base(self, melanin: float, redness: float) -> NDArray[np.float64]:
        """Returns [3] log(albedo + 0.01) of even skin."""
        place = melanin * (len(self._tone) - 1)
        below = min(int(place), len(self._tone) - 2)
        tone = self._tone[below] + (place - below) * (self._tone[below + 1] - self._tone[below])
        return tone + redness * np.array([0.05, -0.025, -0.035])

    def __call__(self, scene: Scene) -> Texture:
        """Returns the texture of a person, without the fine detail."""
        top, bottom, left, right = self._box
        box = np.s_[top:bottom, left:right]
        weights = scene.complexion.astype(np.float32)
        relief = self._mean[box] + np.tensordot(weights, self._modes[:, top:bottom, left:right], 1)
        smile, age = (
            0.4 * max(0.0, scene.expression["mouthSmile_L"] / 0.45),
            np.clip((scene.years - 58) / 10, -2.4, 1.8),
        )
        relief += np.float32(smile) * self._smile[box] + np.float32(1.1 * scene.woman - 0.55) * self._female[box]
        relief += np.float32(age) * self._age[box]
        # Sums that would look like gloss or holes are compressed.
        light = relief.mean(axis=2, keepdims=True)
        relief -= 0.8 * np.maximum(light - 0.13, 0) - 0.5 * np.maximum(-0.55 - light, 0)
        whole = np.zeros((self.size, self.size, 3), np.float32)
        whole[box] = CONTRAST * (1 - 0.10 * scene.melanin) * relief
        return (whole + self.base(scene.melanin, scene.redness) - self._inner).astype(np.float32)


def detail_of(arrays: dict[str, NDArray[Any]], size: int) -> NDArray[np.float32]:
    """Makes [FINE, FINE] of log albedo: pores, and noise with the portraits' spectrum and local strength, from no one's
    portrait."""
    random = np.random.default_rng(3)
    across = np.fft.fftfreq(size)
    frequency = np.hypot(across[:, None], across[None])
    spectrum = np.interp(frequency, np.arange(len(arrays["spectrum"])) / 32, arrays["spectrum"])
    noise = np.fft.ifft2(np.fft.fft2(random.standard_normal((size, size))) * spectrum).real
    strength = arrays["detail_std"].astype(np.float32) * float(arrays["detail_std_scale"])
    strength = zoom(strength, size / len(strength), order=3, grid_mode=True, mode="nearest").clip(0, 0.05)
    broad = zoom(0.55 * noise / noise.std() * strength, FINE / size, order=3, grid_mode=True, mode="nearest")
    pores = gaussian_filter(random.standard_normal((FINE, FINE)), 0.8)
    return (broad + 0.022 * pores / pores.std()).astype(np.float32)
