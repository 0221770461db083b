# SPDX-License-Identifier: GPL-3.0-or-later
"""From Photo: the backend makes somebody of the face in a picture, and the active face becomes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from effigy_client.errors import RequestError
from effigy_client.long_work import LongWork, read_picture
from effigy_protocol.messages import MOST_FACES, FromPhoto, Identity, OpenIdentity, PictureRead, Welcome, pieces

from ..pictures import photo
from ..pictures.photo import PictureError
from ..pictures.session import session
from ..scene import controls
from ..scene.properties import face_of
from ..translation import iface_, rpt_
from .choosing import OpensFile
from .opening import ChangeOperator
from .operator import hand_over
from .portrait import Shown, portrait

_PATIENCE_S = 3600.0  # of scripts: generators of 1024 pixels take minutes on a processor
_PICTURES = "*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp"


class PhotoSettings(ChangeOperator):
    """The settings for making a person of a picture."""

    filepath: StringProperty(name="Picture", subtype="FILE_PATH")
    number: IntProperty(
        name="Face", description="Which face, if the picture shows several: 1 is the largest; 0 shows them to choose "
        "from",
        default=0, min=0, max=MOST_FACES, options={"SKIP_SAVE"},
    )  # fmt: skip
    tune: BoolProperty(
        name="Tune",
        description="Tune the generator for this person alone: comes much closer to a photograph, takes a minute or "
        "more, and adds a MiB to the .blend. Pictures that the model painted itself need none of it",
        default=True,
    )
    alignment: EnumProperty(
        name="Cut Out",
        description="How the face is cut out of the picture",
        items=(
            ("auto", "Automatic", "Like the model's own faces, unless the picture is already cut like that"),
            ("model", "As the Model's", "So that it lies where the model's average face would"),
            (
                "ffhq",
                "As FFHQ's",
                "By eyes and mouth, like the faces of FFHQ, on which most public models were trained",
            ),
            ("whole", "Not at All", "The picture is cut out already"),
        ),
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        for name in ("tune", "alignment"):  # which face is meant is asked once they are counted
            layout.prop(self, name)
        column = layout.column()
        column.scale_y = 0.8
        tuned = "Takes a minute or more." if self.tune else "Without Tune hardly a likeness."
        for line in (tuned, "Only of people who agreed.", "See People from Pictures in the manual."):
            column.label(text=line)


class EFFIGY_OT_identity_from_photo(OpensFile, PhotoSettings):
    bl_idname = "effigy.identity_from_photo"
    bl_label = "Identity from Photo"
    bl_description = (
        "Make a person of the face in a picture, and give this face that identity; pose, expression and animation "
        "stay. Everything runs on this computer"
    )
    bl_options = {"REGISTER"}  # what follows is the undo step

    filter_glob: StringProperty(default=_PICTURES, options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return hand_over(self, context, EFFIGY_OT_make_person.bl_idname)


class EFFIGY_OT_make_person(PhotoSettings):
    bl_idname = "effigy.make_person"
    bl_label = "Identity from Photo"
    bl_description = "Make a person of a picture, for Identity from Photo"
    bl_options = {"UNDO", "INTERNAL"}
    look_s = 0.1

    def request(self, context: bpy.types.Context) -> OpenIdentity:
        self.target(context)
        return OpenIdentity(FromPhoto(pieces(self._file()), self.number or 1, self.alignment, self.tune), own=True)

    def _file(self) -> bytes:
        """Reads the chosen picture's file. Raises ValueError."""
        try:
            return photo.of_file(Path(bpy.path.abspath(self.filepath)))
        except PictureError as error:
            raise ValueError(str(error)) from None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if portrait.is_under_way:
            self.report({"ERROR"}, "Another person is being made: wait for that, or stop it")
            return {"CANCELLED"}
        self._counting: LongWork[PictureRead] | None = None
        self._work: LongWork[Identity] | None = None
        self._is_made = False
        try:
            link, self._request = session.connected().link, self.request(context)
            if self.number == 0:
                self._counting = read_picture(link, self._file(), numbered=True)
            else:
                self._work = LongWork(link, self._request)
        except (RequestError, ValueError) as error:
            return self._fail(error)
        portrait.begin(Path(self.filepath).name, self.target(context).name)
        return self.watch(context)

    def look(self, context: bpy.types.Context) -> set[str] | None:
        if portrait.is_unwanted:
            return {"CANCELLED"}
        try:
            if self._counting is not None:
                return self._count(context)
            if self._work is None:
                self._work = LongWork(session.connected().link, self._request)
            identity = self._work.poll()
        except (RequestError, ValueError) as error:
            return self._fail(error)
        work = self._work
        portrait.update(work.stage, work.share, None if work.preview is None else bytes(work.preview))
        if identity is None:
            name, percent = Path(self.filepath).name, round(100 * work.share)
            if self.number:
                text = rpt_("Making a person of face {} in {}: {} % (Esc stops)", self.number, name, percent)
            else:
                text = rpt_("Making a person of {}: {} % (Esc stops)", name, percent)
            self.show_status(context, text)
            return None
        result = self._use(context, lambda: identity)
        self._is_made = result == {"FINISHED"}
        return result

    def opened(self, context: bpy.types.Context, welcome: Welcome, identity: Identity) -> None:
        super().opened(context, welcome, identity)
        proxy = self.target(context)
        face_of(proxy).source_photo = self.filepath  # into which the face can be pasted
        if any(controls.values_of(proxy).values()):
            self.report({"INFO"}, "Its sliders add to the expression in the picture. Neutral shows that alone")

    def _count(self, context: bpy.types.Context) -> set[str] | None:
        """Goes on where there is one face; where there are several, the artist is asked first. Raises RequestError."""
        read = self._counting.poll() if self._counting is not None else None
        if read is None:
            return None
        self._counting = None
        if len(read.faces) == 1 or read.numbered is None:
            return None
        chosen: Any = self  # Blender's stubs take what follows for None
        settings = chosen.as_keywords(ignore=("check_existing", "number"))
        ask_which(context, bytes(read.numbered), len(read.faces), settings)
        return {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        for work in (self._counting, self._work):
            if work is not None:
                work.cancel()
        super().cancel(context)
        self.show_status(context, None)
        portrait.end(made=self._is_made)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Runs the operator for scripts, and waits until it is done."""
        try:
            request = self.request(context)
            identities = session.reachable()
            work: LongWork[Identity] = LongWork(identities.link, request)
            identity = work.wait(_PATIENCE_S)
        except (RequestError, ValueError) as error:
            return self._fail(error)
        return self._use(context, lambda: identity)

    def _fail(self, error: Exception) -> set[str]:
        self.report({"ERROR"}, rpt_("No person can be made of the picture: {}", error))
        return {"CANCELLED"}


_faces = Shown()  # the picture with a number at each face, while its menu may be seen


def ask_which(context: bpy.types.Context, numbered: bytes, faces: int, settings: dict[str, Any]) -> None:
    """Shows a menu of the picture's faces, by number; choosing one makes that person, Esc none."""
    _faces.show(numbered)

    def draw(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
        layout: Any = menu.layout
        text = iface_("{} faces are seen: which is meant? The largest is number 1", faces)
        layout.label(text=text, translate=False)  # as wide as the picture
        _faces.draw(layout, 15.0)
        layout.operator_context = "INVOKE_DEFAULT"
        for number in range(1, faces + 1):
            asked = layout.operator(EFFIGY_OT_make_person.bl_idname, text=iface_("Face {}", number), icon="USER")
            for name, value in settings.items():
                setattr(asked, name, value)
            asked.number = number

    context.window_manager.popup_menu(draw, title="Whose Face?", icon="QUESTION")


_CLASSES = (EFFIGY_OT_identity_from_photo, EFFIGY_OT_make_person)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    _faces.forget()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
