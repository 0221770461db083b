# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a face is: another number, or a mixture. A locked identity changes by neither."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, IntProperty

from effigy_protocol.messages import FromSeed, Identity, Mix, OpenIdentity, Welcome

from ..pictures.runs import earlier_model
from ..scene.properties import EffigyFace, face_of
from ..scene.queries import active_face, face_in, faces, scene_of
from ..translation import rpt_
from .opening import ChangeOperator, FromDialog

LAST_SEED = 2**31 - 1  # of Blender's integers
SEEDS = 8  # of so many the one whose face is most at rest, where the number does not matter


class ByNumber(ChangeOperator):
    """The properties of operators that choose a person by seed."""

    seed: IntProperty(name="Seed", description="The seed of the identity", default=0, min=0)
    truncation: FloatProperty(
        name="Truncation", description="0 is the average face, 1 the full variety", default=0.7, min=0.0, max=1.5
    )

    def number(self, face: EffigyFace) -> tuple[int, int]:
        """Returns the seed to use if none was given, and from how many seeds from there on the backend chooses."""
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
    bl_description = "Give this face the identity of a seed; pose, expression and animation stay"

    def number(self, face: EffigyFace) -> tuple[int, int]:
        return int(face.wanted_seed), 1


class EFFIGY_OT_random_identity(ByNumber):
    bl_idname = "effigy.random_identity"
    bl_label = "Random Identity"
    bl_description = "Make this face a new person with a calm expression; pose, expression and animation stay"

    def number(self, face: EffigyFace) -> tuple[int, int]:
        return int(np.random.default_rng().integers(LAST_SEED - SEEDS)), SEEDS


class EFFIGY_OT_use_new_default(ByNumber):
    bl_idname = "effigy.use_new_default"
    bl_label = "Use the New Default"
    bl_description = (
        "Paint this face with the backend's model instead of the earlier default that it was made with. The same seed "
        "gives another person there; pose, expression, keys and drivers stay"
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


def _others(self: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str]]:
    """Lists the scene's other faces. This module keeps the list, because Blender keeps no strings of one that it was
    given.
    """
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
        own, added = face_of(proxy).anchor, face_of(other).anchor
        return OpenIdentity(Mix(own.latent_bytes(), added.latent_bytes(), self.share, own.model))


_CLASSES = (
    EFFIGY_OT_change_identity,
    EFFIGY_OT_random_identity,
    EFFIGY_OT_use_new_default,
    EFFIGY_OT_mix_identities,
)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
