# SPDX-License-Identifier: GPL-3.0-or-later
"""Pose from Picture: the backend reads the face in a picture, and the active face turns and looks as that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from effigy_client.errors import RequestError
from effigy_client.pose import Angles
from effigy_protocol.messages import MOST_FACES, Parameter, PictureRead
from effigy_protocol.transfer import Shown, Transfer, transfer

from .. import preferences
from ..pictures import photo, render
from ..pictures.activity import activity, changes
from ..pictures.photo import PictureError, Reading
from ..pictures.session import session
from ..scene import controls
from ..scene.properties import face_of
from ..scene.queries import face_in, name_of, scene_of
from ..scene.reader import UnreadableError, read_face
from ..translation import rpt_
from . import library
from .choosing import OpensFile
from .opening import REDO_S
from .operator import WatchingOperator, can_ask, hand_over, registration_in_menu
from .pose import CameraOperator, has_camera

_PICTURES = "*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp;*.exr;*.hdr;*.tga"


class PictureSettings(CameraOperator):
    """The settings for reading a picture."""

    filepath: StringProperty(name="Picture", subtype="FILE_PATH")
    image: StringProperty(
        name="Image", description="A picture that this .blend has, instead of a file", options={"SKIP_SAVE"}
    )
    part: EnumProperty(
        name="Part",
        description="What is taken from the picture; the rest stays as it is",
        items=(
            ("all", "All", "The expression and the head's turn"),
            ("expression", "Expression", "All controls, and no turn"),
            ("turn", "Turn", "The head's turn alone"),
            ("mouth", "Mouth", "The mouth's controls alone"),
            ("eyes", "Eyes", "The eyes' controls alone"),
            ("brows", "Brows", "The brows' controls alone"),
        ),
    )
    strength: FloatProperty(
        name="Strength",
        description="0 changes nothing, 1 gives the face what the picture shows",
        default=1.0,
        min=0.0,
        max=2.0,
    )
    number: IntProperty(
        name="Face", description="Which face, if the picture shows several: 1 is the largest", default=1, min=1,
        max=MOST_FACES, options={"SKIP_SAVE"},
    )  # fmt: skip
    relative: BoolProperty(
        name="Relative",
        description="Add what differs between the picture and the neutral one, of the same person at rest, to the "
        "face's own expression and turn. Off: the face gets the picture's expression, whatever its own is",
    )
    neutral: StringProperty(
        name="Neutral",
        description="The same person at rest, looking ahead",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    painted: BoolProperty(
        name="Rendered", description="A generator painted the picture: such faces are read differently from photographs"
    )
    store: BoolProperty(
        name="To the Library",
        description="Store the expression in your library too, under the picture's name",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_camera(cls, context) and can_ask(cls)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("part", "strength", "number", "painted", "store", "relative"):
            layout.prop(self, name)
        row = layout.row()
        row.active = self.relative
        row.prop(self, "neutral")


class EFFIGY_OT_pose_from_picture(OpensFile, PictureSettings):
    bl_idname = "effigy.pose_from_picture"
    bl_label = "Pose from Picture"
    bl_description = (
        "Give the face the head's turn and the expression in a photograph or another picture, which is read on this "
        "computer. With Auto Keying on, what it moves is keyed"
    )
    bl_options = {"REGISTER"}  # what follows is the undo step

    filter_glob: StringProperty(default=_PICTURES, options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.neutral:
            self.neutral = face_of(face_in(context)).neutral_picture
        if self.image:
            return self.execute(context)
        return super().invoke(context, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return hand_over(self, context, EFFIGY_OT_read_picture.bl_idname)


class EFFIGY_OT_read_picture(WatchingOperator, PictureSettings):
    bl_idname = "effigy.read_picture"
    bl_label = "Pose from Picture"
    bl_description = "Read a picture, for Pose from Picture"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}
    look_s = 0.05

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            self._face, self._scene = name_of(face_in(context)), scene_of(context).name
            self._reading = self._begin(context)
        except PictureError as error:
            return self._fail(error)
        return self.watch(context)

    def look(self, context: bpy.types.Context) -> set[str] | None:
        if activity.is_at_work:  # whose frames must not be changed
            return None
        try:
            found = self._reading.poll(session.connected())
            if found is None:
                return None
            proxy: Any = bpy.data.objects.get(self._face)
            scene = bpy.data.scenes.get(self._scene)
            if proxy is None or scene is None or context.scene != scene or controls.camera_of(proxy, scene) is None:
                raise PictureError(rpt_("{}, or its camera, is gone from {}", self._face[0], self._scene))
        except (RequestError, PictureError) as error:
            return self._fail(error)
        return self._use(proxy, scene, found)

    def cancel(self, context: bpy.types.Context) -> None:
        self._reading.cancel()
        super().cancel(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Waits for the reading, for scripts and redo; in a window only for a moment."""
        patience = preferences.get().timeout if bpy.app.background else REDO_S
        try:
            identities = session.reachable()
            found = self._begin(context).wait(identities, patience)
        except (RequestError, PictureError) as error:
            return self._fail(error)
        return self._use(face_in(context), scene_of(context), found)

    def _begin(self, context: bpy.types.Context) -> Reading:
        """Asks for the reading of the picture, and of the neutral one. Raises PictureError."""
        pictures = [(self._picture(), self.number)]
        if self.relative:
            if not self.neutral:
                raise PictureError(rpt_("choose a neutral picture, of the same person at rest, or switch Relative off"))
            pictures.append((photo.of_file(Path(bpy.path.abspath(self.neutral))), 1))
        return Reading(face_in(context), pictures, painted=self.painted)

    def _picture(self) -> bytes:
        """Returns the chosen picture as a file. Raises PictureError."""
        if not self.image:
            return photo.of_file(Path(bpy.path.abspath(self.filepath)))
        image = bpy.data.images.get(self.image)
        if image is None:
            raise PictureError(rpt_("there is no picture {} in this .blend", self.image))
        return photo.of_image(image)

    def _fail(self, error: Exception) -> set[str]:
        self.report({"ERROR"}, rpt_("No pose can be read from the picture: {}", error))
        return {"CANCELLED"}

    def _use(self, proxy: bpy.types.Object, scene: bpy.types.Scene, found: list[PictureRead]) -> set[str]:
        """Poses the face, keys that with Auto Keying on, and says what was read."""
        read = found[0]
        asked = self._asked(proxy, read, found[1] if self.relative else None)
        turns = self.part in ("all", "turn")
        controls.set_values(proxy, asked.controls)
        if turns:
            controls.turn(proxy, controls.eye_on(proxy, scene), self._angles(face_of(proxy).rest_roll, asked))
        if scene.tool_settings.use_keyframe_insert_auto:
            controls.key_controls(proxy, scene.frame_current, asked.controls)
            if turns:
                controls.key_turn(proxy, scene.frame_current)
        changes.mark()
        moved = ", ".join([*asked.controls, *(["the head's turn"] if turns else [])])
        text = rpt_("Read: {}", moved) if moved else rpt_("Nothing was moved")
        if len(read.faces) > 1:
            text += rpt_("; {} faces are seen, this is face {} by size", len(read.faces), read.face)
        if asked.left_out:
            text += rpt_("; pictures do not show {} reliably: left as they are", ", ".join(asked.left_out))
        if self.store:
            text += self._store(proxy, scene)
        self.report({"INFO"}, text)
        return {"FINISHED"}

    def _asked(self, proxy: bpy.types.Object, read: PictureRead, neutral: PictureRead | None) -> Transfer:
        face = face_of(proxy)
        own = Shown(face.rest_yaw, face.rest_pitch, face.rest_roll, read.own or {})
        since = Shown.of(neutral) if neutral is not None else None
        seen, known = Shown.of(read), _parameters(proxy)
        return transfer(seen, own, known, read.confidence, since=since, part=self.part, strength=self.strength)

    def _angles(self, rest_roll: float, asked: Transfer) -> Angles:
        """Returns the angles to turn to. The transfer's roll is the photograph's, or is added to the face's own."""
        own = rest_roll if self.relative else (1 - self.strength) * rest_roll
        return Angles(asked.yaw, asked.pitch, own + asked.roll)

    def _store(self, proxy: bpy.types.Object, scene: bpy.types.Scene) -> str:
        """Stores the expression with the picture that the face has now; returns what to say of it."""
        name = library.free_name(Path(self.image or bpy.path.basename(self.filepath)).stem)
        try:
            bpy.context.view_layer.update()
            wanted = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get())
            library.store(name, proxy, render.paint(proxy, wanted)[0])
        except (RequestError, UnreadableError, preferences.PreferencesError) as error:
            return rpt_("; not stored: {}", error)
        except OSError as error:
            return rpt_("; not stored: {}", error.strerror)
        return rpt_("; stored as {}", name)


def _parameters(proxy: bpy.types.Object) -> list[Parameter]:
    """Returns the face's controls, grouped as the served model groups them."""
    welcome = session.welcome
    groups = {control.name: control.group for control in welcome.controls} if welcome is not None else {}
    return [
        Parameter(
            block.name, groups.get(block.name) or _group(block.name), block.slider_min, block.slider_max, block.name
        )
        for block in controls.blocks_of(proxy)
    ]


def _group(control: str) -> str:
    """Guesses the part of the face that a control of another model moves, from its name."""
    parts = {"eye": "eyes", "gaze": "eyes", "brow": "brows"}
    return next((part for start, part in parts.items() if control.startswith(start)), "mouth")


_CLASSES = (EFFIGY_OT_pose_from_picture, EFFIGY_OT_read_picture)


def _menu(self: Any, context: bpy.types.Context) -> None:
    image = context.space_data.image
    if image is not None:
        self.layout.separator()
        row = self.layout.operator(EFFIGY_OT_pose_from_picture.bl_idname, text="Pose Effigy Face", icon="MESH_MONKEY")
        row.image = image.name


register, unregister = registration_in_menu(_CLASSES, "IMAGE_MT_image", _menu)
