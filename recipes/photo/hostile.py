# SPDX-License-Identifier: Apache-2.0
"""A thousand damaged networks and a thousand damaged or odd pictures: how many are refused, read, and what that takes.

    python recipes/photo/hostile.py [--count 1000]

Whatever is not refused in a sentence ends this with its traceback; whatever takes longer than a minute, by a signal.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import resource
import struct
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import effigy.landmarks.photo
from effigy.landmarks.photo import Face, PhotoReader, head
from effigy.picture_files import PictureFileError, decode_picture
from effigy.tflite import TFLiteError, TFLiteNetwork

_NETWORKS = Path(effigy.landmarks.photo.__file__).parent / "networks"
_PATIENCE_S = 60
_EXTREME = (0, 1, -1, 2**15, 2**16, 2**31 - 1, -(2**31), 0x7F7F7F7F)
_ODD = ((1, 1), (1, 700), (700, 1), (3, 2000), (2, 2), (2048, 2048))  # height and width


def damaged(intact: bytes, random: np.random.Generator, kind: int) -> bytes:
    """Returns a file with other bytes, a number of extreme size, cut short, or random in a part."""
    data = bytearray(intact)
    if kind == 0:
        for _ in range(random.integers(1, 8)):
            data[random.integers(len(data))] = random.integers(256)
    elif kind == 1:
        where = random.integers(0, len(data) - 4)
        data[where : where + 4] = struct.pack("<i", _EXTREME[random.integers(len(_EXTREME))])
    elif kind == 2:
        data = data[: random.integers(len(data))]
    else:
        start, end = sorted(random.integers(0, len(data), 2))
        data[start:end] = random.bytes(end - start)
    return bytes(data)


def networks(count: int) -> Iterator[bytes]:
    """Yields damaged copies of Effigy's networks; their beginnings, which describe them, are damaged most."""
    with zipfile.ZipFile(_NETWORKS / "face_landmarker.task") as archive:
        intact = [archive.read("face_detector.tflite"), archive.read("face_blendshapes.tflite")]
    random = np.random.default_rng(0)
    for number in range(count):
        whole = intact[number % len(intact)]
        if number % 3:
            yield damaged(whole, random, number % 4)
        else:
            ends = (whole[: len(whole) // 50], whole[-len(whole) // 20 :])  # where its tables are
            middle = whole[len(ends[0]) : -len(ends[1])]
            which = int(random.integers(2))
            yield b"".join((damaged(ends[0], random, which), middle, damaged(ends[1], random, which)))


def pictures(count: int) -> Iterator[bytes]:
    """Yields damaged PNG and JPEG files, and intact ones of noise, stripes and shapes that no camera makes."""
    random = np.random.default_rng(1)
    for number in range(count):
        height, width = _ODD[number % len(_ODD)] if number % 50 == 0 else random.integers(20, 200, 2)
        pixels: NDArray[np.uint8] = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
        if number % 5 == 1:
            pixels[:] = (np.arange(width) // 8 % 2 * 255)[None, :, None]
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG" if number % 2 else "JPEG")
        yield out.getvalue() if number % 4 == 0 or number % 50 == 0 else damaged(out.getvalue(), random, number % 4)


@torch.inference_mode()
def run_network(data: bytes) -> str:
    try:
        network = TFLiteNetwork(data)
    except TFLiteError:
        return "refused"
    network(torch.zeros(1, *network.input_shape[1:]))
    return "run"


def read_picture(data: bytes, reader: PhotoReader) -> str:
    try:
        faces: list[Face] = reader.read(decode_picture(data))
    except PictureFileError:
        return "refused"
    for face in faces:
        head(face.points)
    return "read" if faces else "no face in it"


def count_all(files: Iterator[bytes], use: Callable[[bytes], str]) -> str:
    """Uses every file; returns what became of them, and what that took."""
    became: Counter[str] = Counter()
    longest, before = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in files:
        began = time.process_time()
        faulthandler.dump_traceback_later(_PATIENCE_S, exit=True)
        became[use(data)] += 1
        longest = max(longest, time.process_time() - began)
    faulthandler.cancel_dump_traceback_later()
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    return f"{dict(became)}; at most {1e3 * longest:.0f} ms of a core each; {more} MiB more at the peak"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    print("networks:", count_all(networks(count), run_network), flush=True)
    reader = PhotoReader()
    reader.read(np.zeros((64, 64, 3), np.uint8))  # what it needs once
    print("pictures:", count_all(pictures(count), lambda data: read_picture(data, reader)), flush=True)


if __name__ == "__main__":
    main()
