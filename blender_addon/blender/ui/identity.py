# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a face is: another number, a mixture, a latent from a file. A locked identity changes by none of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from effigy_client.errors import RequestError
from effigy_client.face import OPEN_S, Identities
from effigy_protocol.files import LargeFileError, read_bytes, read_json, write_whole
from effigy_protocol.limits import REQUEST_LIMITS
from effigy_protocol.messages import FromLatent, FromSeed, Identity, Mix, OpenIdentity, Welcome

from ..pictures.activity import changes
from ..pictures.runs import earlier_model
from ..pictures.session import session
from ..scene import rig
from ..scene.properties import EffigyFace, face_of
from ..scene.queries import Name, active_face, face_in, faces, name_of, scene_of
from ..translation import rpt_
from .operator import FaceOperator, can_ask, is_ours

LAST_SEED = 2**31 - 1  # of Blender's integers
SEEDS = 8  # of so many the one whose face is most at rest, where the number does not matter
REDO_S = 2.0  # the longest that a redo in a window may take
_FORMAT = 1
_PERSON = ".person"  # of files that the backend makes of pictures


class OpeningOperator(bpy.types.Operator):
    """An operator that needs an identity from the backend: in a window it never waits for it."""

    bl_options = {"REGISTER", "UNDO"}

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        """What to open. Raises ValueError that says why it cannot be."""
        raise NotImplementedError

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        """The identity is there. Raises ValueError that says why it cannot be used any more."""
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.begin(context)

    def begin(self, context: bpy.types.Context) -> set[str]:
        """Asks, and goes on when the answer has come."""
        identities = session.identities
        try:
            request = self.request(context)
        except ValueError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if identities is None:
            self.report({"ERROR"}, "Start the backend first, and wait until it is ready")
            return {"CANCELLED"}
        self._opening: Future[Identity] = identities.open(request)
        self._timer = context.window_manager.event_timer_add(0.02, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            context.window_manager.event_timer_remove(self._timer)
            return {"CANCELLED"}
        if event.type != "TIMER" or not self._opening.done():
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        return self._use(context, self._opening.result)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """For scripts and redo: waits for the identity; in a window only for a moment."""
        try:
            request = self.request(context)
            identities = session.ensure_ready() if bpy.app.background else session.identities
            if identities is None:
                raise ValueError(rpt_("Start the backend first, and wait until it is ready"))
        except (RequestError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        patience = OPEN_S if bpy.app.background else REDO_S
        return self._use(context, lambda: _opened(identities, request, patience))

    def _use(self, context: bpy.types.Context, answer: Callable[[], Identity]) -> set[str]:
        try:
            identity, welcome = answer(), session.welcome
            if welcome is None:
                raise ValueError(rpt_("The backend was stopped meanwhile"))
            self.opened(context, welcome, identity)
        except (RequestError, ValueError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


def _opened(identities: Identities, request: OpenIdentity, patience: float) -> Identity:
    """The identity, waited for. Raises RequestError."""
    identity: Identity = identities.link.wait(identities.open(request), patience)
    return identity


class ChangeOperator(OpeningOperator):
    """One that gives the active face another identity."""

    seed = -1
    _face: Name | None = None  # the face that was active when the operator was called

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        proxy = active_face(context)
        if proxy is None or context.mode != "OBJECT":
            cls.poll_message_set("Select a face, in object mode")
            return False
        if not is_ours(cls, proxy):
            return False
        if face_of(proxy).locked:
            cls.poll_message_set("This identity is locked: unlock it first")
            return False
        return can_ask(cls)

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        proxy = self.target(context)
        if face_of(proxy).locked:
            raise ValueError(rpt_("{} was locked meanwhile", proxy.name))
        if context.mode != "OBJECT":
            raise ValueError(rpt_("Leave the edit mode first"))
        rig.change_identity(proxy, welcome, identity, self.seed)
        self._face = name_of(proxy)  # which tells the number
        changes.mark()

    def target(self, context: bpy.types.Context) -> bpy.types.Object:
        """The face that this was called for, whatever was selected since. Raises ValueError when it is gone."""
        if self._face is None:
            self._face = name_of(face_in(context))
        proxy: Any = bpy.data.objects.get(self._face)
        if proxy is None or not face_of(proxy).is_face:
            raise ValueError(rpt_("{} is gone", self._face[0]))
        return cast(bpy.types.Object, proxy)


class ByNumber(ChangeOperator):
    """Somebody by a number."""

    seed: IntProperty(name="Seed", description="The number of the identity", default=0, min=0)
    truncation: FloatProperty(
        name="Truncation", description="0 is the average face, 1 the full variety", default=0.7, min=0.0, max=1.5
    )

    def number(self, face: EffigyFace) -> tuple[int, int]:
        """Whose number it is when nobody says one, and among how many from there on the backend may choose."""
        raise NotImplementedError

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        face, seeds = face_of(self.target(context)), 1
        if not self.properties.is_property_set("seed"):
            self.seed, seeds = self.number(face)
        if not self.properties.is_property_set("truncation"):
            self.truncation = face.truncation
        return OpenIdentity(FromSeed(self.seed, self.truncation, seeds))

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        if identity.seed is not None:
            self.seed = identity.seed
        super().opened(context, welcome, identity)
        face_of(self.target(context)).truncation = self.truncation


class EFFIGY_OT_change_identity(ByNumber):
    bl_idname = "effigy.change_identity"
    bl_label = "Change Identity"
    bl_description = "Give this face the identity of a number; pose, expression and animation stay"

    def number(self, face: EffigyFace) -> tuple[int, int]:
        return int(face.wanted_seed), 1


class EFFIGY_OT_random_identity(ByNumber):
    bl_idname = "effigy.random_identity"
    bl_label = "Random Identity"
    bl_description = "Give this face somebody new, with a calm face; pose, expression and animation stay"

    def number(self, face: EffigyFace) -> tuple[int, int]:
        return int(np.random.default_rng().integers(LAST_SEED - SEEDS)), SEEDS


class EFFIGY_OT_use_new_default(ByNumber):
    bl_idname = "effigy.use_new_default"
    bl_label = "Use the New Default"
    bl_description = (
        "Paint this face with the backend's model instead of the earlier default that it was made with. Its number "
        "is another person there; pose, expression, keys and drivers stay"
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if not earlier_model(face_in(context)):
            cls.poll_message_set("This face was not made with an earlier default")
            return False
        return True

    def number(self, face: EffigyFace) -> tuple[int, int]:
        return (face.seed, 1) if face.seed >= 0 else (int(np.random.default_rng().integers(LAST_SEED - SEEDS)), SEEDS)


class FromDialog(ChangeOperator):
    """One that a dialog or the file browser executes: in a window the answer is waited for in the background."""

    def execute(self, context: bpy.types.Context) -> set[str]:
        return super().execute(context) if bpy.app.background else self.begin(context)


def _others(self: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """Blender keeps no strings of a list that it was given, so this module does."""
    global _other_items
    if context is None or context.scene is None:
        return _other_items
    own = active_face(context)
    names = [proxy.name for proxy in faces(context.scene) if proxy is not own]
    _other_items = [(name, name, "") for name in names] or [("", "None", "There is no other face in this scene")]
    return _other_items


_other_items: list[tuple[str, str, str]] = [("", "None", "")]


class EFFIGY_OT_mix_identities(FromDialog):
    bl_idname = "effigy.mix_identities"
    bl_label = "Mix Identities"
    bl_description = "Mix another face's identity into this one; pose, expression and animation stay"

    other: EnumProperty(name="With", description="The face whose identity is mixed in", items=_others)
    share: FloatProperty(
        name="Share", description="0 keeps this identity, 1 takes the other",
        default=0.5, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if not self.properties.is_property_set("other"):
            return set(context.window_manager.invoke_props_dialog(self))
        return super().invoke(context, event)

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        proxy, scene = self.target(context), scene_of(context)
        other = scene.objects.get(self.other) if self.other else None
        if other is None or not face_of(other).is_face:
            raise ValueError(rpt_("There is no other face in this scene: add one to mix with"))
        if face_of(other).model != face_of(proxy).model:
            raise ValueError(rpt_("{} was made with another model", other.name))
        face = face_of(proxy)
        return OpenIdentity(Mix(face.latent_bytes(), face_of(other).latent_bytes(), self.share, face.model))


class EFFIGY_OT_save_identity(ExportHelper, FaceOperator):
    bl_idname = "effigy.save_identity"
    bl_label = "Save Identity"
    bl_description = "Write this face's identity to a file, to open it in another scene or on another computer"

    filename_ext = ".effigy-identity"
    filter_glob: StringProperty(default="*.effigy-identity", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        face, path = face_of(face_in(context)), Path(self.filepath)
        content = {"format": _FORMAT, "model": face.model, "model_name": face.model_name, "latent": face.latent}
        try:
            write_whole(path, json.dumps(content) + "\n")
        except OSError as error:
            self.report({"ERROR"}, rpt_("{} cannot be written: {}", path, error.strerror))
            return {"CANCELLED"}
        return {"FINISHED"}


class EFFIGY_OT_load_identity(ImportHelper, FromDialog):
    bl_idname = "effigy.load_identity"
    bl_label = "Load Identity"
    bl_description = (
        "Give this face the identity that was saved to a file, or a person that 'effigy photo' made of a picture; "
        "pose, expression and animation stay"
    )

    filename_ext = ".effigy-identity"
    filter_glob: StringProperty(default=f"*.effigy-identity;*{_PERSON}", options={"HIDDEN"})
    filepath: StringProperty(subtype="FILE_PATH")

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        self.target(context)
        path = Path(self.filepath)
        try:
            if path.suffix == _PERSON:
                return OpenIdentity(FromLatent(read_bytes(path, REQUEST_LIMITS.frame_bytes)))
            content = read_json(path)
            if content["format"] != _FORMAT:
                raise ValueError
            latent = base64.b64decode(content["latent"], validate=True)
            return OpenIdentity(FromLatent(latent, str(content["model"])))
        except OSError as error:
            raise ValueError(rpt_("{} cannot be read: {}", path, error.strerror)) from None
        except LargeFileError as error:
            raise ValueError(
                rpt_("{} is larger than a scene keeps of a person: make it without its picture", path.name)
            ) from error
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                rpt_("{} is no saved identity: choose a file that Save Identity wrote", path.name)
            ) from None


_CLASSES = (
    EFFIGY_OT_change_identity,
    EFFIGY_OT_random_identity,
    EFFIGY_OT_use_new_default,
    EFFIGY_OT_mix_identities,
    EFFIGY_OT_save_identity,
    EFFIGY_OT_load_identity,
)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
