# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake: the exact pictures of a frame range as PNG files, and a plate that shows them without any backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import bpy

from ..core.client import RequestError
from ..protocol.messages import Frame
from . import plate, render, session
from .preferences import PreferencesError
from .properties import face_of, faces
from .rig import picture_node
from .scene_reader import FaceState, UnreadableError, read_face
from .session import state

_TRANSFORMS = ("location", "rotation_quaternion", "scale")


class BakeError(Exception):
    """A bake that cannot start or go on; the message says what to do."""


# What may end a bake; each message says why.
FAILURES = (BakeError, RequestError, UnreadableError, PreferencesError, OSError)


def folder_of(proxy: bpy.types.Object) -> Path:
    """Where a face's pictures go: beside the .blend. Raises BakeError when it was never saved."""
    if not bpy.data.filepath:
        raise BakeError("save the .blend first: the pictures are written beside it")
    blend = Path(bpy.data.filepath)
    return blend.parent / "effigy" / blend.stem / bpy.path.clean_name(proxy.name)


class Bake:
    """One bake of a scene's frame range, frame by frame, without ever waiting.

    Faces and scenes are looked up by name at every step: references do not survive undo. When it fails or is
    stopped, the files that are written stay, and the plate's keys go.
    """

    def __init__(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
        """Raises BakeError when there is nowhere to write, or another face writes there."""
        self.folder = folder_of(proxy)
        for other in (o for each in bpy.data.scenes for o in faces(each) if o != proxy):
            if folder_of(other) == self.folder:
                raise BakeError(f"{other.name} would write into the same folder as {proxy.name}: rename one of them")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.written: list[Path] = []
        self._proxy, self._scene = proxy.name, scene.name
        self._frames = range(scene.frame_start, scene.frame_end + 1)
        self._before = scene.frame_current
        face_of(proxy).plate.rotation_mode = "QUATERNION"

    @property
    def is_done(self) -> bool:
        return len(self.written) == len(self._frames)

    def read(self) -> FaceState:
        """Goes to the next frame and reads what it asks for."""
        scene = self._lookup()[1]
        scene.frame_set(self._frames[len(self.written)])
        return read_face(self._lookup()[0], scene, bpy.context.evaluated_depsgraph_get())

    def keep(self, wanted: FaceState, picture: Frame) -> None:
        """Writes the picture of the frame that was read, and keys the plate's place."""
        frame = self._frames[len(self.written)]
        path = self.folder / f"{self.folder.name}_{frame:04d}.png"
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_bytes(picture.data)
        temporary.replace(path)
        proxy = self._lookup()[0]
        plate.place(proxy, wanted.plate)
        for transform in _TRANSFORMS:
            face_of(proxy).plate.keyframe_insert(transform, frame=frame)
        self.written.append(path)

    def finish(self) -> None:
        """Switches the plate to the pictures."""
        proxy, scene = self._lookup()
        show_baked(proxy, scene, self.written[0])
        scene.frame_set(self._before)

    def abandon(self) -> None:
        """Takes back what the bake changed in the scene; the files stay."""
        with contextlib.suppress(BakeError):
            proxy, scene = self._lookup()
            remove_keys(proxy, self._frames)
            scene.frame_set(self._before)

    def _lookup(self) -> tuple[bpy.types.Object, bpy.types.Scene]:
        scene = bpy.data.scenes.get(self._scene)
        proxy = scene.objects.get(self._proxy) if scene is not None else None
        if scene is None or proxy is None or face_of(proxy).plate is None:
            raise BakeError(f"{self._proxy} is gone from {self._scene}")
        return proxy, scene


def bake_frames(proxy: bpy.types.Object, scene: bpy.types.Scene) -> Iterator[Path]:
    """Bakes frame after frame, waiting for each picture: for scripts. Raises one of FAILURES."""
    bake = Bake(proxy, scene)
    try:
        while not bake.is_done:
            wanted = bake.read()
            bake.keep(wanted, render.paint(proxy, wanted, "png"))
            yield bake.written[-1]
        bake.finish()
    except FAILURES:
        bake.abandon()
        raise


def show_baked(proxy: bpy.types.Object, scene: bpy.types.Scene, first: Path) -> None:
    """Switches the plate to the baked sequence whose first file is ``first``."""
    node = picture_node(proxy)
    if node is None:
        raise BakeError(f"the plate of {proxy.name} has lost its Picture node: add the face again")
    face = face_of(proxy)
    image = face.baked or bpy.data.images.load(str(first))
    image.filepath = bpy.path.relpath(str(first))
    image.name = f"{proxy.name} Baked"
    image.source = "SEQUENCE"
    node.image = image
    user = node.image_user
    user.frame_start = scene.frame_start
    user.frame_duration = scene.frame_end - scene.frame_start + 1
    user.frame_offset = scene.frame_start - 1  # the files carry the scene's own frame numbers
    user.use_auto_refresh = True
    face.baked, face.source = image, "BAKED"
    face.baked_start, face.baked_end = scene.frame_start, scene.frame_end


def show_live(proxy: bpy.types.Object) -> None:
    """Switches the plate back to the backend's pictures; the files stay."""
    face, node = face_of(proxy), picture_node(proxy)
    if node is not None:
        node.image = face.image
    remove_keys(proxy, range(face.baked_start, face.baked_end + 1))
    face.source = "LIVE"
    run = session.run_of(proxy)
    run.shown = run.wanted = None
    state.dirty = True


def remove_keys(proxy: bpy.types.Object, frames: range) -> None:
    """Removes the keys that a bake put on the plate, and no other animation of it."""
    shown = face_of(proxy).plate
    if shown is None or shown.animation_data is None:
        return
    for transform in _TRANSFORMS:
        for frame in frames:
            with contextlib.suppress(RuntimeError):  # this frame has none
                shown.keyframe_delete(transform, frame=frame)
