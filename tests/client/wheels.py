# SPDX-License-Identifier: Apache-2.0
"""Small wheels that stand for the real ones. Tests inside Blender write them too."""

from __future__ import annotations

import zipfile
from pathlib import Path

DOCTOR = (
    "def app():\n    import sys, torch\n    print('all is well', sys.argv[1:])\n"  # effigy doctor, where torch is there
)


def write_wheel(folder: Path, name: str, version: str, code: str, *, needs: str = "", script: str = "") -> Path:
    """A wheel of one module. ``script``: an entry point."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script}\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file), text)
    return path
