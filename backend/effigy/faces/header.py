# SPDX-License-Identifier: Apache-2.0
"""The header of a bundle, ``model.json``: its formats, its checks, and the id that follows from it.

It holds: format, name, generator (a file of the folder or a path, with the sha256 that it must have), topology,
regressor, controls, pose range, the report of the fit, and the scale of a painted depth where there is one. From format
5 on ``appearance``: the networks that keep looks. From format 6 on ``correction``: how the regressor's output layer was
corrected by its own edits. A control may have ``shown`` (``fitting.showing``), which is 1 where it is absent.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from effigy_protocol.files import digest, file_problem, is_file, read_json, whole_file

from ..generators import GeneratorFileError
from .attributes import listed
from .looks import describe
from .regressors import describe_correction
from .replacing import complete, is_there

HEADER = "model.json"
FORMAT = 6
# Earlier formats that are read:
UNCORRECTED = 5  # the regressor is not corrected by its edits, and controls hold each other less
WITHOUT_LOOKS = 4  # besides, edits keep nothing of a face's looks
_READ = (WITHOUT_LOOKS, UNCORRECTED, FORMAT)
_REASON = 300  # characters


class BundleError(Exception):
    """A bundle that cannot be loaded; the message says what is wrong and what to do."""


def has_header(folder: Path) -> bool:
    """Returns whether ``folder`` holds a face model, damaged or not."""
    return is_there(folder, HEADER)


def read_header(folder: Path) -> dict[str, Any]:
    """Returns the header of the bundle in ``folder``, whose replacement is completed first where one was stopped.

    Raises BundleError where it is missing, damaged or too new.
    """
    path = folder / HEADER
    if not has_header(folder):
        raise BundleError(f"{folder} is not a face model (no model.json): choose a folder that 'effigy fit' wrote")
    try:
        complete(folder, HEADER)
    except OSError as error:
        raise BundleError(
            f"what was learnt last cannot be moved to its place in {folder} ({error}): make that writable"
        ) from None
    try:
        header = read_json(path)
        version = header["format"]
        if version in _READ:
            _check_reference(header["generator"])
        if version in (UNCORRECTED, FORMAT) and header["appearance"] is not None:
            describe(header["appearance"])
        if version == FORMAT and header["correction"] is not None:
            describe_correction(header["correction"])
        if header.get("attributes") is not None:
            listed(header["attributes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} is damaged ({str(error)[:_REASON]}): fit the bundle again") from None
    if version not in _READ:
        version, known = str(version)[:20], ", ".join(str(each) for each in _READ)
        raise BundleError(f"{folder} has bundle format {version}, this Effigy reads {known}: update it, or fit again")
    return dict(header)


def _check_reference(generator: dict[str, Any]) -> None:
    """Raises KeyError or ValueError unless the header names its generator by a file or path, and a checksum."""
    for name in ("sha256", "path" if "path" in generator else "file"):
        if not isinstance(generator[name], str):
            raise ValueError(f"its generator's {name} is no text")


def write_header(folder: Path, header: dict[str, Any]) -> None:
    """Writes ``model.json`` whole or not at all. Raises OSError."""
    with whole_file(folder / HEADER) as temporary:
        temporary.write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")


def in_format(header: dict[str, Any], version: int | None) -> dict[str, Any]:
    """Returns the header as the Effigy of the format ``version`` would have written it; None: as it is.

    Entries that an earlier format lacks are None, and its controls are taken to be shown whole.
    """
    if version is None:
        return header
    told = header | {"format": version} | {name: header.get(name) for name in ("appearance", "correction")}
    if version != FORMAT:
        told["controls"] = [{k: v for k, v in control.items() if k != "shown"} for control in header["controls"]]
    return told


def attribute_sources(folder: Path) -> dict[str, str]:
    """Returns where the attributes come from that the bundle in ``folder`` has learnt, by name.

    Returns none if it cannot be read.
    """
    try:
        entry = read_header(folder).get("attributes")
    except BundleError:
        return {}
    return {} if entry is None else {each["name"]: str(each.get("source", "")) for each in listed(entry)}


def fit_figures(folder: Path) -> dict[str, Any]:
    """Returns what the fit of the bundle reported, such as samples and errors; empty if nothing. Raises BundleError."""
    report = read_header(folder).get("report")
    return report if isinstance(report, dict) else {}


def generator_path(folder: Path, reference: dict[str, str]) -> Path:
    """Returns the file that a header's ``generator`` refers to.

    Raises BundleError for a name that leads out of the folder, and GeneratorFileError for a file that is missing there.
    """
    if "path" in reference:
        return Path(reference["path"])
    name = reference["file"]
    if Path(name).name != name:
        raise BundleError(f"the bundle {folder} names a generator outside of its folder: {name!r}")
    path = folder / name
    if not is_file(path):
        raise GeneratorFileError(f"there is no generator file {path}: restore it, or install Effigy again")
    return path


def model_id(folder: Path, version: int | None = None) -> str:
    """Returns the id of the face model in ``folder``, read in the format ``version`` (None: its own), unloaded.

    Raises BundleError or OSError.
    """
    return id_of(folder, in_format(read_header(folder), version))


def id_of(folder: Path, header: dict[str, Any]) -> str:
    """Returns the id of a model: 16 hexadecimal digits that depend on all that its pictures depend on.

    That is weights, shape model, regressor, correction, controls, limits, the networks that keep looks, and the format:
    whoever changes what edits give must raise the format, or earlier bakes would count as fresh. A bundle of an earlier
    format gives the pictures that it gave, so its id stays too. Raises OSError.
    """
    told = [header["format"], header["controls"], header["pose_range"], header["regressor"]]
    if header["format"] != WITHOUT_LOOKS:
        told.append(header["appearance"])
    if header["format"] == FORMAT:
        told.append(header["correction"])
    if "depth" in header:
        told.append(header["depth"])
    found = hashlib.sha256((header["generator"]["sha256"] + json.dumps(told, sort_keys=True)).encode())
    found.update((folder / "model.safetensors").read_bytes())
    return found.hexdigest()[:16]


def sha256(path: Path) -> str:
    """Returns the checksum of a file. Raises GeneratorFileError where it is missing, and OSError."""
    if problem := file_problem(path):
        raise GeneratorFileError(f"{problem}: put it back, or fit the bundle again")
    return digest(path)


def check_sha256(path: Path, wanted: str, mend: str) -> None:
    """Raises BundleError, which tells to ``mend`` it, unless the file is there with the checksum ``wanted``."""
    if problem := file_problem(path):
        raise BundleError(f"{problem}: {mend}")
    if sha256(path) != wanted:
        raise BundleError(f"{path} is damaged (its checksum is wrong): {mend}")
