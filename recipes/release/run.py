# SPDX-License-Identifier: Apache-2.0
"""``make release``: everything that a release consists of, in dist/release. The same sources give the same bytes.

python -m recipes.release.run --blender PYTHON_WITH_BPY [--tests out/tests] [--out dist/release] [--address https://…]

effigy-<version>.zip                 the add-on, for Blender's Install from Disk
index.json                           makes the folder an extension repository, by Blender's own tool
effigy_faces-<version>-….whl         the backend, with the embedded default
compatibility.md, site/              what was tested; the documentation
SHA256SUMS
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # for build_addon

import build_addon

from .compatibility import table
from .site import EPOCH, build_site

_ZIP_MB, _WHEEL_MB = 9, 45
_SUMS = "SHA256SUMS"
_PARTS = ("effigy-*.zip", "effigy_faces-*.whl", "index.json", "compatibility.md", "site", _SUMS)
_NEEDED = ("effigy/faces/default.effigy/model.json", "effigy/faces/default.effigy/generator.safetensors")


def main(blender: Path, tests: Path, out: Path, address: str) -> None:
    """Builds all of it anew as ``out``, which ``address`` will have: the whole release, or what was there before.

    Raises SystemExit that says what is wrong.
    """
    out = out.resolve()
    check_replaceable(out)
    version = build_addon.read_version()
    compatibility = table(sorted(tests.glob("*.xml")), version)
    if "passed" not in compatibility:
        print(f"{tests} has no report of Effigy {version}: the table will call everything untested (run make test)")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=out.parent) as temporary:
        made = Path(temporary) / "release"
        made.mkdir()
        fill(made, blender, compatibility, address)
        shutil.rmtree(out, ignore_errors=True)
        made.replace(out)
    print((out / _SUMS).read_text(encoding="utf-8"), end="")


def check_replaceable(out: Path) -> None:
    """Raises SystemExit if ``out`` is there and has anything in it that is no part of a release."""
    if out.is_dir():
        strangers = [path.name for path in out.iterdir() if not any(path.match(part) for part in _PARTS)]
    else:
        strangers = [out.name] if out.exists() else []
    if strangers:
        raise SystemExit(f"{out} is to be replaced, but {min(strangers)} is no part of a release: choose another --out")


def fill(folder: Path, blender: Path, compatibility: str, address: str) -> None:
    """Builds the parts of a release into ``folder``, their checksums last."""
    print(f"Effigy {build_addon.read_version()}\n  the backend …", flush=True)
    wheel = build_wheel(folder)
    check_size(wheel, _WHEEL_MB)
    print("  the add-on …", flush=True)
    check_size(build_addon.build(blender, folder, wheel, address), _ZIP_MB)
    make_index(blender, folder)
    print("  the documentation …", flush=True)
    (folder / "compatibility.md").write_text(compatibility, encoding="utf-8")
    build_site(compatibility, folder / "site")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    (folder / _SUMS).write_text(
        "".join(f"{build_addon.digest(path)}  {path.name}\n" for path in files), encoding="utf-8"
    )


def build_wheel(out: Path) -> Path:
    """The backend's wheel, by its own build system, with one date for every file."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT)]
    ran = subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH}, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"the wheel cannot be built:\n{ran.stderr}")
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        if missing := set(_NEEDED) - set(archive.namelist()):
            raise SystemExit(f"{wheel.name} is without {', '.join(sorted(missing))}")
    return wheel


def make_index(blender: Path, folder: Path) -> None:
    """Makes ``folder``, with the zip in it, an extension repository that Blender can be given the address of."""
    tool = build_addon.extension_tool(blender)
    command = [sys.executable, tool, "server-generate", f"--repo-dir={folder}"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode or not (folder / "index.json").is_file():
        raise SystemExit(f"Blender's tool made no index:\n{ran.stdout}{ran.stderr}")


def check_size(path: Path, most: int) -> None:
    size = path.stat().st_size / 2**20
    print(f"    {path.name}  {size:.1f} MiB", flush=True)
    if size > most:
        raise SystemExit(f"{path.name} has {size:.1f} MiB, more than {most}: see what was packed that need not be")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, required=True, help="a Python with bpy, whose extension tool is used")
    parser.add_argument("--tests", type=Path, default=ROOT / "out" / "tests", help="JUnit files of the tests that ran")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "release")
    parser.add_argument(
        "--address", default="", help="where the files will lie in the net: the add-on installs from there"
    )
    options = parser.parse_args()
    main(options.blender, options.tests, options.out, options.address)
