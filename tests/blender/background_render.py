# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders in the background as a farm does; test_background.py starts it inside Blender's own Python.

python background_render.py {make | render | render-and-kill | render-and-remove | render-without} FILE
"""

from __future__ import annotations

import importlib
import os
import signal
import sys

import bpy

# isort: split
import addon_utils  # bpy brings it

PACKAGE = "bl_ext.user_default.effigy"


def main(action: str, path: str) -> None:
    if action != "render-without":
        bpy.ops.extensions.package_install_files(
            filepath=os.environ["EFFIGY_ZIP"], repo="user_default", enable_on_install=False
        )
        addon_utils.enable(PACKAGE, default_set=True)
        bpy.context.preferences.addons[PACKAGE].preferences.command = os.environ["EFFIGY_COMMAND"]
        bpy.context.preferences.addons[PACKAGE].preferences.autostart = "EFFIGY_NO_AUTOSTART" not in os.environ
    if action == "make":
        make(path)
    else:
        bpy.ops.wm.open_mainfile(filepath=path)
        if action in ("render-and-kill", "render-and-remove"):
            bpy.app.handlers.render_post.append(kill_backend)
        if action == "render-and-remove":
            bpy.app.handlers.render_post.append(remove_backend)
        bpy.ops.render.render(animation=True)
    leave()


def make(path: str) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.frame_start, scene.frame_end = 1, 4
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = "//render_"
    bpy.ops.effigy.add_face(seed=7)
    proxy = bpy.context.active_object
    bpy.ops.effigy.exact_view()
    proxy.rotation_mode = "XYZ"
    for frame in (1, 4):
        proxy.rotation_euler = (0, 0, 0.1 * frame)
        proxy.keyframe_insert("rotation_euler", frame=frame)
    bpy.ops.wm.save_as_mainfile(filepath=path)
    if "EFFIGY_BAKE" in os.environ:
        bpy.ops.effigy.bake()
        bpy.ops.wm.save_mainfile()


def kill_backend(scene, *_):
    """After the second frame, as a crash would."""
    if scene.frame_current == 2:
        session = importlib.import_module(f"{PACKAGE}.blender.pictures.session").session
        os.kill(session.provision.pid, signal.SIGKILL)


def remove_backend(scene, *_):
    """After the second frame it cannot be started any more."""
    if scene.frame_current == 2:
        bpy.context.preferences.addons[PACKAGE].preferences.command = "/nowhere/effigy"


def leave() -> None:
    addon_utils.disable(PACKAGE)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


main(*sys.argv[1:])
