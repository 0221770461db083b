# SPDX-License-Identifier: Apache-2.0
"""Compares our PNG writer with Pillow's: milliseconds and bytes for one enlarged picture of the embedded default.

python recipes/bench/png.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import imageio.v3 as iio
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.service.encode import png

ROUNDS = 8


def main() -> None:
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    face = torch.from_numpy(model.paint(model.open_seed(1).ws[None])).permute(0, 3, 1, 2).float()
    for size in (128, 256, 1024):
        enlarged = F.interpolate(face, size=(size, size), mode="bicubic").clamp(0, 255).round()
        picture = np.ascontiguousarray(enlarged[0].permute(1, 2, 0).byte().numpy())
        ways = {"ours": partial(png, picture)}
        ways |= {f"Pillow, level {level}": partial(pillow, picture, level) for level in (1, 6)}
        for name, write in ways.items():
            print(f"{size:5} {name:16} {least(write):7.2f} ms {len(write()):9} bytes")


def pillow(picture: NDArray[np.uint8], level: int) -> bytes:
    return bytes(iio.imwrite("<bytes>", picture, extension=".png", compress_level=level))


def least(write: Callable[[], bytes]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        write()
        times.append(1e3 * (time.perf_counter() - start))
    return min(times)


if __name__ == "__main__":
    main()
