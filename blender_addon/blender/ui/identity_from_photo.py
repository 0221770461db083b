# SPDX-License-Identifier: GPL-3.0-or-later
"""From Photo: the backend makes somebody of the face in a picture, and the active face becomes them."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from effigy_client.errors import RequestError
from effigy_client.long_work import LongWork
from effigy_protocol.messages import MOST_FACES, FromPhoto, Identity, OpenIdentity, pieces

from ..pictures import photo
from ..pictures.photo import PictureError
from ..pictures.session import session
from ..translation import rpt_
from .opening import ChangeOperator
from .operator import hand_over

_PATIENCE_S = 3600.0  # of scripts: generators of 1024 pixels take minutes on a processor
_PICTURES = "*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp"


class PhotoSettings(ChangeOperator):
    """What is asked of a picture."""

    filepath: StringProperty(name="Picture", subtype="FILE_PATH")
    number: IntProperty(
        name="Face", description="Which, where the picture shows several: 1 is the largest", default=1, min=1,
        max=MOST_FACES, options={"SKIP_SAVE"},
    )  # fmt: skip
    tune: BoolProperty(
        name="Tune",
        description="Change the generator for this person alone, until it paints them: comes much nearer to a "
        "photograph, takes minutes, and a MiB in the .blend. Not for pictures that the model painted itself",
    )
    alignment: EnumProperty(
        name="Cut Out",
        description="How the face is cut out of the picture",
        items=(
            ("auto", "Automatic", "As the model's own faces are, unless the picture is cut so already"),
            ("model", "As the Model's", "So that it lies where the model's average face would"),
            ("ffhq", "As FFHQ's", "By eyes and mouth, as the faces of FFHQ were, of which most public models are"),
            ("whole", "Not at All", "The picture is cut out already"),
        ),
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("number", "tune", "alignment"):
            layout.prop(self, name)
        column = layout.column()
        column.scale_y = 0.8
        for line in ("Only of people who agreed.", "See People from Pictures in the manual."):
            column.label(text=line)


class EFFIGY_OT_identity_from_photo(ImportHelper, PhotoSettings):
    bl_idname = "effigy.identity_from_photo"
    bl_label = "Identity from Photo"
    bl_description = (
        "Make somebody of the face in a picture, and give this face that identity; pose, expression and animation "
        "stay. It is done on this computer"
    )
    bl_options = {"REGISTER"}  # what follows is the undo step

    filter_glob: StringProperty(default=_PICTURES, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return hand_over(self, context, EFFIGY_OT_make_person.bl_idname)


class EFFIGY_OT_make_person(PhotoSettings):
    bl_idname = "effigy.make_person"
    bl_label = "Identity from Photo"
    bl_description = "Make somebody of a picture, as Identity from Photo asks"
    bl_options = {"UNDO", "INTERNAL"}

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        self.target(context)
        try:
            data = photo.of_file(Path(bpy.path.abspath(self.filepath)))
        except PictureError as error:
            raise ValueError(str(error)) from None
        return OpenIdentity(FromPhoto(pieces(data), self.number, self.alignment, self.tune))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        try:
            self._work: LongWork[Identity] = LongWork(photo.needs_backend().link, self.request(context))
        except (RequestError, ValueError) as error:
            return self._fail(error)
        return self.watch(context)

    def look(self, context: bpy.types.Context) -> set[str] | None:
        try:
            identity = self._work.look()
            if identity is None:
                share = round(100 * self._work.share)
                name = Path(self.filepath).name
                self.tell(context, rpt_("Making a person of {}: {} % (Esc stops)", name, share))
                return None
        except (RequestError, ValueError) as error:
            return self._fail(error)
        return self._use(context, lambda: identity)

    def cancel(self, context: bpy.types.Context) -> None:
        self._work.cancel()
        super().cancel(context)
        self.tell(context, None)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """For scripts: waits."""
        try:
            request = self.request(context)
            identities = session.ensure_ready() if bpy.app.background else photo.needs_backend()
            work: LongWork[Identity] = LongWork(identities.link, request)
            identity = work.wait(_PATIENCE_S)
        except (RequestError, ValueError) as error:
            return self._fail(error)
        return self._use(context, lambda: identity)

    def _fail(self, error: Exception) -> set[str]:
        self.report({"ERROR"}, rpt_("No person can be made of the picture: {}", error))
        return {"CANCELLED"}


_CLASSES = (EFFIGY_OT_identity_from_photo, EFFIGY_OT_make_person)


register, unregister = bpy.utils.register_classes_factory(_CLASSES)
