# SPDX-License-Identifier: Apache-2.0
"""Ends a recipe in a sentence where what it was given cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from effigy.faces import BundleError
from effigy.faces.picture_reading import NoFaceError
from effigy.generators import GeneratorFileError
from effigy.landmarks import DetectorError
from effigy.people import UnfitModelError
from effigy.picture_files import PictureFileError
from effigy.recognition import IdentityFileError
from effigy_protocol.files import file_problem
from recipes.demo_face.bake import load_assets
from recipes.demo_face.renderer import Renderer


@contextmanager
def told() -> Iterator[None]:
    """Raises SystemExit with the sentence of an error that is about what the recipe was given."""
    try:
        yield
    except (
        BundleError, DetectorError, GeneratorFileError, IdentityFileError, NoFaceError, PictureFileError,
        UnfitModelError,
    ) as error:  # fmt: skip
        raise SystemExit(str(error)) from None


def renderer_of(head: Path, size: int) -> Renderer:
    """Returns the renderer of the head in a file that recipes/demo_face has baked. Raises SystemExit."""
    wanted = "'python -m recipes.demo_face bake' writes it"
    if problem := file_problem(head):
        raise SystemExit(f"{problem}: {wanted}")
    try:
        return Renderer(load_assets(head), size)
    except Exception as error:  # noqa: BLE001 a file of anything leads NumPy to errors of any kind
        raise SystemExit(f"{head} is no head that was baked ({type(error).__name__}: {error}): {wanted}") from None


def read_record(path: Path) -> dict[str, dict[str, Any]]:
    """Reads what a recipe has recorded, one line a picture, by file. Raises SystemExit."""
    if not path.exists():
        return {}
    if problem := file_problem(path):
        raise SystemExit(f"{problem}: --record names a file")
    rows = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            row = json.loads(line)
            rows[row["file"]] = row
        except (KeyError, TypeError, ValueError):
            raise SystemExit(
                f"{path}, line {number}, is no record of a picture: remove the line, or the file"
            ) from None
    return rows
