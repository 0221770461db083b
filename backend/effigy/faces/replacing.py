# SPDX-License-Identifier: Apache-2.0
"""Replaces files of a bundle together: a process that is killed leaves the old bundle or the new one, never a mixture.

The new files are written into a folder within the bundle. When that is complete it is renamed, and from then on the
bundle counts as replaced: the files move to their places, the header last. If the process is killed in between, the
next reader of the bundle moves the rest (``complete``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from effigy_protocol.files import is_file, scratch_folder

_PART, _WHOLE = "learnt.part", "learnt"  # folders in a bundle, of new files before and after they are complete


@contextmanager
def replaced_together(folder: Path, last: str) -> Iterator[Path]:
    """Gives a folder to write into; at the end its files replace those of the same names in ``folder``, ``last`` last.

    On an error nothing is replaced. Raises OSError.
    """
    complete(folder, last)
    with scratch_folder(folder / _PART) as part:
        part.mkdir(parents=True)
        yield part
        part.rename(folder / _WHOLE)
    complete(folder, last)


def check_replaceable(folder: Path) -> None:
    """Raises OSError unless files can be put into ``folder``, which need not exist yet. Leaves nothing behind."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with scratch_folder(folder / _PART) as part:
        part.mkdir(parents=True)
    with suppress(OSError):  # somebody else may use one by now
        for each in missing:
            each.rmdir()


def complete(folder: Path, last: str) -> None:
    """Moves the new files of a replacement that was stopped to their places in ``folder``. Raises OSError.

    A symbolic link is not followed: in a bundle from somebody else it could lead to the reader's own files.
    """
    whole = folder / _WHOLE
    if whole.is_symlink() or not whole.is_dir():
        return
    with suppress(FileNotFoundError):  # another reader was faster
        for path in sorted(whole.iterdir(), key=lambda path: path.name == last):
            with suppress(FileNotFoundError):
                path.replace(folder / path.name)
        whole.rmdir()


def is_there(folder: Path, last: str) -> bool:
    """Returns whether ``folder`` has the file ``last``, or will have it when it is complete."""
    return is_file(folder / last) or is_file(folder / _WHOLE / last)
