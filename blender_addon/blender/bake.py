# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake: the exact pictures of a frame range as PNG files, and a plate that shows them without any backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy

from ..core.client import RequestError
from . import plate, render, session
from .properties import active_face, face_of
from .rig import picture_node
from .scene_reader import UnreadableError, read_face
from .session import state

_TRANSFORMS = ("location", "rotation_quaternion", "scale")


class BakeError(Exception):
    """A bake that cannot start; the message says what to do."""


def folder_of(proxy: bpy.types.Object) -> Path:
    """Where a face's pictures go: beside the .blend. Raises BakeError when it was never saved."""
    if not bpy.data.filepath:
        raise BakeError("save the .blend first: the pictures are written beside it")
    return Path(bpy.path.abspath("//")) / "effigy" / bpy.path.clean_name(proxy.name)


def bake_frames(proxy: bpy.types.Object, scene: bpy.types.Scene) -> Iterator[tuple[int, Path]]:
    """Bakes the scene's frame range, one frame per step: yields each frame and its file.

    Raises RequestError or UnreadableError, which leaves the frames already written, and nothing half-written.
    """
    folder = folder_of(proxy)
    folder.mkdir(parents=True, exist_ok=True)
    face_of(proxy).plate.rotation_mode = "QUATERNION"
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        wanted = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get())
        picture = render.paint(proxy, wanted, "png")
        path = folder / f"{folder.name}_{frame:04d}.png"
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_bytes(picture.data)
        temporary.replace(path)
        plate.place(proxy, wanted.plate)
        for transform in _TRANSFORMS:
            face_of(proxy).plate.keyframe_insert(transform, frame=frame)
        yield frame, path


def show_baked(proxy: bpy.types.Object, scene: bpy.types.Scene, first: Path) -> None:
    """Switches the plate to the baked sequence whose first file is ``first``."""
    node = picture_node(proxy)
    if node is None:
        raise BakeError(f"the plate of {proxy.name} has lost its Picture node: add the face again")
    image = face_of(proxy).baked or bpy.data.images.load(str(first))
    image.filepath = bpy.path.relpath(str(first))
    image.name = f"{proxy.name} Baked"
    image.source = "SEQUENCE"
    node.image = image
    user = node.image_user
    user.frame_start = scene.frame_start
    user.frame_duration = scene.frame_end - scene.frame_start + 1
    user.frame_offset = scene.frame_start - 1  # the files carry the scene's own frame numbers
    user.use_auto_refresh = True
    face_of(proxy).baked = image
    face_of(proxy).source = "BAKED"


def show_live(proxy: bpy.types.Object) -> None:
    """Switches the plate back to the backend's pictures; the files stay."""
    node = picture_node(proxy)
    if node is not None:
        node.image = face_of(proxy).image
    if face_of(proxy).plate is not None:
        face_of(proxy).plate.animation_data_clear()
    face_of(proxy).source = "LIVE"
    session.run_of(proxy).shown = None
    state.dirty = True


class EFFIGY_OT_bake(bpy.types.Operator):
    bl_idname = "effigy.bake"
    bl_label = "Bake"
    bl_description = (
        "Paint the scene's frame range to PNG files beside the .blend and show them on the plate: "
        "they render anywhere, without a backend and without this add-on. ESC stops"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if active_face(context) is None:
            cls.poll_message_set("Select a face")
            return False
        if not bpy.data.filepath:
            cls.poll_message_set("Save the .blend first: the pictures are written beside it")
            return False
        return not state.is_baking

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not session.is_ready():
            self.report({"ERROR"}, "Start the backend first, and wait until it is ready")
            return {"CANCELLED"}
        self._begin(context)
        manager = context.window_manager
        manager.progress_begin(context.scene.frame_start, context.scene.frame_end)
        self._timer = manager.event_timer_add(0.001, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """One frame per timer event, so that the window keeps answering between pictures."""
        if event.type == "ESC":
            self.report({"WARNING"}, f"Bake stopped after {len(self._written)} frames; their files are kept")
            return self._leave(context, {"CANCELLED"})
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            frame, path = next(self._frames)
        except StopIteration:
            return self._leave(context, self._finish(context))
        except (RequestError, UnreadableError) as error:
            self.report({"ERROR"}, f"Bake stopped: {error}")
            return self._leave(context, {"CANCELLED"})
        self._written.append(path)
        context.window_manager.progress_update(frame)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """For scripts: all frames at once."""
        try:
            self._begin(context)
            self._written.extend(path for _, path in self._frames)
            return self._finish(context)
        except (RequestError, UnreadableError, BakeError) as error:
            self.report({"ERROR"}, f"Bake stopped: {error}")
            return {"CANCELLED"}
        finally:
            state.is_baking = False

    def _begin(self, context: bpy.types.Context) -> None:
        proxy = active_face(context)
        assert proxy is not None
        if face_of(proxy).source == "BAKED":
            show_live(proxy)
        self._proxy_name = proxy.name
        self._before = context.scene.frame_current
        self._written: list[Path] = []
        assert context.scene is not None
        self._frames = bake_frames(proxy, context.scene)
        state.is_baking = True

    def _finish(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        assert scene is not None
        show_baked(scene.objects[self._proxy_name], scene, self._written[0])
        scene.frame_set(self._before)
        self.report({"INFO"}, f"{len(self._written)} frames in {self._written[0].parent}")
        return {"FINISHED"}

    def _leave(self, context: bpy.types.Context, result: set[str]) -> set[str]:
        state.is_baking = False
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        return result


class EFFIGY_OT_show_live(bpy.types.Operator):
    bl_idname = "effigy.show_live"
    bl_label = "Back to Live"
    bl_description = "Let the backend paint the plate again; the baked files are kept"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        return proxy is not None and face_of(proxy).source == "BAKED"

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy = active_face(context)
        assert proxy is not None
        show_live(proxy)
        return {"FINISHED"}


_CLASSES = (EFFIGY_OT_bake, EFFIGY_OT_show_live)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
