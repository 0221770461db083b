# SPDX-License-Identifier: Apache-2.0
"""``effigy bake``: has Blender bake a .blend, with this Effigy as its backend."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from effigy_protocol.files import file_problem

from .errors import PaintingError

_VARIABLE = "EFFIGY_BLENDER"
_SAID = "effigy: "  # how the add-on's lines begin
_ERROR = re.compile(r"Error: (?:Error: )*(.+)")  # of an operator, and Python's name of it before
_LAST = 8  # lines of Blender's that are told when it fails


def find_blender(named: Path | None = None) -> Path:
    """Returns the Blender that is named, else the one of EFFIGY_BLENDER, on the path, or where installers put it.

    Raises PaintingError.
    """
    asked = named or (Path(os.environ[_VARIABLE]) if os.environ.get(_VARIABLE) else None)
    if asked is not None:
        found = shutil.which(asked)
        if found is None:
            raise PaintingError(f"there is no Blender {asked}: give the program itself to --blender")
        return Path(found)
    if on_path := shutil.which("blender"):
        return Path(on_path)
    if installed := next(_installed(), None):
        return installed
    raise PaintingError(f"no Blender is found: name it with --blender, or in {_VARIABLE}")


def _installed() -> Iterator[Path]:
    """Lists where installers put Blender, newest first."""
    if sys.platform == "darwin":
        places = (Path("/Applications"), "Blender*.app/Contents/MacOS/Blender")
    elif sys.platform == "win32":
        places = (Path(os.environ.get("PROGRAMFILES", "C:/Program Files")) / "Blender Foundation", "*/blender.exe")
    else:
        places = (Path("/opt"), "blender*/blender")
    yield from sorted(places[0].glob(places[1]), reverse=True)


def bake_blend(
    blend: Path,
    blender: Path | None = None,
    *,
    save: bool = True,
    model: str | None = None,
    matte: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Bakes every face of every scene in ``blend`` with Blender; ``save`` keeps the .blend showing the pictures.

    ``model``: the faces' bundle, instead of the one in the add-on's preferences. ``matte``: for all faces, instead of
    each face's own setting. ``report`` is called with what the add-on prints. Raises PaintingError with Blender's
    error.
    """
    if problem := file_problem(blend, ".blend"):
        raise PaintingError(problem)
    program = find_blender(blender)
    arguments = f"command={_command()!r}, model={model or ''!r}, save={save}"
    if matte is not None:
        arguments += f", matte={matte!r}"
    # The add-on's own operator does it all: this is one line, and knows nothing of Blender but its name.
    command = [str(program), "--background", str(blend.resolve()), "--python-exit-code", "3", "--python-expr"]
    last: deque[str] = deque(maxlen=_LAST)
    has_baked = False
    try:
        running = subprocess.Popen(  # noqa: S603 what its user names
            [*command, f"import bpy; bpy.ops.effigy.bake_all({arguments})"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise PaintingError(f"{program} cannot be started: {error}") from None
    with running:
        try:
            for line in running.stdout or ():
                last.append(line.rstrip())
                if line.startswith(_SAID):
                    has_baked = True
                    report(line.removeprefix(_SAID).rstrip())
        except BaseException:
            running.terminate()
            raise
    if running.returncode != 0:
        raise PaintingError(_why(program, running.returncode, list(last)))
    if not has_baked:  # Blender may end with 0 where it cannot read a file
        raise PaintingError(f"{program} ended without a bake of {blend}:\n" + "\n".join(last))


def _why(program: Path, code: int, said: list[str]) -> str:
    text = "\n".join(said)
    if "bake_all" in text and "could not be found" in text:
        return f"{program} has no Effigy add-on of this version: install and enable its zip, and save the preferences"
    errors = [match[1] for line in said if (match := _ERROR.search(line))]
    return errors[-1] if errors else f"{program} ended with code {code}:\n{text}"


def _command() -> str:
    """Returns the command of this Effigy, which Blender is to start as its backend."""
    beside = shutil.which("effigy", path=str(Path(sys.executable).parent)) or shutil.which("effigy")
    if beside is None:
        raise PaintingError(f"there is no effigy beside {sys.executable}, nor on the path: install the wheel")
    return beside
