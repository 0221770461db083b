# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake: the exact pictures of a frame range as PNG files, and a plate that shows them without any backend.

Beside the pictures lies a journal that says what each was made from, so that a bake resumes where it was
stopped, paints only what has changed, and tells when a picture is outdated.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from effigy_client.errors import RequestError
from effigy_client.pixels import SURFACE_PASSES, Surface, words_png
from effigy_client.sequence import SequenceError
from effigy_protocol.files import short_name, write_whole
from effigy_protocol.messages import Encoding, PassName
from effigy_protocol.png import annotate
from effigy_protocol.record import JOURNAL, KEYWORD, Journal, Record, picture_file, shows

from ..preferences import PreferencesError
from ..scene.display import picture_nodes, show_source
from ..scene.fcurves import write_keys
from ..scene.plate import remove_keys
from ..scene.properties import face_of
from ..scene.queries import faces, has_own_plate
from ..scene.reader import FaceState, UnreadableError
from ..translation import rpt_
from . import stale
from .activity import changes
from .runs import run_of
from .stale import map_file, record_of
from .walk import Step, Walk

_NAME = 200  # bytes of a folder's name, which its files' names begin with; file systems allow 255


class BakeError(Exception):
    """A bake that cannot start or continue; the message says what to do."""


# What may end a bake; each message says why.
FAILURES = (BakeError, SequenceError, RequestError, UnreadableError, PreferencesError, OSError)


def reason(error: Exception) -> str:
    """Returns why a bake ended, and what to do, for the user."""
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return rpt_("there is no room for {}: make some, and bake again", error.filename)
    return rpt_("{} cannot be written ({}): save the .blend where you may write", error.filename, error.strerror)


def folder_of(proxy: bpy.types.Object) -> Path:
    """Returns the folder of a face's baked pictures, beside the .blend. Raises BakeError if that was never saved."""
    if not bpy.data.filepath:
        raise BakeError(rpt_("save the .blend first: the pictures are written beside it"))
    blend = Path(bpy.data.filepath)
    return blend.parent / "effigy" / blend.stem / short_name(bpy.path.clean_name(proxy.name), _NAME)


class Bake:
    """One bake of a scene's frame range, frame by frame, without ever waiting.

    When it fails or is stopped, the files that are written stay and the scene is as it was.
    """

    def __init__(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        """Raises BakeError when there is nowhere to write, or another face writes there."""
        if not has_own_plate(proxy):
            raise BakeError(rpt_("{} still shares the plate of its original: wait a moment, and try again", proxy.name))
        shown = face_of(proxy).plate
        if shown is not None and shown.parent is not None:
            raise BakeError(
                rpt_("{} has a parent: clear it (Alt P), since a bake keys where it stands in the world", shown.name)
            )
        self.folder = folder_of(proxy)
        for other in (o for each in bpy.data.scenes for o in faces(each) if o != proxy):
            if other.library is None and folder_of(other) == self.folder:  # a linked one is baked in its own file
                raise BakeError(
                    rpt_("{} would write into the same folder as {}: rename one of them", other.name, proxy.name)
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.done = 0  # frames whose picture lies in its file
        self.painted = 0  # of those, by this bake
        self.clamped = 0  # pictures for which more was asked than the model has learnt
        self._journal = Journal(self.folder / JOURNAL)
        self._frames = range(scene.frame_start, scene.frame_end + 1)
        self._places: list[np.ndarray] = []
        self._maps = SURFACE_PASSES if face_of(proxy).lit else ()
        for name in self._maps:
            (self.folder / name).mkdir(exist_ok=True)
        self._encoding: Encoding = "png16" if face_of(proxy).bake_depth == "16" else "png"
        self.walk = Walk(proxy, scene, self._frames, self._encoding, self._is_there)

    def _is_there(self, frame: int, wanted: FaceState) -> bool:
        return shows(self._path(frame), self._record(wanted).digest) and all(
            shows(map_file(self.folder, name, frame), self._record(wanted, (name,)).digest) for name in self._maps
        )

    def _record(self, wanted: FaceState, passes: tuple[PassName, ...] = ()) -> Record:
        return record_of(self.walk.lookup()[0], wanted.parameters, self._encoding, passes)

    def _path(self, frame: int) -> Path:
        return picture_file(self.folder, frame)

    def step(self) -> int:
        """Writes pictures that have come; returns how many frames are done. Never blocks."""
        for step in self.walk.step():
            self.keep(step)
        return self.done

    def keep(self, step: Step) -> None:
        """Writes the picture of a frame, if it is a new one, and remembers the plate's place."""
        record, path = self._record(step.moment), self._path(step.frame)
        if step.picture is not None:
            surface = Surface.of(step.picture, step.moment.parameters.matte)
            if self._maps and surface is None:
                raise BakeError(rpt_("Lit was switched off meanwhile: bake again"))
            # The file itself says what it shows, so that no crash can make it pass for another picture.
            write_whole(path, annotate(step.picture.data, {KEYWORD: record.as_text()}))
            self._keep_maps(step, surface)
            self.painted += 1
            self.clamped += bool(step.picture.clamped)
        self._places.append(step.moment.plate)
        self.done += 1
        self._journal.put(step.frame, record, path.name)
        self._journal.save_when_due()

    def _keep_maps(self, step: Step, surface: Surface | None) -> None:
        """Writes what lights the picture of a frame."""
        for name in self._maps if surface is not None else ():
            png = words_png(getattr(surface, name))
            record = self._record(step.moment, (name,))
            write_whole(map_file(self.folder, name, step.frame), annotate(png, {KEYWORD: record.as_text()}))

    def finish(self) -> None:
        """Switches the plate to the pictures."""
        self._journal.save()
        proxy = self.walk.lookup()[0]
        face = face_of(proxy)
        if not picture_nodes(proxy):
            raise BakeError(rpt_("the plate of {} has lost its Picture node: add the face again", proxy.name))
        if face.source == "BAKED":
            remove_keys(face.plate, range(face.baked_start, face.baked_end + 1))
        _key_places(face.plate, self._frames.start, self._places)
        first = self._frames.start
        maps = {name: map_file(self.folder, name, first) for name in self._maps}
        show_baked(proxy, self._frames, self._path(first), maps)
        self.walk.go_back()

    def abandon(self) -> None:
        """Undoes what the bake changed in the scene; the files stay."""
        with contextlib.suppress(OSError):
            self._journal.save()
        self.walk.go_back()


def _key_places(shown: bpy.types.Object, start: int, places: list[np.ndarray]) -> None:
    shown.rotation_mode = "QUATERNION"
    parts = [Matrix(place.tolist()).decompose() for place in places]
    turns = [np.array(turn[:]) for _, turn, _ in parts]
    for index in range(1, len(turns)):
        turns[index] *= np.sign(turns[index] @ turns[index - 1]) or 1.0  # the same turn, on the shorter way
    rows = {
        "location": np.array([location[:] for location, _, _ in parts]),
        "rotation_quaternion": np.array(turns),
        "scale": np.array([scale[:] for _, _, scale in parts]),
    }
    for name, values in rows.items():
        for index, column in enumerate(values.T):
            write_keys(shown, name, index, start, column)


def show_baked(proxy: bpy.types.Object, frames: range, first: Path, maps: Mapping[PassName, Path]) -> None:
    """Switches the face to the baked sequence of ``frames`` whose first file is ``first``, and to those of its maps."""
    face = face_of(proxy)
    face.baked = _sequence(face.baked, first, f"{proxy.name} Baked")
    for name in SURFACE_PASSES:
        held, image = getattr(face, f"baked_{name}"), None
        if name in maps:
            image = _sequence(held, maps[name], f"{proxy.name} Baked {name.capitalize()}")
            image.colorspace_settings.is_data = True
        setattr(face, f"baked_{name}", image)
    face.source = "BAKED"
    face.baked_start, face.baked_end = frames.start, frames.stop - 1
    show_source(proxy)
    changes.mark(baked=True)


def _sequence(held: bpy.types.Image | None, first: Path, name: str) -> Any:
    """Returns the image of a baked sequence: ``held``, or a new one."""
    image = held or bpy.data.images.load(str(first))
    image.filepath = bpy.path.relpath(str(first))
    image.name = name
    image.source = "SEQUENCE"
    image.reload()
    return image


def show_live(proxy: bpy.types.Object) -> None:
    """Switches the face back to the backend's pictures; the files stay."""
    face = face_of(proxy)
    if has_own_plate(proxy):
        remove_keys(face.plate, range(face.baked_start, face.baked_end + 1))
    face.source = "LIVE"
    show_source(proxy)
    run_of(proxy).follower.begin_anew()
    stale.forget(proxy)
    changes.mark()
