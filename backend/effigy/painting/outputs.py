# SPDX-License-Identifier: Apache-2.0
"""Checks of the files that a caller names, made before any work begins."""

from __future__ import annotations

from pathlib import Path

from effigy_protocol.files import is_file, is_folder

from .errors import PaintingError


def check_suffix(path: Path, suffix: str) -> None:
    """Raises PaintingError unless ``path``, a picture's file, ends in ``suffix``: ".png" or ".exr"."""
    if path.suffix.lower() != suffix:
        raise PaintingError(f"{path} is no {suffix} file: pictures are written as PNG, and with layers as .exr")


def check_place(written: str | Path | None) -> None:
    """Raises PaintingError unless a file to write has a folder that exists and a name that can be; None is no file."""
    if written is None:
        return
    path = Path(written)
    if not is_folder(path.parent):
        raise PaintingError(f"there is no folder {path.parent} to write {path.name} to")
    try:
        path.exists()
    except OSError as error:  # a name that is too long
        raise PaintingError(f"{path} cannot be written ({error.strerror}): name another file") from None


def check_apart(written: str | Path | None, picture: str | Path | bytes | None) -> None:
    """Raises PaintingError if writing to ``written`` would overwrite ``picture``, which is read."""
    if written is None or picture is None or isinstance(picture, bytes):
        return
    if is_file(Path(written)) and is_file(Path(picture)) and Path(written).samefile(picture):
        raise PaintingError(f"{written} is the picture itself, which would be lost: name another file to write")
