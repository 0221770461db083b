# SPDX-License-Identifier: Apache-2.0
"""The bundle: a face model on disk, a folder ``name.effigy`` in which nothing is executable.

``model.json``: format, name, generator (a file of the folder, or a path and the sha256 that it must have),
topology, regressor, controls, pose range, the training report, what a painted depth means where there is one, from
format 5 on what is known of the heads that hold looks, and from format 6 on how edits corrected the regressor.
``model.safetensors``: shape model and regressor, as samples taught them. ``appearance.safetensors``: those heads, where
there are any. ``correction.safetensors``: what the correction replaces, where it made edits better. Optional:
``photo.safetensors``, what readings of photographs mean, and ``encoder.safetensors``, from where pictures are inverted,
each with an entry of the header; ``paper.safetensors``, the paper's regressor; ``report/``, what the fit looks like.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ..editing.appearance import Appearance
from ..editing.correction import Corrected
from ..editing.regressor import Regressor
from ..files import file_problem, is_file, parse_json, read_json, whole_file
from ..generators import GeneratorFileError, PreviewPainter, load_generator
from ..generators.catalogue import generator_file
from ..geometry import ShapeModel, load_topology
from ..geometry.expressions import Expression
from ..tensor_files import is_out_of_memory, read_tensors, write_tensors
from .depth import depth_of
from .encoder import FILE as ENCODER_FILE
from .encoder import Encoder, read_encoder
from .face import FaceModel
from .looks import FILE as LOOKS_FILE
from .looks import Looks, describe, read_appearance
from .photo_map import FILE as PHOTO_FILE
from .photo_map import PhotoMap, read_photo_map
from .regressors import CORRECTION, apply_correction, arrays_of, describe_correction, read_regressor, save_correction
from .regressors import describe as describe_regressor
from .welcome import check_model

FORMAT = 6
# The formats before, which are read:
UNCORRECTED = 5  # edits did not correct the regressor, and controls hold each other less
WITHOUT_LOOKS = 4  # nor do they hold anything of a face's looks
_READ = (WITHOUT_LOOKS, UNCORRECTED, FORMAT)
_REASON = 300  # characters
DEFAULT_BUNDLE = Path(__file__).parent / "default.effigy"
FIRST_BUNDLE = Path(__file__).parent / "first-default.effigy"  # the default before
if not FIRST_BUNDLE.is_dir():  # it still is the default
    FIRST_BUNDLE = DEFAULT_BUNDLE
_NAMED = {"default": DEFAULT_BUNDLE, "first-default": FIRST_BUNDLE}


class BundleError(Exception):
    """A bundle that cannot be loaded; the message says what is wrong and what to do."""


def resolve_bundle(name: str) -> Path:
    """The folder that ``name`` means: "default" or "first-default" is an embedded one, anything else a path."""
    if name in _NAMED:
        return _NAMED[name]
    try:
        return Path(name).expanduser()
    except RuntimeError:  # the home of a user who is not there
        return Path(name)


def is_bundle(name: str) -> bool:
    """Whether ``name`` means a face model, damaged or not."""
    return is_file(resolve_bundle(name) / "model.json")


def generator_of(name: str) -> Path:
    """The generator that a user means: a face model's own ("default", or a bundle's folder), else ``generator_file``'s.

    Raises GeneratorFileError or BundleError.
    """
    if not is_bundle(name):
        return generator_file(name)
    folder = resolve_bundle(name)
    return _generator_path(folder, read_header(folder)["generator"])


def embedded_bundle(generator: Path) -> Path | None:
    """The embedded bundle that this file is the generator of, whose people its networks know; None for any other file.

    One that is not there is none. Raises BundleError.
    """
    return _knows_people_of(sha256(generator)) if is_file(generator) else None


def _knows_people_of(generator_sha256: str) -> Path | None:
    known = (folder for folder in _NAMED.values() if read_header(folder)["generator"]["sha256"] == generator_sha256)
    return next(known, None)


def embedded_detector(folder: Path) -> Path:
    """Of the embedded detectors that which finds the landmarks of the bundle in ``folder``, else the default's.

    Raises BundleError.
    """
    if folder in _NAMED.values():
        return folder / "detector.safetensors"
    topology = read_header(folder)["topology"] if is_file(folder / "model.json") else None
    fit = (bundle for bundle in _NAMED.values() if read_header(bundle)["topology"] == topology)
    return next(fit, DEFAULT_BUNDLE) / "detector.safetensors"


def load_face_model(
    folder: Path, device: str = "auto", *, fast_previews: bool = False, as_format: int | None = None
) -> FaceModel:
    """The face model in ``folder``; raises BundleError.

    With ``fast_previews`` it prepares for many of them: it records or compiles the generator. ``as_format``: as it is
    in another format.
    """
    header = _as_format(read_header(folder), as_format)
    try:
        generator_path = _generator_path(folder, header["generator"])
        digest = sha256(generator_path)
        if digest != header["generator"]["sha256"]:
            raise BundleError(
                f"{generator_path} is not the generator that {folder} was fitted to "
                f"(sha256 {digest[:12]}…, wanted {header['generator']['sha256'][:12]}…): restore it, or fit again"
            )
        _check(folder / "model.safetensors", header["model_sha256"], "fit the bundle again")
        arrays = read_tensors(folder / "model.safetensors")
        shape = ShapeModel(*(arrays[f"shape.{name}"].numpy().astype(np.float64) for name in ("mean", "basis", "noise")))
        controls = [
            Expression(c["name"], c["group"], direction, reading, c["low"], c["high"])
            for c, direction, reading in zip(
                header["controls"],
                arrays["controls.directions"].double().numpy(),
                arrays["controls.readings"].double().numpy(),
                strict=True,
            )
        ]
        regressor = read_regressor(arrays, header["regressor"])
        _read_correction(folder, header, regressor)
        generator = load_generator(generator_path, device)
        model = FaceModel(
            name=header["name"],
            model_id=_model_id(folder, header),
            generator=generator,
            topology=load_topology(header["topology"]),
            shape=shape,
            regressor=regressor,
            controls=controls,
            pose_range=(header["pose_range"][0], header["pose_range"][1]),
            appearance=_read_looks(folder, header, regressor),
            depth=depth_of(header.get("depth")),
            previews=PreviewPainter(generator, generator_path) if fast_previews else None,
            photo_map=_read_photos(folder, header),
            encoder=_read_encoder(folder, header, regressor, generator.device),
            generator_sha256=digest,
            generator_path=generator_path,
            firm=header["format"] == FORMAT,
        )
        check_model(model)
        return model
    except GeneratorFileError as error:
        raise BundleError(str(error)) from None
    except (
        OSError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
        MemoryError,
    ) as error:
        if is_out_of_memory(error):
            where = "use --device cpu" if isinstance(error, torch.OutOfMemoryError) else "free some"
            raise BundleError(f"{folder} does not fit into the memory that is free: {where}") from None
        reason = f"{type(error).__name__}: {error}"[:_REASON]
        raise BundleError(f"the bundle {folder} is damaged ({reason}): fit it again") from None


def save_face_model(
    folder: Path,
    header: dict[str, Any],
    shape: ShapeModel,
    regressor: Regressor,  # as samples taught it
    controls: list[Expression],
    looks: Looks | None,
    corrected: Corrected | None,
    generator_path: Path,
) -> None:
    """Writes the bundle's files into ``folder``; the header last, which completes it."""
    folder.mkdir(parents=True, exist_ok=True)
    inside = generator_path.resolve().parent == folder.resolve()
    arrays = arrays_of(regressor)
    for name in ("mean", "basis", "noise"):
        arrays[f"shape.{name}"] = torch.from_numpy(getattr(shape, name)).float().contiguous()
    arrays["controls.directions"] = torch.from_numpy(np.stack([control.direction for control in controls])).float()
    arrays["controls.readings"] = torch.from_numpy(np.stack([control.reading for control in controls])).float()
    write_tensors(folder / "model.safetensors", arrays)
    full = {
        "format": FORMAT,
        "generator": {
            "file" if inside else "path": generator_path.name if inside else str(generator_path.resolve()),
            "sha256": sha256(generator_path),
        },
        "model_sha256": sha256(folder / "model.safetensors"),
        "regressor": describe_regressor(regressor),
        "controls": [{"name": c.name, "group": c.group, "low": c.low, "high": c.high} for c in controls],
        "appearance": _save_looks(folder, looks),
        "correction": _save_correction(folder, corrected),
        **header,
    }
    _write_header(folder, full)


def replace_learnt(folder: Path, looks: Looks | None, corrected: Corrected | None) -> None:
    """Puts heads and a correction into the bundle in ``folder``, what of them is there; raises BundleError."""
    header = _as_format(read_header(folder), FORMAT)
    if looks is not None:
        header["appearance"] = _save_looks(folder, looks)
    if corrected is not None and corrected.is_better:  # otherwise an earlier correction stays
        header["correction"] = _save_correction(folder, corrected)
    _write_header(folder, header)


def add_photo_map(folder: Path, photo_map: PhotoMap) -> None:
    """Puts what readings of photographs mean into the bundle in ``folder``. Raises BundleError or OSError."""
    header = read_header(folder)
    photo_map.save(folder)
    _write_header(folder, header | {"photo": {"sha256": sha256(folder / PHOTO_FILE), **photo_map.entry()}})


def add_encoder(folder: Path, encoder: Encoder) -> None:
    """Puts what pictures are inverted from into the bundle in ``folder``. Raises BundleError or OSError."""
    header = read_header(folder)
    encoder.save(folder)
    _write_header(folder, header | {"encoder": {"sha256": sha256(folder / ENCODER_FILE), **encoder.entry()}})


def fit_figures(folder: Path) -> dict[str, Any]:
    """What the fit of the bundle said of itself: samples, errors; empty where it says nothing. Raises BundleError."""
    report = read_header(folder).get("report")
    return report if isinstance(report, dict) else {}


def _save_looks(folder: Path, looks: Looks | None) -> dict[str, Any] | None:
    """Writes the heads, if any; returns the header's entry."""
    if looks is None:
        return None
    looks.save(folder)
    return {"sha256": sha256(folder / LOOKS_FILE), **looks.entry()}


def _save_correction(folder: Path, corrected: Corrected | None) -> dict[str, Any] | None:
    """Writes what edits taught, where that made them better; returns the header's entry."""
    if corrected is None or not corrected.is_better:
        return None
    save_correction(folder, corrected.regressor)
    return {"sha256": sha256(folder / CORRECTION), **corrected.entry()}


def _read_correction(folder: Path, header: dict[str, Any], regressor: Regressor) -> None:
    """Corrects a regressor as samples taught it."""
    if header["format"] != FORMAT or header["correction"] is None:
        return
    _check(folder / CORRECTION, header["correction"]["sha256"], "learn it again with 'effigy bundle refine'")
    apply_correction(folder, regressor)


def _read_looks(folder: Path, header: dict[str, Any], regressor: Regressor) -> Appearance | None:
    if header["format"] == WITHOUT_LOOKS or header["appearance"] is None:
        return None
    _check(folder / LOOKS_FILE, header["appearance"]["sha256"], "learn it again with 'effigy bundle refine'")
    return read_appearance(folder, header["appearance"], len(regressor.typical))


def _read_photos(folder: Path, header: dict[str, Any]) -> PhotoMap | None:
    if (entry := header.get("photo")) is None:
        return None
    _check(folder / PHOTO_FILE, entry["sha256"], "learn it again with 'effigy bundle learn-photos'")
    return read_photo_map(folder, entry, tuple(control["name"] for control in header["controls"]))


def _read_encoder(folder: Path, header: dict[str, Any], regressor: Regressor, device: torch.device) -> Encoder | None:
    if (entry := header.get("encoder")) is None:
        return None
    _check(folder / ENCODER_FILE, entry["sha256"], "learn it again with 'effigy bundle learn-people'")
    networks = _knows_people_of(header["generator"]["sha256"])
    return read_encoder(folder, entry, len(regressor.whitening.basis), networks, device)


def _check(path: Path, wanted: str, mend: str) -> None:
    if sha256(path) != wanted:
        raise BundleError(f"{path} is damaged (its checksum is wrong): {mend}")


def _write_header(folder: Path, header: dict[str, Any]) -> None:
    with whole_file(folder / "model.json") as temporary:
        temporary.write_text(json.dumps(header, indent=2) + "\n", encoding="utf-8")


def read_header(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    if not is_file(path):
        raise BundleError(f"{folder} is not a face model (no model.json): choose a folder that 'effigy fit' wrote")
    try:
        header = read_json(path)
        version = header["format"]
        if version in _READ:
            _check_reference(header["generator"])
        if version in (UNCORRECTED, FORMAT) and header["appearance"] is not None:
            describe(header["appearance"])
        if version == FORMAT and header["correction"] is not None:
            describe_correction(header["correction"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{path} is damaged ({str(error)[:_REASON]}): fit the bundle again") from None
    if version not in _READ:
        version, known = str(version)[:20], ", ".join(str(each) for each in _READ)
        raise BundleError(f"{folder} has bundle format {version}, this Effigy reads {known}: update it, or fit again")
    return dict(header)


def _check_reference(generator: dict[str, Any]) -> None:
    """Raises unless a header names its generator: a file of the folder or a path, and a checksum."""
    for name in ("sha256", "path" if "path" in generator else "file"):
        if not isinstance(generator[name], str):
            raise ValueError(f"its generator's {name} is no text")


def _generator_path(folder: Path, reference: dict[str, str]) -> Path:
    if "path" in reference:
        return Path(reference["path"])
    name = reference["file"]
    if Path(name).name != name:
        raise BundleError(f"the bundle {folder} names a generator outside of its folder: {name!r}")
    path = folder / name
    if not is_file(path):
        raise GeneratorFileError(f"there is no generator file {path}: restore it, or install Effigy again")
    return path


def save_paper_regressor(folder: Path, regressor: Regressor) -> None:
    """Puts the paper's regressor beside ours, in float16: it only serves to compare. Belongs to the model there."""
    description = {
        "regressor": json.dumps(describe_regressor(regressor)),
        "model_sha256": sha256(folder / "model.safetensors"),
    }
    write_tensors(folder / "paper.safetensors", {k: v.half() for k, v in arrays_of(regressor).items()}, description)


def load_paper_regressor(folder: Path) -> Regressor | None:
    """The paper's regressor, if the bundle in ``folder`` was fitted with one; raises BundleError."""
    path = folder / "paper.safetensors"
    if not is_file(path):
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        if metadata["model_sha256"] != sha256(folder / "model.safetensors"):
            return None  # left from an earlier fit
        return read_regressor(read_tensors(path), parse_json(metadata["regressor"]))
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"[:_REASON]
        raise BundleError(f"{path} is damaged ({reason}): remove it, or fit again") from None


def model_id(folder: Path, as_format: int | None = None) -> str:
    """The id of the face model in ``folder``, without loading it. Raises BundleError or OSError."""
    return _model_id(folder, _as_format(read_header(folder), as_format))


def _as_format(header: dict[str, Any], as_format: int | None) -> dict[str, Any]:
    """A header as another Effigy would have written it: what an earlier one did not know of, edits do without."""
    if as_format is None:
        return header
    return header | {"format": as_format} | {name: header.get(name) for name in ("appearance", "correction")}


def _model_id(folder: Path, header: dict[str, Any]) -> str:
    """Identifies what the pictures depend on: weights, shape model, regressor, correction, controls, limits and heads.

    And the format: whoever changes what an edit leads to raises it, or bakes of before would pass as fresh. Edits with
    a bundle of an earlier format lead where they led, so it keeps its name.
    """
    told = [header["format"], header["controls"], header["pose_range"], header["regressor"]]
    if header["format"] != WITHOUT_LOOKS:
        told.append(header["appearance"])
    if header["format"] == FORMAT:
        told.append(header["correction"])
    if "depth" in header:
        told.append(header["depth"])
    digest = hashlib.sha256((header["generator"]["sha256"] + json.dumps(told, sort_keys=True)).encode())
    digest.update((folder / "model.safetensors").read_bytes())
    return digest.hexdigest()[:16]


def sha256(path: Path) -> str:
    """The checksum by which a bundle knows its files; raises GeneratorFileError when one is missing."""
    if problem := file_problem(path):
        raise GeneratorFileError(f"{problem}: put it back, or fit the bundle again")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
