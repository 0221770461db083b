# SPDX-License-Identifier: Apache-2.0
"""Builds dist/effigy-<version>.zip: one extension for Linux, Windows and macOS, Blender 4.2 and newer.

    python build_addon.py [--blender PYTHON_WITH_BPY] [--relock]

Packs client/ and protocol/ as one wheel of its own, bundles it with the wheels of wheels.lock.json (each checked
against its sha256) and lets Blender's own extension tool validate the result. The same sources give the same bytes.
``--relock`` looks the wheels up again and rewrites the lock.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import runpy
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "blender_addon"
LOCK = SOURCE / "wheels.lock.json"
CACHE = ROOT / "build" / "wheels"

# What Blender 4.2 to 5.2 run on. pyzmq's abi3 wheel serves every Python from 3.12 on.
# Before 27.3 pyzmq's wheels for Linux and macOS hold an encryption that was compiled without optimisation.
PACKAGES = {"pyzmq": ("27.3.0", ("3.11", "3.13")), "msgpack": ("1.1.2", ("3.11", "3.13", "3.14"))}
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_26_x86_64", "manylinux_2_17_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2"),
}
LEFT_OUT = {"__pycache__", "README.md", LOCK.name}
PURE = (ROOT / "client" / "effigy_client", ROOT / "protocol" / "effigy_protocol")  # what our own wheel holds
EPOCH = (2020, 1, 1, 0, 0, 0)  # the date of every file in the zip


@dataclass(frozen=True, slots=True)
class Wheel:
    """One line of the lock: a wheel's file name, its checksum, and what pip must be asked to get it."""

    name: str
    version: str
    python: str
    platform: str
    file: str
    sha256: str


def build(
    blender_python: Path | None, out: Path = ROOT / "dist", backend: Path | None = None, address: str = ""
) -> Path:
    """Builds the zip into ``out`` and returns its path; raises SystemExit with a message that says what to do.

    ``backend``: the wheel that the add-on is to install, which a release has at ``address``.
    """
    manifest = (SOURCE / "blender_manifest.toml").read_text(encoding="utf-8")
    version = read_version()
    path = out / f"effigy-{version}.zip"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:  # its own: builds may run beside each other
        stage = Path(temporary) / "effigy"
        lay_out(stage, manifest, version, fetch(read_lock()))
        if backend is not None:
            (stage / "backend.json").write_text(describe_backend(backend, address), encoding="utf-8")
        staged = sorted(file for file in stage.rglob("*") if file.is_file())
        pack({file.relative_to(stage).as_posix(): file.read_bytes() for file in staged}, path)
    if blender_python is not None:
        validate(path, blender_python)
    return path


def read_version() -> str:
    """Returns the version that protocol/effigy_protocol/version.py states, the one place where it stands."""
    return str(runpy.run_path(str(PURE[1] / "version.py"))["VERSION"])


def describe_backend(wheel: Path, address: str) -> str:
    """Returns the JSON by which the add-on recognises its backend: see effigy_client.install.plan.Wheel."""
    said = {
        "name": wheel.name,
        "version": wheel.name.split("-")[1],
        "sha256": digest(wheel),
        "size": wheel.stat().st_size,
    }
    return json.dumps({**said, "address": address}, indent=1) + "\n"


def lay_out(stage: Path, manifest: str, version: str, wheels: list[Path]) -> None:
    """Lays the extension out in the new folder ``stage`` as it is in the zip."""
    shutil.copytree(SOURCE, stage, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (stage / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, stage / "wheels")
    pack_client(version, stage / "wheels")
    listed = "".join(f'  "./wheels/{wheel.name}",\n' for wheel in sorted((stage / "wheels").iterdir()))
    platforms = ", ".join(f'"{name}"' for name in PLATFORMS)
    head, section, permissions = manifest.partition("[permissions]")
    text = f'{head}version = "{version}"\n'
    text += f"platforms = [{platforms}]\nwheels = [\n{listed}]\n\n{section}{permissions}"
    (stage / "blender_manifest.toml").write_text(text, encoding="utf-8")


def pack_client(version: str, folder: Path) -> Path:
    """Writes client/ and protocol/ as a wheel into ``folder`` and returns its path.

    Blender unpacks a wheel only where none of that version is, so the version carries a digest of the contents:
    ``effigy_client-0.2.0+1234abcd-py3-none-any.whl``.
    """
    contents = {
        path.relative_to(package.parent).as_posix(): path.read_bytes()
        for package in PURE
        for path in sorted(package.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    told = b"".join(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode() for name, data in contents.items())
    name = f"effigy_client-{version}+{hashlib.sha256(told).hexdigest()[:8]}"
    info = f"{name}.dist-info"
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.4\nName: effigy-client\nVersion: {name.partition('-')[2]}\n"
        "Summary: A client of Effigy's backend\nLicense-Expression: Apache-2.0\nLicense-File: LICENSE\n"
        "Requires-Python: >=3.11\nRequires-Dist: msgpack\nRequires-Dist: numpy\nRequires-Dist: pyzmq\n"
    ).encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: build_addon\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    contents[f"{info}/licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = "".join(f"{path},{recorded(data)},{len(data)}\n" for path, data in contents.items())
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / f"{name}-py3-none-any.whl"
    pack(contents, path)
    return path


def recorded(data: bytes) -> str:
    """Returns the checksum of a file as a wheel's RECORD has it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pack(contents: dict[str, bytes], path: Path) -> None:
    """Zips ``contents``, by name, with one date and one mode, so that equal sources give equal bytes."""
    temporary = path.with_name(path.name + ".part")
    with zipfile.ZipFile(temporary, "w") as archive:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o100644 << 16
            info.create_system = 3
            # Wheels are compressed already; storing them keeps the result independent of zlib's version.
            info.compress_type = zipfile.ZIP_STORED
            archive.writestr(info, data)
    temporary.replace(path)


def extension_tool(blender_python: Path) -> str:
    """Returns the script behind ``blender --command extension``, which any Python runs. Raises SystemExit."""
    where = (
        "import importlib.util as u, pathlib; root = pathlib.Path(u.find_spec('bpy').origin).parent; "
        "print(next(root.rglob('bl_pkg/cli/blender_ext.py')))"
    )
    try:
        found = subprocess.run([blender_python, "-c", where], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"{blender_python} has no bpy module ({error}): run make .venvs/blender-5.0/ready") from None
    return str(found.stdout.strip().splitlines()[-1])


def validate(path: Path, blender_python: Path) -> None:
    """Runs Blender's own extension tool on the zip; raises SystemExit when it finds a fault."""
    tool = extension_tool(blender_python)
    checked = subprocess.run([sys.executable, tool, "validate", str(path)], capture_output=True, text=True)
    if checked.returncode:
        raise SystemExit(f"Blender refuses {path.name}:\n{checked.stdout}{checked.stderr}")


def read_lock() -> list[Wheel]:
    return [Wheel(**entry) for entry in json.loads(LOCK.read_text(encoding="utf-8"))]


def fetch(wheels: list[Wheel]) -> list[Path]:
    """Returns the locked wheels as files, downloaded unless build/wheels has them; every checksum is checked."""
    CACHE.mkdir(parents=True, exist_ok=True)
    missing = [wheel for wheel in wheels if not (CACHE / wheel.file).is_file()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda wheel: download(wheel.name, wheel.version, wheel.python, wheel.platform), missing))
    for wheel in wheels:
        path = CACHE / wheel.file
        if not path.is_file():
            raise SystemExit(f"the package index gave another file than {wheel.file}: check it, then run with --relock")
        if digest(path) != wheel.sha256:
            path.unlink()
            raise SystemExit(f"{wheel.file} is not the file that was locked (its sha256 differs): it was removed")
    return [CACHE / wheel.file for wheel in wheels]


def download(name: str, version: str, python: str, platform: str) -> Path:
    """Gets one wheel into build/wheels with pip and returns it."""
    folder = CACHE / f".{name}-{python}-{platform}"
    shutil.rmtree(folder, ignore_errors=True)  # what a download that was stopped has left
    platforms = [option for tag in PLATFORMS[platform] for option in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, *platforms, "--dest", str(folder), f"{name}=={version}"]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"pip cannot get {name} {version} for Python {python}, {platform}:\n{ran.stderr}")
    (got,) = folder.iterdir()
    kept = got.replace(CACHE / got.name)
    folder.rmdir()
    return kept


def relock() -> None:
    """Looks every wheel up and writes wheels.lock.json."""

    def wanted() -> Iterator[Wheel]:
        for name, (version, pythons) in PACKAGES.items():
            for python in pythons:
                for platform in PLATFORMS:
                    path = download(name, version, python, platform)
                    yield Wheel(name, version, python, platform, path.name, digest(path))

    CACHE.mkdir(parents=True, exist_ok=True)
    LOCK.write_text(json.dumps([asdict(wheel) for wheel in wanted()], indent=2) + "\n", encoding="utf-8")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, help="a Python with bpy, whose extension tool validates the zip")
    parser.add_argument("--relock", action="store_true", help="rewrite wheels.lock.json")
    options = parser.parse_args()
    if options.relock:
        relock()
    path = build(options.blender)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 2**20:.1f} MB  sha256 {digest(path)}")


if __name__ == "__main__":
    main()
