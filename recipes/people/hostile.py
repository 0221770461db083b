# SPDX-License-Identifier: Apache-2.0
"""Hostile pictures and person files: whether any runs code, hangs, or takes memory without bound.

``python -m recipes.people.hostile [--count 150]``: so many of each. Pictures go as far as the first steps of an
inversion; person files are opened, painted with, and asked for their place in a photograph. Whatever is not refused in
a sentence ends this with its traceback, whatever takes longer than a minute by a signal. An audit hook counts programs
that are started, pickles that are read, and connections that are opened.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from effigy import api
from effigy.faces import FaceModel, LatentError
from effigy.faces.person import Person, PersonError
from effigy.faces.picture_reading import NoFaceError
from effigy.landmarks.photo import PhotoReader
from effigy.people import NoPlaceError, place_of
from effigy.people.making import make_person
from effigy.picture_files import PictureFileError
from effigy_protocol.person import quad_of
from effigy_protocol.record import made_from
from recipes.people.inputs import told
from recipes.photo.hostile import count_all, damaged
from recipes.photo.hostile import pictures as damaged_pictures

_FACE = Path(__file__).parents[2] / "tests" / "fixtures" / "photo" / "networks.npz"
_LAYER = "synthesis.b32.conv1.weight"
_STEPS = 3  # of an inversion
_WATCHED = ("os.exec", "os.fork", "os.posix_spawn", "os.system", "pickle.find_class", "socket.connect",
            "subprocess.Popen")  # fmt: skip
_EXTREMES = (np.inf, np.nan, 3e38, -3e38, 1e-40, 1e9)

started: list[str] = []


def _watch(event: str, _: tuple[object, ...]) -> None:
    if event in _WATCHED:
        started.append(event)


# --- pictures ----------------------------------------------------------------------------------------


def pictures(count: int) -> Iterator[bytes]:
    """Yields bombs and odd kinds of a photograph with a face, and damaged files of any kind."""
    face = Image.fromarray(np.load(_FACE)["face"])
    random = np.random.default_rng(2)
    odd = list(_odd(face))
    yield from odd
    whole = [
        _file(face, "PNG"), _file(face, "JPEG", quality=90), _file(face, "JPEG", progressive=True), _file(face, "WEBP"),
    ]  # fmt: skip
    rest = damaged_pictures(count)
    for number in range(count - len(odd)):
        yield damaged(whole[number // 2 % 4], random, number % 4) if number % 2 else next(rest)


def _odd(face: Image.Image) -> Iterator[bytes]:
    for mode in ("L", "LA", "P", "1", "CMYK", "YCbCr", "I;16", "RGBA"):
        if mode == "I;16":
            yield _file(Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257), "PNG")
        else:
            yield _file(face.convert(mode), "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    for orientation in (0, 3, 6, 9, 65535):
        exif = Image.Exif()
        exif[0x112] = orientation
        yield _file(face, "JPEG", exif=exif)
    yield _file(face, "JPEG", exif=b"Exif\0\0" + bytes(range(256)) * 100)
    yield _file(face, "PNG", icc_profile=bytes(1 << 20))
    texts = PngImagePlugin.PngInfo()
    texts.add_text("a bomb", "0" * (50 << 20), zip=True)
    yield _file(face, "PNG", pnginfo=texts)
    for width, height in ((65535, 65535), (2**31 - 1, 1), (8001, 8000), (0, 5), (65000, 900)):
        yield _header_alone(width, height)
    yield _file(face.resize((65000, 3)), "PNG")
    yield _file(face, "PNG", save_all=True, append_images=[face.rotate(90 * n) for n in range(20)])
    yield pickle.dumps(print)
    yield b"\x89PNG\r\n\x1a\n" * 1000
    yield b""


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _header_alone(width: int, height: int) -> bytes:
    """Returns a PNG that says it has so many pixels, and holds the beginning of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = chunk(b"IDAT", zlib.compress(bytes(1 << 22)))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def begin(model: FaceModel, reader: PhotoReader, data: bytes) -> str:
    """Takes a picture through the first steps of an inversion; returns what became of it."""
    try:
        for _ in islice(make_person(model, reader, data), _STEPS):
            pass
    except PictureFileError:
        return "refused"
    except NoFaceError:
        return "no face in it"
    return "begun"


# --- person files ------------------------------------------------------------------------------------


def persons(model: FaceModel, count: int) -> Iterator[bytes]:
    """Yields files of persons that ask for too much, and damaged files of one."""
    whole = _tuned(model)
    random = np.random.default_rng(3)
    odd = list(_too_much(whole))
    yield from odd
    data = whole.to_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    for number in range(count - len(odd)):
        if number % 2:  # the header suffers most
            header = damaged(data[8:start], random, number // 2 % 4)
            yield len(header).to_bytes(8, "little") + header + data[start:]
        else:
            yield damaged(data, random, number // 2 % 4)


def _tuned(model: FaceModel) -> Person:
    person = model.person(model.open_seed(5).ws.numpy()[:1], {"source": {"sha256": "0" * 64}, "provenance": []})
    rows, columns = _layer(model)
    deltas = {_LAYER: (torch.full((rows, 2), 1e-3), torch.full((2, columns), 1e-3))}
    quad = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    return replace(person, deltas=deltas, bias=np.zeros(len(model.open_seed(5).q)), quad=quad)


def _layer(model: FaceModel) -> tuple[int, int]:
    from effigy.generators import load_trainable

    assert model.generator_path is not None
    shape = dict(load_trainable(model.generator_path).named_parameters())[_LAYER].shape
    return shape[0], shape[1:].numel()


def _too_much(whole: Person) -> Iterator[bytes]:
    (up, down), bias, quad = whole.deltas[_LAYER], whole.bias, whole.quad
    assert bias is not None
    assert quad is not None
    for value in _EXTREMES:
        yield _bytes(replace(whole, ws=np.full_like(whole.ws, value)))
        yield _bytes(replace(whole, bias=np.full_like(bias, value)))
        yield _bytes(replace(whole, quad=np.full_like(quad, value)))
        yield _bytes(replace(whole, deltas={_LAYER: (torch.full_like(up, value), down)}))
    for ws in (np.zeros((0, 0)), np.zeros((1000, 1)), np.zeros((1, 10**6)), np.zeros(())):
        yield _bytes(replace(whole, ws=ws.astype(np.float32)))
    for one, other in ((up[:0], down), (up.expand(-1, 2).T, down), (torch.zeros(10**6, 1), torch.zeros(1, 10**6))):
        yield _bytes(replace(whole, deltas={_LAYER: (one, other)}))
    yield _bytes(replace(whole, deltas={f"synthesis.{n}": (up[:1], down[:, :1]) for n in range(2000)}))
    yield _bytes(replace(whole, deltas={"../../etc/passwd": (up, down)}))
    for picture in (_header_alone(65535, 65535), pickle.dumps(print), b"\0" * 1000):
        yield _bytes(replace(whole, picture=picture))
    large, negative = (
        f'{{"latent":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{size}]}}}}'
        for shape, size in (([2**20, 2**20], 2**42), ([-1], -4))
    )
    for header in (large, negative, "{" * 50_000, "[]", "null"):
        yield len(header).to_bytes(8, "little") + header.encode() + bytes(64)
    yield (2**63).to_bytes(8, "little") + b"{}"
    yield pickle.dumps(print)
    yield b""
    metadata = json.dumps({"effigy.person": json.dumps({"format": 1, "mixed": [[[]]] * 1000})})
    header = f'{{"__metadata__":{metadata}}}'
    yield len(header).to_bytes(8, "little") + header.encode()


def _bytes(person: Person) -> bytes:
    try:
        return person.to_bytes()
    except (PersonError, ValueError):
        return b"{"  # it cannot even be written


def open_one(model: FaceModel, data: bytes) -> str:
    """Reads a person's bytes wherever they are read; returns what became of them."""
    quad_of(data)
    made_from(data)
    try:
        who = model.open_latent(data)
        model.tuned_for(who).paint(model.edit(who, 10.0, 0.0, {"jawOpen": 0.5}).ws[None])
    except LatentError:
        return "refused"
    try:
        place_of(who, None)
    except (NoPlaceError, PictureFileError):
        return "opened, and has no place"
    return "opened"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--model", default="first-default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with told():
        model = api.load(given.model)
    reader = PhotoReader(model.generator.device)
    begin(model, reader, _file(Image.fromarray(np.load(_FACE)["face"]), "PNG"))  # what is needed once
    open_one(model, _tuned(model).to_bytes())
    sys.addaudithook(_watch)
    tries: list[tuple[str, Iterator[bytes], Callable[[bytes], str]]] = [
        ("persons", persons(model, given.count), lambda data: open_one(model, data)),
        ("pictures", pictures(given.count), lambda data: begin(model, reader, data)),
    ]
    for name, files, use in tries:
        files = iter(list(files))  # what makes them is not counted
        print(f"{name}: {count_all(files, use)}; {len(started)} executions {started[:3]}", flush=True)


if __name__ == "__main__":
    main()
