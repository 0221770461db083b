# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender half of ``make demo``: does what an artist would do.

    python scene.py OUT_FOLDER ADDON_ZIP BACKEND_COMMAND       (with the Python that has bpy)

Installs the zip, starts the backend, adds a face, swings the camera around it, keys a mouth opening and a
smile, renders and bakes the range, and writes OUT_FOLDER/scene.blend and OUT_FOLDER/blender.json; then the scenes of
recipes/scenes, with stills, into OUT_FOLDER/scenes.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import bpy

# isort: split
import addon_utils  # bpy brings it

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for recipes
from recipes.scenes.build import build_all

PACKAGE = "bl_ext.user_default.effigy"
FRAMES = 48
SWING_DEG = 30.0
SEED = 11
ROUND_TRIPS = 40

seconds: dict[str, float] = {}


@contextmanager
def stage(name: str, title: str) -> Iterator[None]:
    print(f"  {title} …", flush=True)
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 2)


def addon(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{name}")


def install(addon_zip: str, command: str) -> None:
    bpy.ops.extensions.package_install_files(filepath=addon_zip, repo="user_default", enable_on_install=False)
    addon_utils.enable(PACKAGE, default_set=True)
    if PACKAGE not in bpy.context.preferences.addons:
        raise SystemExit(f"{addon_zip} cannot be installed into this Blender")
    bpy.context.preferences.addons[PACKAGE].preferences.command = command


def build_scene(out: Path) -> bpy.types.Object:
    """Makes an empty scene with one face that looks into its camera."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.frame_start, scene.frame_end = 1, FRAMES
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(out / "frames" / "frame_")
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "scene.blend"))
    if bpy.ops.effigy.add_face(seed=SEED) != {"FINISHED"}:
        raise SystemExit("the face cannot be added")
    proxy = bpy.context.active_object
    proxy.effigy.matte = "NONE"  # whole pictures, whose bytes are compared and whose landmarks are detected
    bpy.ops.effigy.exact_view()
    bpy.ops.effigy.face_camera()
    return proxy


def animate(proxy: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Keys a camera that swings around the head while the mouth opens, closes and smiles."""
    pivot = bpy.data.objects.new("Swing", None)
    scene.collection.objects.link(pivot)
    pivot.location = proxy.location
    scene.camera.parent = pivot
    scene.camera.matrix_parent_inverse = pivot.matrix_world.inverted()
    # A camera that moves to the picture's left sees the face turned to the right: yaw runs from −30° to 30°.
    for frame, yaw in ((1, -SWING_DEG), (FRAMES, SWING_DEG)):
        pivot.rotation_euler = (0.0, 0.0, math.radians(-yaw))
        pivot.keyframe_insert("rotation_euler", frame=frame)
    key(proxy, "jawOpen", (1, 0), (FRAMES // 4, 1), (FRAMES // 2, 0))
    key(proxy, "mouthSmile", (FRAMES // 2, 0), (3 * FRAMES // 4, 1), (FRAMES, 0.3))


def key(proxy: bpy.types.Object, control: str, *keys: tuple[int, float]) -> None:
    block = proxy.data.shape_keys.key_blocks[control]
    for frame, value in keys:
        block.value = value
        block.keyframe_insert("value", frame=frame)


def asked_yaw(proxy: bpy.types.Object, scene: bpy.types.Scene) -> list[float]:
    """Returns the yaw that the scene asks for in each frame."""
    asked = []
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        state = addon("blender.scene.reader").read_face(proxy, scene, bpy.context.evaluated_depsgraph_get())
        asked.append(round(state.parameters.yaw, 3))
    return asked


def round_trips(proxy: bpy.types.Object, scene: bpy.types.Scene) -> list[float]:
    """Measures the milliseconds from a changed scene to the preview's pixels in the image, with the live preview."""
    preview, session = addon("blender.pictures.preview"), addon("blender.pictures.session").session
    changes, times = addon("blender.pictures.activity").changes, []
    follower = addon("blender.pictures.runs").run_of(proxy).follower
    for number in range(ROUND_TRIPS + 5):
        scene.frame_set(1 + number % FRAMES)
        changes.mark()
        follower.begin_anew()
        started = time.monotonic()
        while follower.shown is None:
            preview.tick()
            if time.monotonic() - started > 30:
                raise SystemExit(f"no preview arrives: {follower.problem or session.state}")
            time.sleep(0.0002)
        times.append(1e3 * (time.monotonic() - started))
    return times[5:]  # the first ones warm up


def main(out: Path, addon_zip: str, command: str) -> None:
    with stage("install", "installing the add-on into Blender"):
        install(addon_zip, command)
    with stage("start", "starting the backend"):
        bpy.ops.effigy.connect()
        addon("blender.pictures.session").session.ensure_ready()
    with stage("scene", "adding a face and animating it"):
        proxy = build_scene(out)
        scene = bpy.context.scene
        animate(proxy, scene)
        asked = asked_yaw(proxy, scene)
    with stage("preview", "measuring the live preview"):
        times = round_trips(proxy, scene)
    with stage("render", f"rendering {FRAMES} frames with Cycles"):
        bpy.ops.render.render(animation=True)
    with stage("bake", f"baking {FRAMES} frames"):
        if bpy.ops.effigy.bake() != {"FINISHED"}:
            raise SystemExit("the bake failed")
        baked = str(addon("blender.pictures.bake").folder_of(proxy))
    bpy.ops.wm.save_mainfile()
    with stage("scenes", "rendering three scenes under real light"):
        build_all(out / "scenes")
    report = {
        "blender": bpy.app.version_string,
        "yaw_asked_deg": asked,
        "round_trips_ms": times,
        "baked": baked,
        "seconds": seconds,
    }
    (out / "blender.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    code = 0
    try:
        main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    except SystemExit as error:
        print(f"demo: {error}", file=sys.stderr, flush=True)
        code = 1
    finally:
        # Blender as a module crashes or hangs at exit while handlers are registered.
        addon_utils.disable(PACKAGE)
        sys.stdout.flush()
    os._exit(code)
