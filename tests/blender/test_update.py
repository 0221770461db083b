# SPDX-License-Identifier: GPL-3.0-or-later
"""An update of the add-on while Blender runs: a client that is loaded stays loaded, so Effigy asks for a restart."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
import zipfile

import pytest

import build_addon

from .environments import OLDEST_AND_NEWEST, Blender

SCRIPT = """
import os, sys, traceback
import bpy, addon_utils
package = "bl_ext.user_default.effigy"

def install(file):
    bpy.ops.extensions.package_install_files(filepath=file, repo="user_default", enable_on_install=False)
    addon_utils.enable(package, default_set=True)
    import effigy_client
    waits = hasattr(bpy.types, "EFFIGY_PT_restart")
    print(effigy_client.__version__, "waits" if waits else "works", hasattr(bpy.types.Object, "effigy"))

code = 1
try:
    for file in sys.argv[1:]:
        install(file)
    addon_utils.disable(package)
    assert not hasattr(bpy.types, "EFFIGY_PT_restart")
    code = 0
except BaseException:
    traceback.print_exc()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""


def client_of(archive):
    manifest = tomllib.loads(zipfile.ZipFile(archive).read("blender_manifest.toml").decode())
    (wheel,) = [name for name in manifest["wheels"] if "/effigy_client-" in name]
    return wheel.split("-")[1]


@pytest.mark.parametrize("blender", OLDEST_AND_NEWEST, ids=lambda blender: blender.version)
def test_an_update_asks_for_a_restart_and_works_after_it(blender: Blender, addon_zip, tmp_path, monkeypatch):
    changed = tmp_path / "effigy_client"
    shutil.copytree(build_addon.PURE[0], changed)
    (changed / "more.py").touch()
    monkeypatch.setattr(build_addon, "PURE", (changed, *build_addon.PURE[1:]))
    update = build_addon.build(None, tmp_path / "update")

    def run(*archives):
        ran = subprocess.run(
            [blender.python, "-c", SCRIPT, *archives],
            env=blender.environment(tmp_path, addon_zip, "effigy"),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return [line.split() for line in ran.stdout.splitlines() if line.endswith(("True", "False"))]

    old, new = client_of(addon_zip), client_of(update)
    assert old != new
    assert run(addon_zip, addon_zip, update) == [
        [old, "works", "True"],
        [old, "works", "True"],
        [old, "waits", "False"],
    ]
    assert run(update) == [[new, "works", "True"]]
