# SPDX-License-Identifier: Apache-2.0
"""``effigy photo`` and ``effigy photo paste``: a picture becomes a person, and the posed person goes back into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from effigy_protocol.files import is_folder

from .console import Console, fail, note, stage_progress
from .options import DeviceOption, KeepOption, ModelOption, PitchOption, SetOption, YawOption
from .photos import FaceOption
from .values import read_sets

_MIRROR_APART = 3.0  # percent of the distance between the outer corners of the eyes


def add_to(app: typer.Typer) -> None:
    """Adds these commands to ``app``."""
    app.command(cls=_Photo)(photo)
    app.command(hidden=True)(paste)  # its name before 0.3.0


class _Photo(TyperCommand):
    """``photo PICTURE``, or ``photo paste …``, which is another command. (A picture of that name is ./paste.)"""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Returns the context in which the command runs, with what ``args`` say."""
        group = None if parent is None else parent.command
        if args[:1] == ["paste"] and isinstance(group, TyperGroup):
            return group.commands["paste"].make_context(f"{info_name} paste", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def photo(
    picture: Annotated[Path, typer.Argument(help="PNG, JPEG or WebP. Ask the person in it, unless that is you.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The person's file to write: NAME.person.")],
    model: ModelOption = "default",
    face: FaceOption = 1,
    align: Annotated[
        str,
        typer.Option(
            help="How the face is cut out: model (like the model's own pictures), ffhq, whole (it is already cut "
            "out), or auto: model unless it is already cut out."
        ),
    ] = "auto",
    tune: Annotated[
        bool,
        typer.Option(
            help="For photographs: tune the generator for this person alone. Takes minutes, and adds a MiB to the file."
        ),
    ] = False,
    keep_picture: Annotated[bool, typer.Option(help="Keep the picture itself in the file, for 'photo paste'.")] = False,
    preview: Annotated[
        Path | None, typer.Option(help="A PNG to write as well: the cut-out face and the painted one.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Make a person of the face in a picture, who can then be posed like any other: --latent NAME.person.

    'effigy photo paste NAME.person' puts the posed person back into that picture.
    """
    from .. import api
    from ..faces.person import SUFFIX
    from ..people.alignment import ALIGNMENTS

    if is_folder(out) or out.suffix != SUFFIX:
        raise fail(f"{out} is not the name of a person's file: --out names one, for instance somebody{SUFFIX}")
    if align not in ALIGNMENTS:
        raise fail(f"--align {align!r}: use {', '.join(ALIGNMENTS)}")
    with _failures():
        chosen = api.load(model, device)
        with stage_progress() as progress:
            made = api.photo(
                picture, out=out, face=face, align=align, tune=tune, keep_picture=keep_picture,
                preview=preview, model=chosen,
                progress=lambda share: progress("fit", round(100 * share), 100), note=note,
            )  # fmt: skip
    if made.aligned.faces > 1:
        note(f"{picture} shows {made.aligned.faces} faces: this is face {face}, by size; --face takes another")
    figures = made.figures
    where = "the face" if "psnr_face" in figures else "the picture"
    met = figures.get("tuned_psnr_face", figures.get("psnr_face", figures["psnr"]))
    console = Console(soft_wrap=True, highlight=False)
    unlike = figures.get("tuned_lpips", figures.get("lpips"))
    said = "" if unlike is None else f", LPIPS {unlike:.3f}"
    console.print(f"{out}: {where} is met to {met:.1f} dB{said}", markup=False)
    if (apart := figures.get("mirror_apart", 0.0)) > _MIRROR_APART:
        note(
            f"in its mirror image the face's points are found elsewhere, by {apart:.1f} % of the distance between the "
            "eyes: what is read in this picture is uncertain, so its turn and expression may be off"
        )
    if "psnr_face" in figures and "tuned_psnr" not in figures:
        note(
            "this model paints the person whom it knows that is most like the one in the photograph, which need not be "
            "a likeness: --tune comes nearer, and docs/people.md says what to expect"
        )


def paste(
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG file to write; with --keys, a folder.")],
    person: Annotated[
        Path | None,
        typer.Argument(
            metavar="NAME.person",
            help="A file that 'effigy photo' wrote; a file of --keys may name the person instead.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="The picture that the person was made from, unless the file holds it.")
    ] = None,
    yaw: YawOption = None,
    pitch: PitchOption = None,
    sets: SetOption = None,
    keep: KeepOption = 1.0,
    keys: Annotated[
        Path | None, typer.Option(help="A .csv or .json of keys, as for 'film': a picture for each frame, in a folder.")
    ] = None,
    model: ModelOption = "default",
    device: DeviceOption = "auto",
) -> None:
    """Put a posed person back into the picture that they were made from, at full size.

    Nothing changes but the head, and the background that its turn uncovers.
    """
    from .. import api

    if person is None and keys is None:
        raise fail("say who: name a NAME.person, or --keys that Blender exported")
    if keys is not None and (yaw, pitch, sets, keep) != (None, None, None, 1.0):
        raise fail("--keys say how the face is posed: leave --yaw, --pitch, --set and --keep out")
    with _failures():
        chosen = api.load(model, device)
        if keys is not None:
            with stage_progress() as progress:
                written = api.paste_frames(
                    keys, person, picture, out=out, model=chosen,
                    progress=lambda done, of: progress("paste", done, of),
                )  # fmt: skip
            said = str(written)
        else:
            api.paste(
                person or "", picture, yaw=yaw, pitch=pitch, controls=read_sets(sets), keep=keep, out=out, model=chosen
            )
            said = str(out)
        Console(soft_wrap=True, highlight=False).print(said, markup=False)


@contextmanager
def _failures() -> Iterator[None]:
    """Ends the command with what is wrong."""
    from ..faces import BundleError, LatentError
    from ..faces.picture_reading import NoFaceError
    from ..generators import GeneratorFileError, PictureError
    from ..landmarks import DetectorError
    from ..painting import PaintingError
    from ..people.alignment import UnfitModelError
    from ..people.paste import NoPlaceError
    from ..picture_files import PictureFileError
    from ..recognition import IdentityFileError

    try:
        yield
    except (
        BundleError, DetectorError, GeneratorFileError, IdentityFileError, LatentError, NoFaceError, NoPlaceError,
        PaintingError, PictureError, PictureFileError, UnfitModelError,
    ) as error:  # fmt: skip
        raise fail(error) from None
    except OSError as error:
        raise fail(f"it cannot be written ({error}): choose another place with --out") from None
