# SPDX-License-Identifier: Apache-2.0
"""Check, bake and renders, in the window of the steps before; then a lost backend."""

from __future__ import annotations

import json
import time

import imageio.v3 as iio
import numpy as np
import pytest

from .steps import PANEL, hover, lives, picture, settle, toggle, until
from .window import PATIENCE, SIZE

RENDERS = "result = bpy.app.is_job_running('RENDER')"


def back_to_live(window):
    window.press("Back to Live", PANEL)
    until(lambda: window.ask("result = face().effigy.source") == "LIVE", window.console)


def close_render(window):
    """Closes the render's window, wherever Blender has put it, by Esc over it."""
    left, bottom, width, height = window.ask(
        "opened = bpy.context.window_manager.windows[-1]\nresult = [opened.x, opened.y, opened.width, opened.height]"
    )
    window.move(max(left, 0) + width / 2, SIZE[1] - bottom - height / 2)

    def closes():
        window.keys("Escape")  # again, as a window that has only just opened may not hear it
        return window.ask("result = len(bpy.context.window_manager.windows)") == 1

    until(closes, window.console)


def read(path):
    """Reads a picture file's pixels [H, W, 3]."""
    return iio.imread(path)[..., :3]


def test_a_check_lists_what_stands_in_the_way(window):
    window.ask("bpy.context.scene.view_settings.view_transform = 'AgX'; bpy.context.scene.render.use_border = True")
    toggle(window, "Render")  # open from here on
    window.press("Check B.+Rendering", PANEL)
    window.find("region")
    window.shot("08b-check")
    hover(window)
    window.keys("Escape")


def test_the_sequence_is_baked_and_rendered_and_equal(window):
    path = window.work / "scene.blend"
    window.ask("face().effigy.matte = 'NONE'")  # whole pictures, whose bytes are compared
    window.ask(f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})")
    window.press("Exact Pixels", PANEL)
    window.find("1920", slice(790, 1130))  # the scene's size; underlined letters are hard to read
    window.keys("Return")
    settle(window)
    window.shot("09-before-bake")
    window.press("^.{0,3}Bake", PANEL)
    folder = path.parent / "effigy" / "scene"
    until(
        lambda: len(list(folder.glob("*/*.png"))) >= 12 and window.ask("result = face().effigy.source") == "BAKED",
        window.console,
    )
    time.sleep(0.5)
    window.shot("10-baked")
    journal = json.loads(next(folder.glob("*/frames.json")).read_text())
    assert len({entry["digest"] for entry in journal["frames"].values()}) == 12


def test_a_stale_bake_says_what_is_another(window):
    window.ask("bpy.context.scene.camera.location.x += 1")
    window.find("Stale", PANEL)
    window.find("another turn", PANEL)
    window.shot("10a-stale")
    window.ask("bpy.context.scene.camera.location.x -= 1")
    window.find("Baked pictures", PANEL)


def test_f12_shows_the_same_pixels(window):
    window.ask(
        "scene = bpy.context.scene; scene.render.engine = 'CYCLES'; scene.cycles.samples = 1; scene.frame_set(7)"
    )
    back_to_live(window)
    settle(window)
    shown = picture(window)
    hover(window)
    window.keys("F12")
    until(lambda: not window.ask(RENDERS), window.console)
    window.shot("11-rendered")
    close_render(window)
    target = window.work / "f12.png"
    window.ask(
        "scene = bpy.context.scene\nscene.render.image_settings.file_format = 'PNG'\n"
        f"bpy.data.images['Render Result'].save_render({str(target)!r})"
    )
    rendered = read(target)
    np.testing.assert_array_equal(rendered[::-1], shown)
    [baked] = (window.work / "effigy" / "scene").glob("*/*_0007.png")
    np.testing.assert_array_equal(read(baked), rendered)


@pytest.mark.parametrize("persistent", [False, True])
def test_f12_in_eevee_ends_however_often(window, persistent):
    """Its thread begins and ends while the window draws: neither waits for what the other holds."""
    window.ask(
        f"bpy.context.scene.render.use_persistent_data = {persistent}\n"
        "scene = bpy.context.scene\nbpy.app.driver_namespace['engine'] = scene.render.engine\n"
        "names = scene.render.bl_rna.properties['engine'].enum_items.keys()\n"
        "scene.render.engine = next(n for n in ('BLENDER_EEVEE', 'BLENDER_EEVEE_NEXT') if n in names)\n"
        "scene.eevee.taa_render_samples = 1\n"
        "ended = bpy.app.driver_namespace['ended'] = []\n"
        "bpy.app.handlers.render_complete.append(lambda *_: ended.append(1))"
    )
    kept = f"result = bpy.context.scene.render.use_persistent_data == {persistent}"
    try:
        for count in range(1, 5):
            hover(window)
            window.keys("F12")
            until(lambda: window.ask("result = len(bpy.app.driver_namespace['ended'])") == count, window.console)  # noqa: B023
            until(lambda: not window.ask(RENDERS), window.console)
            close_render(window)
            until(lambda: window.ask(kept), window.console)
    finally:
        window.ask("bpy.context.scene.render.use_persistent_data = False\nbpy.app.handlers.render_complete.pop()")
        window.ask("bpy.context.scene.render.engine = bpy.app.driver_namespace.pop('engine')")


def test_render_animation_writes_what_was_baked(window):
    out = window.work / "film_"
    window.ask(
        "scene = bpy.context.scene\nscene.frame_end = 4\n"
        f"scene.render.filepath = {str(out)!r}\nscene.render.image_settings.file_format = 'PNG'"
    )
    hover(window)
    window.keys("ctrl+F12")
    until(lambda: len(list(window.work.glob("film_*.png"))) == 4 and not window.ask(RENDERS), window.console)
    window.shot("11a-animation")
    close_render(window)
    for frame in range(1, 5):
        [baked] = (window.work / "effigy" / "scene").glob(f"*/*_{frame:04d}.png")
        np.testing.assert_array_equal(read(f"{out}{frame:04d}.png"), read(baked))


def test_a_bake_in_16_bits_is_stopped_by_escape_and_resumed(window):
    window.ask("bpy.context.scene.frame_end = 200")
    window.press("16 bit", PANEL)
    files = window.work / "effigy" / "scene"
    before = {path: path.stat().st_mtime_ns for path in files.glob("*/*.png")}
    window.press("^.{0,3}Bake", PANEL)

    def painted():
        return {p: p.stat().st_mtime_ns for p in files.glob("*/*.png") if p.stat().st_mtime_ns != before.get(p)}

    until(lambda: len(painted()) >= 5, window.console)
    hover(window)
    window.keys("Escape")
    until(
        lambda: not window.ask("result = addon('blender.pictures.activity').activity.is_painting_range"),
        window.console,
    )
    window.shot("11b-stopped")
    kept = painted()
    assert 5 <= len(kept) < 200
    assert window.ask("result = face().effigy.source") == "LIVE"
    window.press("^.{0,3}Bake", PANEL)
    until(lambda: window.ask("result = face().effigy.source") == "BAKED", window.console)
    resumed = painted()
    assert len(resumed) == 200
    assert {path: resumed[path] for path in kept} == kept, "frames that were there are painted again"
    assert {path.read_bytes()[24] for path in resumed} == {16}, "bits of a channel, as the PNG's header has them"
    window.press("^.{0,3}8 bit", PANEL)
    back_to_live(window)
    window.ask("bpy.context.scene.frame_end = 12; bpy.context.scene.frame_set(7)")
    settle(window)


def test_a_background_render_shows_the_same_pixels(window):
    out, path = window.work / "farm_", window.work / "scene.blend"
    window.ask(
        f"bpy.context.scene.render.filepath = {str(out)!r}\n"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r}, copy=True)"
    )
    said = window.background(path, "-f", 7)
    rendered = read(f"{out}0007.png")
    iio.imwrite(window.shots / "13-farm.png", rendered.repeat(3, axis=0).repeat(3, axis=1))
    np.testing.assert_array_equal(rendered, read(window.work / "f12.png"), said)


def test_a_backend_that_dies_shows_stripes_and_comes_back_by_two_clicks(window):
    shown = picture(window)
    window.ask(
        "import os, signal\n"
        "session = addon('blender.pictures.session').session\n"
        "os.kill(session.provision.pid, signal.SIGKILL)"
    )
    window.find("Lost|Refused", PANEL)  # the one soon becomes the other: it will not come back
    until(lambda: (picture(window) != shown).any(), lambda: "an old picture stands as if it were right")
    window.find("Refused", PANEL)  # whose longer text moves the button
    window.shot("12-lost")
    window.press("^.{0,3}Stop$", PANEL)
    window.find("Not running", PANEL)  # drawn again: what is grey cannot be pressed
    window.press("^.{0,3}Start Backend", PANEL)
    window.find("Ready", PANEL)
    settle(window)
    np.testing.assert_array_equal(picture(window), shown)


def test_the_window_closes_without_a_word_or_a_stray_process(window):
    pid = window.ask("session = addon('blender.pictures.session').session\nresult = session.provision.pid")
    window.ask("bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None, first_interval=0.3)")
    assert window.process.wait(PATIENCE) == 0
    assert "Traceback" not in window.console(), window.console()
    until(lambda: not lives(pid), lambda: "the backend outlives Blender")
