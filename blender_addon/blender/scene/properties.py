# SPDX-License-Identifier: GPL-3.0-or-later
"""What a face keeps in the .blend, on its proxy mesh."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Mapping

import bpy
from bpy.props import (
    BoolProperty,
    BoolVectorProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from effigy_client.face import Anchor
from effigy_client.mirror import Twin, twins_by_name

from .own_expression import OVERRIDABLE, EffigyOwn

# Called with a proxy whose ``display``, ``matte``, ``relief``, ``lit`` or ``sharpen`` was changed; what shows pictures
# adds itself.
on_display: list[Callable[[bpy.types.Object], None]] = []


def _on_display(face: EffigyFace, context: bpy.types.Context) -> None:
    proxy = face.id_data
    if face.is_face and isinstance(proxy, bpy.types.Object):
        for show in on_display:
            show(proxy)


def _on_keep(face: EffigyFace, context: bpy.types.Context) -> None:
    """Makes Blender evaluate the object again, which it does not do for an add-on's properties."""
    face.id_data.update_tag()


class EffigyFace(bpy.types.PropertyGroup):
    """One face. The shape keys of the proxy mesh are its controls; the latent is its identity."""

    is_face: BoolProperty(override=OVERRIDABLE)
    owner: PointerProperty(
        type=bpy.types.Object,
        description="On a plate, or a photograph around it: the proxy whose picture it shows",
        override=OVERRIDABLE,
    )
    is_plate: BoolProperty(override=OVERRIDABLE)
    was_left: BoolProperty(
        description="On what has an owner: hidden because its proxy was deleted", override=OVERRIDABLE
    )
    seed: IntProperty(
        name="Seed",
        description="The seed of this identity; −1 if it was not made from one",
        min=-1,
        override=OVERRIDABLE,
    )
    wanted_seed: IntProperty(
        name="Seed",
        description="The seed of an identity: press Change to give it to this face",
        min=0,
        override=OVERRIDABLE,
    )
    truncation: FloatProperty(
        name="Truncation",
        description="0 is the average face, 1 the full variety",
        default=0.7,
        min=0.0,
        max=1.5,
        override=OVERRIDABLE,
    )
    locked: BoolProperty(name="Lock", description="Protect this identity from being changed", override=OVERRIDABLE)
    display: EnumProperty(
        name="Picture",
        description="Where the picture is seen",
        items=(
            ("PLATE", "Plate", "On a plate that stands at the head and faces the camera"),
            (
                "BACKGROUND",
                "Background",
                "On the plate, drawn behind the head in viewports, where the scene's camera sees it in the same place",
            ),
            ("PROJECTED", "Projected", "On the proxy mesh itself, in the viewport and in renders"),
        ),
        default="PLATE",
        update=_on_display,
        override=OVERRIDABLE,
    )
    matte: EnumProperty(
        name="Matte",
        description="What is shown of the picture",
        items=(
            ("NONE", "Whole Picture", "The square, with its generated background"),
            ("HEAD", "Head", "The head alone, cut out, with the scene visible around it"),
        ),
        default="NONE",  # of files from before there were mattes; Add Face sets the preferences' choice
        update=_on_display,
        override=OVERRIDABLE,
    )
    relief: BoolProperty(
        name="Relief",
        description="Bend the plate to the head's depth, so that objects can cross the face: in front of one part of "
        "it and behind another. The scene's camera sees the same picture",
        update=_on_display,
        override=OVERRIDABLE,
    )
    lit: BoolProperty(
        name="Lit",
        description="Take the light out of the picture, and let the scene light the face. The slider beside it goes "
        "from as painted (0) to lit by the scene (1), and can be keyed",
        update=_on_display,
        override=OVERRIDABLE,
    )
    sharpen: BoolProperty(
        name="Sharpen",
        description="Enlarge the picture smoothly, and sharpen it as far as the slider beside it says, which can be "
        "keyed. Otherwise every pixel has the colour that was painted",
        update=_on_display,
        override=OVERRIDABLE,
    )
    latent: StringProperty(description="The identity's latent, base64", override=OVERRIDABLE)
    model: StringProperty(description="The face model that the latent belongs to", override=OVERRIDABLE)
    control_names: StringProperty(
        description="The shape keys that are its controls, one per line; empty: all", override=OVERRIDABLE
    )
    control_twins: StringProperty(
        description="Each control's mirror partner, and whether the sign changes, as JSON; empty in files of earlier "
        "versions",
        override=OVERRIDABLE,
    )
    attribute_names: StringProperty(
        description="Those that change looks and not the expression, one per line", override=OVERRIDABLE
    )
    own: CollectionProperty(
        type=EffigyOwn,
        description="How the face's own expression differs from the average one; empty in files of earlier versions",
        override={"LIBRARY_OVERRIDABLE", "USE_INSERTION"},
    )
    absolute: BoolProperty(
        name="Absolute Values",
        description="Let sliders count from the average face instead of this face's own expression: if the person "
        "smiles by nature, the smile then stands above 0 at rest, and 0 takes it away. Keys are the same either way",
        override=OVERRIDABLE,
    )
    keep: FloatProperty(
        name="Likeness",
        description="How firmly colours and the person are kept while pose and expression change. 1 keeps them; with "
        "less, expressions look as they do among this model's own people",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_on_keep,
        override=OVERRIDABLE,
    )
    model_name: StringProperty(name="Model", override=OVERRIDABLE)
    plate: PointerProperty(type=bpy.types.Object, override=OVERRIDABLE)
    camera: PointerProperty(type=bpy.types.Object, override=OVERRIDABLE)
    image: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    baked: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    normal_map: PointerProperty(
        type=bpy.types.Image, description="The normals of the surface in the picture, for Lit", override=OVERRIDABLE
    )
    light_map: PointerProperty(
        type=bpy.types.Image, description="The light in the picture, for Lit", override=OVERRIDABLE
    )
    baked_normal: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    baked_light: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    source: EnumProperty(
        name="Picture",
        items=(
            ("LIVE", "Live", "The backend paints the plate"),
            ("BAKED", "Baked", "The plate shows the baked sequence; no backend is needed"),
        ),
        default="LIVE",
        override=OVERRIDABLE,
    )
    bake_depth: EnumProperty(
        name="Depth",
        description="Bits of every colour channel of baked pictures",
        items=(("8", "8 bits", "What the preview shows, exactly"), ("16", "16 bits", "For grading: no banding")),
        default="8",
        override=OVERRIDABLE,
    )
    neutral_picture: StringProperty(
        name="Neutral",
        description="A picture of the person whose photographs drive this face, at rest and looking ahead: "
        "Pose from Picture, relative, counts from there",
        subtype="FILE_PATH",
        override=OVERRIDABLE,
    )
    source_photo: StringProperty(
        name="Photograph",
        description="The photograph that this person was made from, into which the posed face is pasted",
        subtype="FILE_PATH",
        override=OVERRIDABLE,
    )
    photograph: PointerProperty(type=bpy.types.Object, override=OVERRIDABLE)
    pasted: StringProperty(
        description="What the photograph around the plate was pasted from: a line for each frame, or one for all",
        override=OVERRIDABLE,
    )
    worn_visibility: BoolVectorProperty(
        description="Whether cameras see the proxy mesh, and whether it casts a shadow, while it wears the picture",
        size=2,
        default=(True, True),
        override=OVERRIDABLE,
    )
    shown: StringProperty(description="What the file's picture was made from; empty: unknown", override=OVERRIDABLE)
    baked_start: IntProperty(override=OVERRIDABLE)
    baked_end: IntProperty(override=OVERRIDABLE)
    # The camera of the identity's own picture (see docs/protocol.md, Pose).
    rest_yaw: FloatProperty(override=OVERRIDABLE)
    rest_pitch: FloatProperty(override=OVERRIDABLE)
    rest_roll: FloatProperty(override=OVERRIDABLE)
    rest_scale: FloatProperty(default=0.3, override=OVERRIDABLE)
    rest_x: FloatProperty(default=0.5, override=OVERRIDABLE)
    rest_y: FloatProperty(default=0.5, override=OVERRIDABLE)

    @property
    def anchor(self) -> Anchor:
        """Who the face is: its latent, and the model that this belongs to."""
        return Anchor(self.model, self.latent)

    def set_latent(self, latent: bytes | memoryview) -> None:
        self.latent = base64.b64encode(latent).decode("ascii")

    def is_control(self, name: str) -> bool:
        """Returns whether the shape key ``name`` is a control; an artist's own keys change the mesh alone."""
        return not self.control_names or f"\n{name}\n" in f"\n{self.control_names}\n"

    def is_attribute(self, name: str) -> bool:
        """Returns whether the control ``name`` changes looks and no expression."""
        return f"\n{name}\n" in f"\n{self.attribute_names}\n"

    def set_own(self, own: Mapping[str, float]) -> None:
        """Keeps what the face shows by itself, by control."""
        self.own.clear()
        for name, value in own.items():
            item = self.own.add()
            item.name, item.value = name, value

    def set_twins(self, twins: Mapping[str, Twin]) -> None:
        self.control_twins = json.dumps({name: [twin.name, twin.is_odd] for name, twin in twins.items()})

    def twins(self, names: Collection[str]) -> dict[str, Twin]:
        """Returns the mirror twins of the controls ``names``, as their model announced them; in old files by name."""
        try:
            told = {name: Twin(*twin) for name, twin in json.loads(self.control_twins).items()}
        except (ValueError, TypeError, AttributeError):  # empty, or damaged
            return twins_by_name(names)
        return {name: told.get(name, Twin(name)) for name in names}

    @property
    def plate_size(self) -> float:
        """The picture's width in head units."""
        return 1.0 / self.rest_scale

    @property
    def plate_offset(self) -> tuple[float, float]:
        """The position of the picture's middle relative to the head's origin, (right, up) in head units."""
        return (0.5 - self.rest_x) / self.rest_scale, (self.rest_y - 0.5) / self.rest_scale


def face_of(obj: bpy.types.Object) -> EffigyFace:
    """Returns the face's properties of an object; every object has them, and ``is_face`` says if they are used."""
    return obj.effigy  # type: ignore[attr-defined]


def register() -> None:
    bpy.utils.register_class(EffigyOwn)
    bpy.utils.register_class(EffigyFace)
    bpy.types.Object.effigy = PointerProperty(  # type: ignore[attr-defined]
        type=EffigyFace, override=OVERRIDABLE
    )
    # A mesh and not the plate itself: who appends a picture or a material does not get a whole rig with it.
    bpy.types.Image.effigy_mesh = PointerProperty(  # type: ignore[attr-defined]
        type=bpy.types.Mesh, description="The mesh of the plate that shows this picture"
    )


def unregister() -> None:
    del bpy.types.Image.effigy_mesh  # type: ignore[attr-defined]
    del bpy.types.Object.effigy  # type: ignore[attr-defined]
    bpy.utils.unregister_class(EffigyFace)
    bpy.utils.unregister_class(EffigyOwn)
