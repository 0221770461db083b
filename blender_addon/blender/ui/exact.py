# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact Pixels: the settings with which a render shows a face's own pixels.

A table says what each setting should be, and what is wrong if it is not. The button writes it, and the check before
rendering reads it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.props import EnumProperty

from ..scene import controls, display, frames, framing
from ..scene.properties import face_of
from ..scene.queries import face_in, scene_of
from ..scene.reader import UnreadableError, read_face
from ..translation import iface_, n_, rpt_
from .operator import FaceOperator

STANDARD = "Standard"  # the view transform that changes no colours
_SHARP = 0.02  # pixels: how wide a filter may be that leaves pixels as they are


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a scene."""

    path: str  # from the scene
    wanted: Any
    finding: str = ""  # what is said where it is otherwise, with its value in a format field; empty: nothing
    group: str = ""  # the sentence that names all findings of a kind; empty: the finding is a sentence of its own
    spoils: Callable[[Any], bool] | None = None  # whether a value does harm; None: every other than ``wanted``
    matters: Callable[[bpy.types.Scene], bool] = lambda scene: True  # whether it has any effect there
    since: tuple[int, int, int] = (4, 2, 0)  # the Blender that has it first

    @property
    def is_known(self) -> bool:
        return bpy.app.version >= self.since

    def is_harmful(self, value: Any) -> bool:
        return value != self.wanted if self.spoils is None else self.spoils(value)


def _samples_filter(scene: Any) -> bool:
    return str(scene.render.engine) == "CYCLES" and scene.cycles.samples != 1


def _is_workbench(scene: bpy.types.Scene) -> bool:
    return str(scene.render.engine) == "BLENDER_WORKBENCH"


_GRADED = n_("Faces are graded by {}: Exact Pixels shows them as painted")
_SOFTENED = n_("Faces are softened by {}: Exact Pixels shows them as painted")
_TEXTURES = n_("Workbench does not show textures as they are: Exact Pixels sets it so that it does")
_FOCUS = "camera.data.dof.use_dof"

SETTINGS = (
    Setting("display_settings.display_device", "sRGB"),
    Setting("view_settings.view_transform", STANDARD, n_("the view transform {}"), _GRADED),
    Setting("view_settings.look", "None", n_("the look {}"), _GRADED),
    Setting("view_settings.exposure", 0.0, n_("exposure {:.2g}"), _GRADED),
    Setting("view_settings.gamma", 1.0, n_("gamma {:.2g}"), _GRADED),
    Setting("view_settings.use_curve_mapping", False, n_("curves"), _GRADED),
    Setting("view_settings.use_white_balance", False, n_("white balance"), _GRADED, since=(4, 3, 0)),
    Setting("cycles.use_denoising", False, n_("denoising"), _SOFTENED, matters=_samples_filter),
    # A box is a pixel wide, whatever its width says.
    Setting(
        "cycles.pixel_filter_type", "BLACKMAN_HARRIS", n_("the pixel filter"), _SOFTENED,
        lambda kind: kind == "BOX", _samples_filter,
    ),
    Setting(
        "cycles.filter_width", 0.01, n_("the pixel filter"), _SOFTENED, lambda width: width > _SHARP, _samples_filter
    ),
    Setting("render.use_motion_blur", False,
            n_("Motion blur: live faces are painted several times a frame, and then blurred")),
    Setting(_FOCUS, False, n_("Depth of field may blur the faces")),
    Setting("display.shading.light", "FLAT", _TEXTURES, matters=_is_workbench),
    Setting("display.shading.color_type", "TEXTURE", _TEXTURES, matters=_is_workbench),
    Setting("display.render_aa", "OFF"),
    Setting("render.dither_intensity", 0.0, n_("Dithering adds noise to the faces' pixels")),
    Setting("render.use_border", False, n_("Only a region of the picture is rendered")),
    Setting("render.filter_size", 0.0),
    Setting("render.resolution_percentage", 100),
    Setting("render.pixel_aspect_x", 1.0),
    Setting("render.pixel_aspect_y", 1.0),
    Setting("render.image_settings.color_management", "FOLLOW_SCENE"),
)  # fmt: skip


def findings(scene: bpy.types.Scene) -> Iterator[str]:
    """Yields how the scene's settings change faces, a sentence for each."""
    named: dict[str, dict[str, None]] = {}  # by group; those of no group under their own sentence
    for setting in SETTINGS:
        if not setting.finding or not setting.matters(scene):
            continue
        value = _value(scene, _read_path(scene, setting))
        if value is not None and setting.is_harmful(value):
            found = rpt_(setting.finding, value)
            named.setdefault(setting.group or found, {})[found] = None
    for sentence, causes in named.items():
        yield sentence if sentence in causes else rpt_(sentence, ", ".join(causes))


def write(scene: bpy.types.Scene, *, focus: bool) -> list[Setting]:
    """Sets all of them, the camera's focus only with ``focus``; returns what this Blender's configuration has not."""
    refused = []
    for setting in SETTINGS:
        owner, _, name = setting.path.rpartition(".")
        if not setting.is_known or (setting.path == _FOCUS and not focus) or _value(scene, owner) is None:
            continue
        try:
            setattr(_value(scene, owner), name, setting.wanted)
        except TypeError:  # an enumeration that lacks it
            refused.append(setting)
    return refused


def _read_path(scene: bpy.types.Scene, setting: Setting) -> str:
    """Returns the path of the setting that counts: an output may have a view of its own."""
    overrides = scene.render.image_settings.color_management == "OVERRIDE"
    in_view = setting.path.startswith("view_settings.")
    return f"render.image_settings.{setting.path}" if overrides and in_view else setting.path


def _value(scene: bpy.types.Scene, path: str) -> Any:
    """Returns the value at ``path``; None where this scene, or this Blender, has no such setting."""
    found: Any = scene
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


class EFFIGY_OT_exact_view(FaceOperator):
    bl_idname = "effigy.exact_view"
    bl_label = "Exact Pixels"
    bl_description = (
        "Set this scene so that a render shows the face's own pixels: its camera, filled by the plate, its resolution "
        "(or the scene's, smoothly enlarged), the Standard view (AgX changes contrast), no dithering, and no filter or "
        "motion or focus that blurs pixels"
    )
    bl_options = {"REGISTER", "UNDO"}

    size: EnumProperty(
        name="Size",
        items=(
            ("PICTURE", "The Picture's", "Render as many pixels as the picture has: each is the face's own"),
            (
                "SCENE",
                "The Scene's",
                "Keep the scene's resolution: the plate fills its height, and is enlarged smoothly",
            ),
        ),
        default="PICTURE",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        image, render = face_of(face_in(context)).image, scene_of(context).render
        is_of_its_size = image is not None and (render.resolution_x, render.resolution_y) == tuple(image.size)
        if is_of_its_size or self.properties.is_property_set("size"):
            return self.execute(context)
        return set(context.window_manager.invoke_props_dialog(self))

    def draw(self, context: bpy.types.Context) -> None:
        image, render = face_of(face_in(context)).image, scene_of(context).render
        if image is None:
            return
        column = self.layout.column()
        width, height = image.size
        column.prop_enum(self, "size", "PICTURE", text=iface_("The picture's size: {} × {}", width, height))
        width, height = render.resolution_x, render.resolution_y
        column.prop_enum(self, "size", "SCENE", text=iface_("The scene's size: {} × {}", width, height))

    def execute(self, context: bpy.types.Context) -> set[str]:
        proxy, scene = face_in(context), scene_of(context)
        face = face_of(proxy)
        if controls.camera_of(proxy, scene) is None:
            self.report({"ERROR"}, "There is no camera: add one, or choose one in the scene's properties")
            return {"CANCELLED"}
        tears, own = False, face.camera is not None and face.camera.type == "CAMERA"
        if own:
            scene.camera = face.camera
            tears = self._frame(proxy, face.camera, context)
        if face.image is not None and self.size == "PICTURE":
            scene.render.resolution_x, scene.render.resolution_y = face.image.size
        face.sharpen = self._enlarges(scene, face.image)
        if not face.sharpen:
            for node in display.picture_nodes(proxy):
                node.interpolation = "Linear" if tears or self.size == "SCENE" else "Closest"  # pixels as squares
        if write(scene, focus=own):  # a colour configuration of the studio's own
            text = "This colour configuration has no Standard view: choose the one that shows textures as they are"
            self.report({"WARNING"}, text)
        return {"FINISHED"}

    def _enlarges(self, scene: bpy.types.Scene, image: bpy.types.Image | None) -> bool:
        """Returns whether the render shows the picture larger than it is."""
        return image is not None and self.size == "SCENE" and scene.render.resolution_y > image.size[1]

    def _frame(self, proxy: bpy.types.Object, camera: bpy.types.Object, context: bpy.types.Context) -> bool:
        """Fills the camera's picture with the plate; returns whether its pixels tear there."""
        context.view_layer.update()  # the camera may have become the scene's just now
        try:
            plate = read_face(proxy, scene_of(context), context.evaluated_depsgraph_get()).plate
        except UnreadableError as error:
            self.report({"WARNING"}, str(error))
            return False
        framing.fill_frame(camera, plate)
        rolls = [framing.roll_of(camera, plate), *self._later_rolls(proxy, camera, scene_of(context))]
        roll = max(rolls, key=abs)
        tears = framing.tears(roll, face_of(proxy).image)
        if tears:
            text = rpt_("The head is rolled, by {:.1f}° at most: its pixels are mixed, a little softer", roll)
            if face_of(proxy).matte == "NONE":
                text += rpt_(", and what is behind shows at its corners")
            self.report({"WARNING"}, text)
        return tears

    def _later_rolls(self, proxy: bpy.types.Object, camera: bpy.types.Object, scene: bpy.types.Scene) -> list[float]:
        """Returns by how many degrees the picture is rolled in each of the scene's frames, if anything moves there."""
        if not any(obj.animation_data or obj.parent or obj.constraints for obj in (proxy, camera)):
            return []
        rolls = []
        for _ in frames.visit(scene):
            with contextlib.suppress(UnreadableError):
                plate = read_face(proxy, scene, bpy.context.evaluated_depsgraph_get()).plate
                rolls.append(framing.roll_of(camera, plate))
        return rolls


def register() -> None:
    bpy.utils.register_class(EFFIGY_OT_exact_view)


def unregister() -> None:
    bpy.utils.unregister_class(EFFIGY_OT_exact_view)
