# SPDX-License-Identifier: Apache-2.0
"""The bundle: a face model on disk, a folder ``name.effigy`` in which nothing is executable.

| file | what |
|---|---|
| ``model.json`` | the header (see ``header``) |
| ``model.safetensors`` | shape model, controls, and the regressor as samples taught it |
| ``appearance.safetensors`` | the networks that keep looks, where there are any |
| ``correction.safetensors`` | the regressor's output layer as its edits corrected it, where that is better |
| ``photo.safetensors`` | how photographs show its controls, where it has learnt that |
| ``encoder.safetensors`` | the encoder at whose answer inversion starts, where it has learnt that |
| ``attributes.safetensors`` | directions in which looks change, where it has learnt some |
| ``paper.safetensors`` | the paper's regressor, to compare with (see ``paper``) |
| ``report/`` | plots and pictures of the fit |

Each tensor file has an entry in the header, with its checksum. What is written is replaced together (``replacing``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..editing.appearance import Appearance
from ..editing.correction import Corrected
from ..editing.regressor import Regressor
from ..generators import Generator, GeneratorFileError, PreviewPainter, load_generator
from ..geometry import GeometryError, ShapeModel, load_topology
from ..geometry.expressions import Expression, check_control_names
from ..tensor_files import is_out_of_memory, read_tensors, write_tensors
from .attributes import FILE as ATTRIBUTES_FILE
from .attributes import Attribute, listed, read_attributes, save_attributes
from .depth import depth_of
from .embedded import bundle_with_generator
from .encoder import FILE as ENCODER_FILE
from .encoder import Encoder, read_encoder
from .face import FaceModel
from .header import (
    FORMAT,
    HEADER,
    WITHOUT_LOOKS,
    BundleError,
    check_sha256,
    generator_path,
    id_of,
    in_format,
    read_header,
    sha256,
    write_header,
)
from .looks import FILE as LOOKS_FILE
from .looks import Looks, read_appearance
from .photo_map import FILE as PHOTO_FILE
from .photo_map import PhotoMap, read_photo_map
from .regressors import CORRECTION, apply_correction, arrays_of, describe, read_regressor, save_correction
from .replacing import replaced_together
from .welcome import check_model

LEARNT_LATER = ("photo", "encoder", "attributes")  # parts without which a bundle can be loaded, by entry of the header
_REASON = 300  # characters
_PUT_BACK = "put it back, or fit the bundle again"  # of parts without which nothing can be learnt
_DAMAGE = (
    OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError,
    GeometryError,
)  # fmt: skip


def load_face_model(
    folder: Path,
    device: str = "auto",
    *,
    fast_previews: bool = False,
    as_format: int | None = None,
    without: Collection[str] = (),
) -> FaceModel:
    """Loads the face model in ``folder`` onto ``device``: auto, cpu, cuda or mps. Raises BundleError.

    ``fast_previews`` prepares for many previews: the generator is recorded as a CUDA graph, or compiled in the
    background. ``as_format`` reads the bundle as the Effigy of that format did; None: in its own. ``without`` leaves
    out parts of LEARNT_LATER, which may be damaged, so that they can be learnt anew.
    """
    header = in_format(read_header(folder), as_format)
    header = {name: entry for name, entry in header.items() if name not in without}
    try:
        model = _load(folder, header, device, fast_previews=fast_previews)
        check_model(model)
        return model
    except GeneratorFileError as error:
        raise BundleError(str(error)) from None
    except _DAMAGE as error:
        if is_out_of_memory(error):
            where = "use --device cpu" if isinstance(error, torch.OutOfMemoryError) else "free some"
            raise BundleError(f"{folder} does not fit into the memory that is free: {where}") from None
        raise BundleError(f"the bundle {folder} is damaged ({_reason(error)}): fit it again") from None


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_REASON]


def _load(folder: Path, header: dict[str, Any], device: str, *, fast_previews: bool) -> FaceModel:
    """Puts the model together; raises whatever damaged files raise."""
    path = generator_path(folder, header["generator"])
    digest = sha256(path)
    if digest != header["generator"]["sha256"]:
        raise BundleError(
            f"{path} is not the generator that {folder} was fitted to "
            f"(sha256 {digest[:12]}…, wanted {header['generator']['sha256'][:12]}…): restore it, or fit again"
        )
    check_sha256(folder / "model.safetensors", header["model_sha256"], _PUT_BACK)
    arrays = read_tensors(folder / "model.safetensors")
    shape = ShapeModel(*(arrays[f"shape.{name}"].numpy().astype(np.float64) for name in ("mean", "basis", "noise")))
    controls = _read_controls(arrays, header)
    regressor = read_regressor(arrays, header["regressor"])
    _read_correction(folder, header, regressor)
    generator = load_generator(path, device, sha256=digest)
    return FaceModel(
        name=header["name"],
        model_id=id_of(folder, header),
        generator=generator,
        topology=load_topology(header["topology"]),
        shape=shape,
        regressor=regressor,
        controls=controls,
        pose_range=_read_pose_range(header["pose_range"]),
        appearance=_read_looks(folder, header, regressor),
        depth=depth_of(header.get("depth")),
        previews=PreviewPainter(generator, path, digest) if fast_previews else None,
        photo_map=_read_photos(folder, header),
        encoder=_read_encoder(folder, header, regressor, generator.device),
        generator_sha256=digest,
        generator_path=path,
        firm=header["format"] == FORMAT,
        attributes=_read_attributes(folder, header, generator),
    )


def save_face_model(
    folder: Path,
    header: dict[str, Any],
    shape: ShapeModel,
    regressor: Regressor,  # as samples taught it
    controls: list[Expression],
    looks: Looks | None,
    corrected: Corrected | None,
    generator: Path,
    generator_sha256: str,  # of the file that was fitted to; it may be another one by now, and is refused then
) -> None:
    """Writes a bundle into ``folder``; ``header`` has the entries that the other arguments do not give.

    A ``generator`` that lies in the folder is referred to by its name, any other by its path. A bundle that is there is
    replaced, or stays, whole. Raises OSError.
    """
    inside = generator.resolve().parent == folder.resolve()
    arrays = arrays_of(regressor)
    for name in ("mean", "basis", "noise"):
        arrays[f"shape.{name}"] = torch.from_numpy(getattr(shape, name)).float().contiguous()
    arrays["controls.directions"] = torch.from_numpy(np.stack([control.direction for control in controls])).float()
    arrays["controls.readings"] = torch.from_numpy(np.stack([control.reading for control in controls])).float()
    with replaced_together(folder, HEADER) as new:
        write_tensors(new / "model.safetensors", arrays)
        full = {
            "format": FORMAT,
            "generator": {
                "file" if inside else "path": generator.name if inside else str(generator.resolve()),
                "sha256": generator_sha256,
            },
            "model_sha256": sha256(new / "model.safetensors"),
            "regressor": describe(regressor),
            "controls": _ranges(controls),
            "appearance": _save_looks(new, looks),
            "correction": _save_correction(new, corrected),
            **header,
        }
        write_header(new, full)


def replace_learnt(
    folder: Path, looks: Looks | None, corrected: Corrected | None, controls: list[Expression] | None = None
) -> None:
    """Replaces the networks that keep looks, the correction, and the ranges of controls, of the bundle in ``folder``.

    What is None stays as it is, and so does an earlier correction where the new one is no better. Raises BundleError or
    OSError.
    """
    header = in_format(read_header(folder), FORMAT)
    with replaced_together(folder, HEADER) as new:
        if looks is not None:
            header["appearance"] = _save_looks(new, looks)
        if corrected is not None and corrected.is_better:
            header["correction"] = _save_correction(new, corrected)
        if controls is not None:
            header["controls"] = _ranges(controls)
        write_header(new, header)


def add_photo_map(folder: Path, photo_map: PhotoMap) -> None:
    """Puts ``photo_map`` into the bundle in ``folder``. Raises BundleError or OSError."""
    _replace_part(folder, "photo", PHOTO_FILE, photo_map.save, photo_map.entry())


def add_encoder(folder: Path, encoder: Encoder) -> None:
    """Puts ``encoder`` into the bundle in ``folder``. Raises BundleError or OSError."""
    _replace_part(folder, "encoder", ENCODER_FILE, encoder.save, encoder.entry())


def replace_attributes(folder: Path, attributes: list[Attribute]) -> None:
    """Replaces the attributes of the bundle in ``folder``. Raises BundleError or OSError."""
    before = read_header(folder).get("attributes") or {"attributes": [], "retired": []}
    known = {*before["retired"], *(each["name"] for each in before["attributes"])}
    retired = known - {each.name for each in attributes}
    entry = {"attributes": [each.entry() for each in attributes], "retired": sorted(retired)}
    _replace_part(folder, "attributes", ATTRIBUTES_FILE, partial(save_attributes, attributes=attributes), entry)


def _replace_part(
    folder: Path,
    name: str,  # of its entry in the header
    file: str,
    save: Callable[[Path], None],  # writes ``file`` into a folder
    entry: dict[str, Any],  # without the checksum
) -> None:
    """Replaces one of the parts that a bundle learns later. Raises BundleError or OSError."""
    header = read_header(folder)
    with replaced_together(folder, HEADER) as new:
        save(new)
        write_header(new, header | {name: {"sha256": sha256(new / file), **entry}})


def _save_looks(folder: Path, looks: Looks | None) -> dict[str, Any] | None:
    """Writes the networks that keep looks, if any; returns their entry in the header."""
    if looks is None:
        return None
    looks.save(folder)
    return {"sha256": sha256(folder / LOOKS_FILE), **looks.entry()}


def _save_correction(folder: Path, corrected: Corrected | None) -> dict[str, Any] | None:
    """Writes the corrected output layer where it is better; returns its entry in the header."""
    if corrected is None or not corrected.is_better:
        return None
    save_correction(folder, corrected.regressor)
    return {"sha256": sha256(folder / CORRECTION), **corrected.entry()}


def _ranges(controls: list[Expression]) -> list[dict[str, Any]]:
    """Returns the controls' entry in the header. Without ``shown`` it reads as the Effigy of before wrote it."""
    return [
        {"name": c.name, "group": c.group, "low": c.low, "high": c.high} | ({"shown": c.shown} if c.shown != 1 else {})
        for c in controls
    ]


def _read_pose_range(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or [type(reach) in (int, float) for reach in value] != [True, True]:
        raise ValueError(f"its pose range is {value!r:.40}, and not two numbers: degrees of yaw and of pitch")
    return value[0], value[1]


def _read_controls(arrays: dict[str, Tensor], header: dict[str, Any]) -> list[Expression]:
    controls = header["controls"]
    check_control_names([control["name"] for control in controls])
    for control, key in itertools.product(controls, ("low", "high", "shown")):
        if type(value := control.get(key, 1.0)) not in (int, float):
            raise ValueError(f"{key} of its control {control['name']} is {value!r:.40}, which is no number")
    directions, readings = (arrays[f"controls.{name}"].double().numpy() for name in ("directions", "readings"))
    return [
        Expression(c["name"], c["group"], direction, reading, c["low"], c["high"], c.get("shown", 1.0))
        for c, direction, reading in zip(controls, directions, readings, strict=True)
    ]


@contextmanager
def _part(path: Path, entry: dict[str, Any], mend: str) -> Iterator[None]:
    """Guards the reading of a part that ``effigy bundle`` ``mend`` learns anew: BundleErrors say so."""
    mend = f"learn it again with 'effigy bundle {mend}'"
    try:
        check_sha256(path, entry["sha256"], mend)
        yield
    except _DAMAGE as error:
        if is_out_of_memory(error):
            raise
        raise BundleError(f"{path} is damaged ({_reason(error)}): {mend}") from None


def _read_correction(folder: Path, header: dict[str, Any], regressor: Regressor) -> None:
    """Replaces the output layer of ``regressor``, in place, where the bundle has a correction."""
    if header["format"] != FORMAT or header["correction"] is None:
        return
    check_sha256(folder / CORRECTION, header["correction"]["sha256"], _PUT_BACK)
    apply_correction(folder, regressor)


def _read_looks(folder: Path, header: dict[str, Any], regressor: Regressor) -> Appearance | None:
    if header["format"] == WITHOUT_LOOKS or header["appearance"] is None:
        return None
    check_sha256(folder / LOOKS_FILE, header["appearance"]["sha256"], _PUT_BACK)
    return read_appearance(folder, header["appearance"], len(regressor.typical))


def _read_photos(folder: Path, header: dict[str, Any]) -> PhotoMap | None:
    if (entry := header.get("photo")) is None:
        return None
    with _part(folder / PHOTO_FILE, entry, "learn-photos"):
        return read_photo_map(folder, entry, tuple(control["name"] for control in header["controls"]))


def _read_encoder(folder: Path, header: dict[str, Any], regressor: Regressor, device: torch.device) -> Encoder | None:
    if (entry := header.get("encoder")) is None:
        return None
    networks = bundle_with_generator(header["generator"]["sha256"])
    with _part(folder / ENCODER_FILE, entry, "learn-people"):
        return read_encoder(folder, entry, len(regressor.whitening.basis), networks, device)


def _read_attributes(folder: Path, header: dict[str, Any], generator: Generator) -> list[Attribute]:
    if (entry := header.get("attributes")) is None or not listed(entry):
        return []
    controls = [control["name"] for control in header["controls"]]
    with _part(folder / ATTRIBUTES_FILE, entry, "learn-attributes"):
        return read_attributes(folder, entry, generator.num_ws, generator.w_dim, controls)
