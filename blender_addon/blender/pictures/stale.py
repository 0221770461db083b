# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether baked pictures are still what the scene asks for, and what differs."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np

from effigy_client.parameters import PictureParameters
from effigy_client.pixels import SURFACE_PASSES
from effigy_protocol.messages import Encoding, PassName
from effigy_protocol.record import JOURNAL, Journal, Record, picture_file, what_differs

from ..scene.properties import face_of
from ..scene.queries import Name, name_of
from ..scene.reader import UnreadableError, is_evaluated, read_face
from .runs import anchor_of

_MOVED = 1e-4  # relative: keys hold a place, a turn and a size in float32


def record_of(
    proxy: bpy.types.Object, parameters: PictureParameters, encoding: Encoding, passes: tuple[PassName, ...] = ()
) -> Record:
    """Returns the record of what this moment's picture, or the file of a pass beside it, is made from, lit or not."""
    anchor = anchor_of(proxy)
    latent = anchor.latent_bytes()
    made_of = anchor.model, latent, parameters.yaw, parameters.pitch, parameters.controls
    return Record.of(*made_of, encoding, parameters.matte, passes, keep=parameters.keep)


def baked_folder(proxy: bpy.types.Object) -> Path:
    """Returns the folder of a face's baked pictures, which does not change when the .blend is saved as another file."""
    return _first_file(proxy).parent


def file_of(proxy: bpy.types.Object, frame: int) -> Path:
    """Returns the file of the picture that a baked face shows in ``frame``."""
    first = _first_file(proxy)
    return first.with_name(f"{first.stem.rpartition('_')[0]}_{frame:04d}.png") if first.name else first


def map_file(folder: Path, name: PassName, frame: int) -> Path:
    """Returns the file in a bake's ``folder`` that holds the normal or light map of ``frame``."""
    return picture_file(folder / name, frame)


def files_of(proxy: bpy.types.Object, frame: int) -> list[Path]:
    """Returns all files that a baked face shows in ``frame``."""
    face, picture = face_of(proxy), file_of(proxy, frame)
    lit = face.lit and face.baked_normal is not None
    return [picture, *(map_file(picture.parent, name, frame) for name in (SURFACE_PASSES if lit else ()))]


def _first_file(proxy: bpy.types.Object) -> Path:
    baked = face_of(proxy).baked
    return Path(bpy.path.abspath(baked.filepath)) if baked is not None else Path()


def stale_parts(proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> list[str]:
    """Returns in which parts the baked picture of the current frame differs from what the scene asks for now.

    They are those of translation.differing, and "place" if the head stands elsewhere: roll, size and place need no
    other picture, but the plate's keys contain them.
    """
    try:
        wanted = read_face(proxy, scene, depsgraph)
    except UnreadableError:
        return []
    entry = _journal(baked_folder(proxy) / JOURNAL).frames.get(scene.frame_current)
    if entry is None or scene.frame_subframe:
        return []  # a bake of an earlier version, another frame range, or between two frames: nothing is known
    encoding: Encoding = "png16" if entry.get("encoding") == "png16" else "png"
    record = record_of(proxy, wanted.parameters, encoding)
    if entry.get("digest") != record.digest:
        return what_differs(entry, json.loads(record.as_text())) or ["other"]
    if wanted.parameters.lit and face_of(proxy).baked_normal is None:
        return ["shading"]
    shown = face_of(proxy).plate
    if shown is None or not is_evaluated(shown, depsgraph):
        return []  # hidden: it stands where it stood when it was seen
    stands = np.array(shown.evaluated_get(depsgraph).matrix_world)
    moved = np.abs(stands - wanted.plate).max() > _MOVED * max(1.0, float(np.abs(wanted.plate).max()))
    return ["place"] if moved else []


def journal_problem(proxy: bpy.types.Object) -> str:
    """Returns what is wrong with the journal of a face's bake, without which nothing is known to be stale, or ""."""
    return _journal(baked_folder(proxy) / JOURNAL).problem


_found: dict[Name, list[str]] = {}  # what the last check found, by the proxy's name


def check(proxy: bpy.types.Object, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> list[str]:
    """Returns what ``stale_parts`` does, and remembers it for ``parts``."""
    found = stale_parts(proxy, scene, depsgraph)
    _found[name_of(proxy)] = found
    return found


def parts(proxy: bpy.types.Object) -> list[str]:
    """Returns what the last ``check`` found stale."""
    return _found.get(name_of(proxy), [])


def all_parts() -> tuple[object, ...]:
    """Returns ``parts`` of all faces, to compare them."""
    return tuple((name, *found) for name, found in _found.items() if found)


def forget(proxy: bpy.types.Object) -> None:
    """Forgets a face that does not show baked pictures any more."""
    _found.pop(name_of(proxy), None)


def keep_only(names: set[Name]) -> None:
    """Forgets all faces but those named."""
    for name in _found.keys() - names:
        del _found[name]


_journals: dict[Path, tuple[int, Journal]] = {}  # as they were read, with their files' times


def _journal(path: Path) -> Journal:
    """Returns the journal in a file, read again only when the file has changed."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    if path not in _journals or _journals[path][0] != changed:
        _journals[path] = changed, Journal(path)
    return _journals[path][1]
