# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender environments that make sets up: real Blender as a Python module, without Effigy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Blender:
    version: str
    python: Path

    def environment(self, user: Path, addon_zip: Path, effigy_command: str) -> dict[str, str]:
        """Returns environment variables for a process with an empty user folder."""
        # Backends do not compile generators for previews where others may write. That takes longer than many a test,
        # happens whenever enough previews were painted, and changes them a little. (tests/backend/test_previews.py)
        compiled = user / "cache" / "compiled"
        compiled.mkdir(parents=True, exist_ok=True)
        compiled.chmod(0o777)
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            "BLENDER_USER_RESOURCES": str(user / "blender"),
            "EFFIGY_ZIP": str(addon_zip),
            "EFFIGY_COMMAND": effigy_command,
            "EFFIGY_CACHE": str(compiled.parent),
            # Threads that wait for each other at every layer would take time from other processes.
            "OMP_NUM_THREADS": "1",
        }


BLENDERS = [
    Blender(folder.name.removeprefix("blender-"), folder / "bin" / "python")
    for folder in sorted((ROOT / ".venvs").glob("blender-*"))
    if (folder / "ready").is_file()
]
OLDEST_AND_NEWEST = BLENDERS[:1] + BLENDERS[1:][-1:]
NEWEST_3_11 = next((blender for blender in BLENDERS if blender.version == "5.0"), None)
