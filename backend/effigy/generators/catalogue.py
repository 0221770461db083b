# SPDX-License-Identifier: Apache-2.0
"""The public generators of the paper: where their publishers offer them, and under which licence.

Effigy ships none of them. An interrupted download resumes. The checksum of the first download is recorded, and later
downloads of the same name must have the same one.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError

import platformdirs

from effigy_protocol.files import digest, is_file, read_json, whole_file

from .checkpoints import GeneratorFileError, open_checkpoint

_NVIDIA = "https://api.ngc.nvidia.com/v2/models/nvidia/research"
_NVIDIA_TERMS = (
    "NVIDIA Source Code License: for non-commercial use (research, evaluation) only, "
    "https://github.com/NVlabs/stylegan3/blob/main/LICENSE.txt. Trained on FFHQ (CC BY-NC-SA 4.0)."
)
_CHUNK = 1 << 20
_TIMEOUT_S = 30


class FetchError(Exception):
    """A download that did not succeed; the message says what to fetch by hand and where to put it."""


class _WrongContentError(FetchError):
    """What was sent is something else: it is of no use."""


@dataclass(frozen=True, slots=True)
class PublicGenerator:
    """A generator that its publisher offers for download."""

    name: str
    address: str
    suffix: str
    paints: str
    licence: str
    terms: str
    landmarks: str  # the detector that fits its pictures; none where faces are too small

    def path(self) -> Path:
        """Returns where its file is kept on this machine."""
        return models_folder() / f"{self.name}{self.suffix}"


def _nvidia(name: str, collection: str, paints: str, landmarks: str = "face-alignment") -> PublicGenerator:
    address = f"{_NVIDIA}/{collection}/versions/1/files/{name}.pkl"
    return PublicGenerator(name, address, ".pkl", paints, "NVIDIA, non-commercial", _NVIDIA_TERMS, landmarks)


CATALOGUE = {
    model.name: model
    for model in (
        _nvidia("stylegan2-ffhq-256x256", "stylegan2", "faces, 256 × 256"),
        _nvidia("stylegan2-ffhq-1024x1024", "stylegan2", "faces, 1024 × 1024"),
        _nvidia("stylegan3-r-ffhqu-256x256", "stylegan3", "faces, unaligned, 256 × 256", "face_landmarker.task"),
        _nvidia("stylegan3-r-ffhq-1024x1024", "stylegan3", "faces, 1024 × 1024"),
        PublicGenerator(
            "stylegan_human_v2_512",
            "https://drive.usercontent.google.com/download?id=1dlFEHbu-WzQWJl7nBBZYcTyo000H9hVm&export=download&confirm=t",
            ".pkl",
            "people, whole, 256 × 512",
            "StyleGAN-Human, non-commercial",
            "Licence of the StyleGAN-Human authors and of NVIDIA: non-commercial, "
            "https://github.com/stylegan-human/StyleGAN-Human.",
            "",
        ),
    )
}


def models_folder() -> Path:
    """Returns the folder of fetched generators; the variable ``EFFIGY_MODELS`` names another one."""
    return Path(os.environ.get("EFFIGY_MODELS") or Path(platformdirs.user_data_dir("effigy")) / "models")


def generator_file(name: str) -> Path:
    """Returns the file that a user means by ``name``: a path, or a public generator.

    Raises GeneratorFileError for a public generator that was not fetched.
    """
    model = CATALOGUE.get(name) or next((m for m in CATALOGUE.values() if m.path().name == name), None)
    if model is None or is_file(Path(name)):
        return Path(name)
    if not model.path().is_file():
        raise GeneratorFileError(f"{model.name} is not here yet: effigy generators fetch {model.name}")
    return model.path()


def fetch(model: PublicGenerator, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Downloads ``model`` unless its file is here; returns its path. Raises FetchError.

    A file that a user has put there counts as the first download, or must have the checksum of that.
    """
    path = model.path()
    part = path.with_name(path.name + ".part")
    if path.is_file():
        _check(model, path)
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(model.address, part, progress)
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException, SSLError) as error:
        reason = getattr(error, "reason", error)
        raise FetchError(
            f"{model.address} cannot be reached ({reason}): run this again to resume, or download it elsewhere "
            f"and put it at {path}"
        ) from None
    except OSError as error:
        raise FetchError(f"{part} cannot be written ({error}): make room, or set EFFIGY_MODELS") from None
    try:
        _check(model, part)
        part.replace(path)
    except _WrongContentError:
        part.unlink()
        _edition(part).unlink(missing_ok=True)
        raise
    except OSError as error:
        raise FetchError(f"{path} cannot be written ({error}): make room, or set EFFIGY_MODELS") from None
    _edition(part).unlink(missing_ok=True)
    return path


def _edition(part: Path) -> Path:
    """Returns the file that keeps the publisher's mark (ETag) of what is being downloaded."""
    return part.with_name(part.name + ".etag")


def _download(address: str, part: Path, progress: Callable[[int, int], None]) -> None:
    done = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    if done and _edition(part).is_file():  # if it was published anew meanwhile, all of it is sent
        headers["If-Range"] = _edition(part).read_text(encoding="utf-8")
    request = urllib.request.Request(address, headers=headers)  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310  addresses are ours
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing
            return
        raise
    # A server that sends another part than was asked for, or all of it, begins anew.
    goes_on = response.status == 206 and str(response.headers.get("Content-Range")).startswith(f"bytes {done}-")
    if response.status == 206 and not goes_on:
        part.unlink()
        raise ConnectionError("the publisher sent another part than was asked for")
    mark = response.headers.get("ETag") or ""
    if mark and not mark.startswith("W/"):  # a weak one says nothing about single bytes
        _edition(part).write_text(mark, encoding="utf-8")
    else:
        _edition(part).unlink(missing_ok=True)
    with response, part.open("ab" if goes_on else "wb") as file:
        done = file.tell()
        announced = response.headers.get("Content-Length") or ""
        total = done + (int(announced) if announced.isdecimal() else 0)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress(done, max(total, done))
    if done < total:
        raise ConnectionError(f"it broke off after {done} of {total} bytes")


def _check(model: PublicGenerator, path: Path) -> None:
    """Checks that it is a generator, with the checksum that was recorded on the first download (which this may be)."""
    try:
        with open_checkpoint(path):
            pass
    except GeneratorFileError as error:
        raise _WrongContentError(
            f"this is not what {model.address} should send ({error}): download it by hand to {model.path()}"
        ) from None
    record = models_folder() / "checksums.json"
    try:
        found = digest(path)
        known = read_json(record) if record.is_file() else {}
        if not isinstance(known, dict):
            raise ValueError
        if known.setdefault(model.name, found) != found:
            raise _WrongContentError(
                f"{path} is not what was fetched before (sha256 {found[:12]}…, recorded "
                f"{str(known[model.name])[:12]}…): remove it and fetch again, or, if its publisher has changed it, "
                f"remove its line from {record}"
            )
        with whole_file(record) as temporary:
            temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    except ValueError:
        raise FetchError(f"{record} is damaged: remove it") from None
    except OSError as error:
        raise FetchError(f"{record} cannot be written ({error}): make room, or set EFFIGY_MODELS") from None
