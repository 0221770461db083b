# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender half of ``make chaos``: bakes and renders as an artist and a farm do, whatever happens meanwhile.

    python scene.py prepare|bake|render DISK QUIET ADDON_ZIP BACKEND_COMMAND       (with the Python that has bpy)

``prepare`` writes DISK/scene.blend, bakes and renders it in peace, and puts the files into QUIET. ``bake`` presses
Bake until it has finished. ``render`` renders once, as ``blender -b`` does, into QUIET; code 3 says that a picture
could not be had.
"""

from __future__ import annotations

import importlib
import math
import os
import shutil
import sys
import time
from pathlib import Path
from types import ModuleType

import bpy

# isort: split
import addon_utils  # bpy brings it

PACKAGE = "bl_ext.user_default.effigy"
FRAMES = 60
_TRIES = 200  # of Bake
_REST_S = 0.5  # before it is pressed again


def addon(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{name}")


def install(addon_zip: str, command: str) -> None:
    bpy.ops.extensions.package_install_files(filepath=addon_zip, repo="user_default", enable_on_install=False)
    addon_utils.enable(PACKAGE, default_set=True)
    bpy.context.preferences.addons[PACKAGE].preferences.command = command


def prepare(disk: Path, quiet: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(quiet / "rendered" / "frame_")
    bpy.ops.wm.save_as_mainfile(filepath=str(disk / "scene.blend"))
    bpy.ops.effigy.connect()
    addon("blender.pictures.session").session.ensure_ready()
    bpy.ops.effigy.add_face(seed=11)
    proxy = bpy.context.active_object
    bpy.ops.effigy.exact_view()
    bpy.ops.effigy.face_camera()
    animate(proxy)
    bpy.ops.effigy.bake()
    shutil.copytree(addon("blender.pictures.bake").folder_of(proxy), quiet / "baked")
    bpy.ops.render.render(animation=True)
    shutil.rmtree(addon("blender.pictures.bake").folder_of(proxy))
    bpy.ops.effigy.show_live()
    bpy.ops.wm.save_mainfile()


def animate(proxy: bpy.types.Object) -> None:
    """Keys the face so that every frame differs: the head turns, and the mouth opens and closes."""
    proxy.rotation_mode = "XYZ"
    start, mouth = proxy.rotation_euler.copy(), proxy.data.shape_keys.key_blocks["jawOpen"]
    for frame, turn, opened in ((1, -25, 0.0), (FRAMES // 2, 0, 0.9), (FRAMES, 25, 0.1)):
        proxy.rotation_euler = (start[0], start[1], start[2] + math.radians(turn))
        proxy.keyframe_insert("rotation_euler", frame=frame)
        mouth.value = opened
        mouth.keyframe_insert("value", frame=frame)


def bake(disk: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(disk / "scene.blend"))
    proxy = next(thing for thing in bpy.context.scene.objects if thing.effigy.is_face)
    bpy.context.view_layer.objects.active = proxy
    for _ in range(_TRIES):
        try:
            if bpy.ops.effigy.bake() == {"FINISHED"}:
                return
            reason = "cancelled"
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
        print(f"bake again: {reason}", flush=True)
        time.sleep(_REST_S)
    raise SystemExit("the bake did not finish")


def render(disk: Path, rendered: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(disk / "scene.blend"))
    bpy.context.scene.render.filepath = str(rendered / "frame_")
    bpy.ops.render.render(animation=True)


def main(mode: str, disk: Path, quiet: Path, addon_zip: str, command: str) -> None:
    install(addon_zip, command)
    if mode == "prepare":
        prepare(disk, quiet)
    elif mode == "bake":
        bake(disk)
    else:
        render(disk, quiet)


if __name__ == "__main__":
    code = 0
    try:
        main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5])
    except SystemExit as error:
        print(f"chaos: {error}", file=sys.stderr, flush=True)
        code = 1
    finally:
        # Blender as a module crashes or hangs at exit while handlers are registered.
        addon_utils.disable(PACKAGE)
        sys.stdout.flush()
    os._exit(code)
