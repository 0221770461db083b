# SPDX-License-Identifier: GPL-3.0-or-later
"""Handles the add-on for an hour, or as often in a few minutes, and measures whether anything grows or leaks.

python soak.py ADDON_ZIP BACKEND_COMMAND FOLDER [EDITS [LOADS [MINUTES]]]       (with the Python that has bpy)

Moves sliders and head EDITS times, with the preview following, and loads the file LOADS times on the way; prints
memory, threads and open files of Blender before and after. MINUTES spreads the edits over that time.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from pathlib import Path

import bpy

# isort: split
import addon_utils  # bpy brings it
from blender_side import PACKAGE, addon, install


def resources() -> dict[str, float]:
    """Returns resident memory (MiB), threads and open files of this process, and how many handlers the add-on has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    hooks = [hook for name in dir(bpy.app.handlers) if isinstance(hook := getattr(bpy.app.handlers, name), list)]
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "threads": threading.active_count(),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "handlers": sum(getattr(function, "__module__", "").startswith(PACKAGE) for hook in hooks for function in hook),
        "images": len(bpy.data.images),
    }


def handle(edits: int, seed: int, seconds: float = 0.0) -> None:
    """Makes random edits, spread over ``seconds``, with a tick of the preview after each."""
    preview, scene = addon("blender.pictures.preview"), bpy.context.scene
    proxy = next(obj for obj in scene.objects if obj.effigy.is_face)
    proxy.rotation_mode = "XYZ"
    chance = random.Random(seed)
    for number in range(edits):
        blocks = proxy.data.shape_keys.key_blocks[1:]
        chance.choice(blocks).value = chance.random()
        proxy.rotation_euler.z = chance.uniform(-0.4, 0.4)
        bpy.context.view_layer.update()
        preview.tick()
        if seconds:
            _tick_for(seconds / edits)
        elif number % 20 == 0:
            time.sleep(0.02)


def _tick_for(seconds: float) -> None:
    """Does what a window's timer does while nobody touches anything."""
    preview, end = addon("blender.pictures.preview"), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(preview.tick(), left))


def main(addon_zip: str, command: str, folder: Path, edits: int, loads: int, minutes: int) -> None:
    install(addon_zip, command)
    bpy.context.preferences.addons[PACKAGE].preferences.memory = 1  # MB: pictures that it remembers are not a leak
    bpy.ops.effigy.connect()
    addon("blender.pictures.session").session.ensure_ready()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.effigy.add_face(seed=3)
    path = str(folder / "soak.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    handle(max(edits // 5, 1000), 0)  # what is allocated once
    for _ in range(3):
        bpy.ops.wm.open_mainfile(filepath=path)
    before = resources()
    for load in range(loads):
        handle(edits // loads, load + 1, minutes * 60 / loads)
        bpy.ops.wm.open_mainfile(filepath=path)
    after = resources()
    for name, value in before.items():
        print(f"{name:10} {value:8.1f} {after[name]:8.1f}  {after[name] - value:+.1f}", flush=True)


if __name__ == "__main__":
    code = 1
    try:
        given = [int(argument) for argument in sys.argv[4:]]
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *(given + [10_000, 50, 0][len(given) :]))
        code = 0
    finally:
        addon_utils.disable(PACKAGE)
        sys.stdout.flush()
        if code == 0:  # else the reason is printed
            os._exit(0)
