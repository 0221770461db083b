# SPDX-License-Identifier: Apache-2.0
"""Sharing a fit: a bundle as one file without the generator's weights, for a user who has the same generator.

The file is a zip archive of ``model.json``, which identifies the generator by its sha256 only, and of the bundle's own
tensors.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

from effigy_protocol.files import file_problem, is_file, parse_json, whole_file, whole_folder

from ..generators import GeneratorFileError
from ..zip_files import LongDirectoryError, open_zip
from .attributes import FILE as ATTRIBUTES
from .bundle import load_face_model
from .encoder import FILE as ENCODER
from .header import HEADER, BundleError, read_header, sha256
from .photo_map import FILE as PHOTO_MAP
from .regressors import CORRECTION

# The first must be there.
_TENSORS = (
    "model.safetensors",
    "appearance.safetensors",
    CORRECTION,
    PHOTO_MAP,
    ENCODER,
    ATTRIBUTES,
    "paper.safetensors",
)
_DATE = (2020, 1, 1, 0, 0, 0)  # of every entry, so that equal fits are equal files
_LARGEST = {HEADER: 16 << 20, **dict.fromkeys(_TENSORS, 512 << 20)}  # bytes
_DIRECTORY = 4096  # bytes of an archive's directory
_CHUNK = 1 << 20


def export_bundle(folder: Path, out: Path) -> None:
    """Writes the bundle in ``folder`` to the new file ``out``, without the generator. Raises BundleError, or
    OSError.
    """
    if out.exists():
        raise BundleError(f"{out} is there already: remove it, or write another")
    header = read_header(folder)
    header["generator"] = {"sha256": header["generator"]["sha256"]}
    entries = [(name, folder / name) for name in _TENSORS if is_file(folder / name)]
    with whole_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(HEADER, _DATE), json.dumps(header, indent=1))
        for name, path in entries:
            with path.open("rb") as source, archive.open(zipfile.ZipInfo(name, _DATE), "w") as entry:
                shutil.copyfileobj(source, entry, _CHUNK)


def add_bundle(file: Path, generator: Path, out: Path) -> None:
    """Creates the bundle ``out`` from a file that ``export_bundle`` wrote and from the user's own ``generator``.

    It is loaded once before it gets its name. Raises BundleError, GeneratorFileError or OSError.
    """
    if problem := file_problem(file, "exported bundle"):
        raise BundleError(problem)
    if problem := file_problem(generator, "generator"):
        raise GeneratorFileError(problem)
    if out.exists():
        raise BundleError(f"{out} is there already: choose another folder")
    with whole_folder(out) as partial:
        partial.mkdir(parents=True)
        header = _unpack(file, partial)
        wanted = header["generator"]["sha256"]
        if (found := sha256(generator)) != wanted:
            raise BundleError(
                f"{file} was fitted to another generator (sha256 {wanted[:12]}…) than {generator} ({found[:12]}…)"
            )
        header["generator"] = {"path": str(generator.resolve()), "sha256": wanted}
        (partial / HEADER).write_text(json.dumps(header, indent=1), encoding="utf-8")
        load_face_model(partial, "cpu")


def _unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Writes the tensors of ``file`` into ``folder`` and returns the header."""
    try:
        with file.open("rb") as stream, open_zip(stream, _DIRECTORY) as archive:
            for entry in archive.infolist():
                if entry.file_size > _LARGEST.get(entry.filename, -1) or entry.compress_type != zipfile.ZIP_STORED:
                    raise BundleError(f"{file} holds {entry.filename[:80]!r}, which no exported bundle does")
            header = _checked(parse_json(archive.read(HEADER).decode("utf-8")))
            for name in set(archive.namelist()) - {HEADER}:
                with archive.open(name) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target, _CHUNK)
    except (zipfile.BadZipFile, LongDirectoryError, KeyError, ValueError, EOFError, RuntimeError) as error:
        raise BundleError(f"{file} is not an exported bundle, or damaged ({str(error)[:100]}): get it again") from None
    return header


def _checked(header: Any) -> dict[str, Any]:
    reference = header.get("generator") if isinstance(header, dict) else None
    if not isinstance(reference, dict) or not isinstance(reference.get("sha256"), str):
        raise ValueError(f"its {HEADER} names no generator")
    return dict(header)
