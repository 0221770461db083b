# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes ``path``, text as UTF-8; whatever happens, what was there before stays or the new one is complete.

    Raises OSError that names ``path`` and leaves nothing beside it.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
