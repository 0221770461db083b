# SPDX-License-Identifier: Apache-2.0
"""An artist's whole way, by mouse and keyboard in a real window; every step leaves a screenshot."""

from __future__ import annotations

import json
import socket
import time

import numpy as np
import pytest

from blender_addon.core.live_link import ARKIT, PORT
from tests.addon.test_live_link import packet

PANEL = slice(955, 1215)  # the side panel's columns

PREPARE = """
bpy.context.preferences.view.ui_scale = 1.0
bpy.context.preferences.view.show_tooltips = False
window, area, region = view3d()
area.spaces.active.show_region_ui = True
area.spaces.active.overlay.show_stats = False
"""
CATEGORY = """
window, area, region = view3d()
ui = next(r for r in area.regions if r.type == "UI")
ui.active_panel_category = "Effigy"
ui.tag_redraw()
"""
FACE = "next(o for o in bpy.context.scene.objects if o.effigy.is_face)"


def values(window):
    return window.ask(f"result = {{b.name: b.value for b in {FACE}.data.shape_keys.key_blocks[1:]}}")


def picture(window):
    """The face's picture as Blender holds it, [H, W, 3] bytes."""
    flat = window.ask(
        f"image = {FACE}.effigy.image\n"
        "import numpy as np\n"
        "values = np.empty(len(image.pixels), dtype=np.float32)\n"
        "image.pixels.foreach_get(values)\n"
        "result = [image.size[1], image.size[0], np.round(values * 255).astype(int).tolist()]"
    )
    return np.array(flat[2], dtype=np.uint8).reshape(flat[0], flat[1], 4)[..., :3]


def settle(window, seconds=30.0):
    """Until the picture is the exact one for the scene as it is."""
    question = (
        "import importlib\n"
        "session = importlib.import_module('bl_ext.user_default.effigy.blender.session')\n"
        f"run = session.run_of({FACE})\n"
        "result = [run.exact and run.shown == run.wanted and not session.state.dirty, run.problem]"
    )
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 3:
        rests, problem = window.ask(question)
        assert not problem, problem
        assert time.monotonic() < end, "the picture does not come to rest"
        quiet = quiet + 1 if rests else 0
        time.sleep(0.1)


def until(holds, seconds, why):
    """Waits until ``holds()``; ``why()`` says what is wrong when that takes longer."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


def viewport(window):
    return window.look()[120:850, 80 : PANEL.start].astype(float)


def landmark(window, index):
    """Where a landmark is on the screen."""
    return tuple(
        window.ask(
            "from bpy_extras.view3d_utils import location_3d_to_region_2d\n"
            "window, area, region = view3d()\n"
            f"proxy = {FACE}.evaluated_get(bpy.context.evaluated_depsgraph_get())\n"
            "view = area.spaces.active.region_3d\n"
            f"place = location_3d_to_region_2d(region, view, proxy.matrix_world @ proxy.data.vertices[{index}].co)\n"
            "result = screen(region, place)"
        )
    )


def hover(window):
    """Puts the mouse into the viewport, beside everything."""
    window.move(300, 780)


def test_the_panel_is_there(window):
    window.ask(PREPARE)
    time.sleep(1.5)
    window.ask(CATEGORY)
    window.find("Start Backend", PANEL)
    hover(window)
    window.keys("a", "x")
    window.shot("01-panel")
    window.keys("Return")
    time.sleep(0.5)
    assert window.ask("result = len(bpy.context.scene.objects)") == 0


def test_the_preferences_say_where_the_backend_is(window):
    window.ask("bpy.ops.preferences.addon_show(module='bl_ext.user_default.effigy')")
    window.find("Picture Memory", timeout=30)
    window.shot("00-preferences")
    window.ask(
        "for opened in bpy.context.window_manager.windows[1:]:\n"
        "    with bpy.context.temp_override(window=opened):\n"
        "        bpy.ops.wm.window_close()"
    )
    time.sleep(0.5)


def test_the_backend_starts_by_a_click(window):
    window.press("Start Backend", PANEL)
    window.find("Ready", PANEL, timeout=90)
    window.shot("02-ready")


def test_a_face_is_added_by_a_click_and_seen_in_the_viewport(window):
    before = viewport(window)
    window.press("^.{0,3}Add Face", PANEL)
    hover(window)
    window.keys("KP_0")
    settle(window)
    time.sleep(1.0)
    window.shot("03-first-face")
    changed = np.abs(viewport(window) - before).max(axis=2) > 40
    assert changed.mean() > 0.15, "the viewport shows no face"
    # What stands in the window are the picture's own colours.
    assert _has_colour(viewport(window), np.median(picture(window)[50:80, 50:78].reshape(-1, 3), axis=0))


def test_a_slider_opens_the_mouth(window):
    rest = picture(window)
    x, y = window.find("awOpen", PANEL)
    window.drag((x, y), (x + 150, y))
    settle(window)
    assert values(window)["jawOpen"] > 0.2
    assert np.abs(picture(window).astype(int) - rest).max() > 40
    window.shot("04-slider")


def test_neutral_brings_the_first_picture_back(window):
    window.press("Neutral", PANEL)
    settle(window)
    assert set(values(window).values()) == {0.0}


def test_the_head_turns_with_blenders_own_tools(window):
    before = picture(window)
    window.ask(f"bpy.context.view_layer.objects.active = {FACE}; {FACE}.select_set(True)")
    hover(window)
    window.keys("r", "z", "2", "0", "Return")
    settle(window)
    time.sleep(0.5)
    window.shot("05-turned")
    assert np.abs(picture(window).astype(int) - before).mean() > 3
    hover(window)
    window.keys("ctrl+z")
    settle(window)
    np.testing.assert_array_equal(picture(window), before)


def test_an_expression_by_chance_is_mirrored_and_undone(window):
    window.press("Randomise", PANEL)
    settle(window)
    chosen = values(window)
    assert any(chosen.values())
    window.press("Mirror", PANEL)
    settle(window)
    mirrored = values(window)
    for left, right in (("eyeBlinkLeft", "eyeBlinkRight"), ("eyeBlinkRight", "eyeBlinkLeft")):
        assert mirrored[left] == pytest.approx(chosen[right], abs=1e-4)
    window.shot("05a-randomised")
    window.press("Reset Pose", PANEL)
    window.press("Neutral", PANEL)
    settle(window)
    assert set(values(window).values()) == {0.0}


def test_the_picture_is_shown_in_three_places(window):
    for label, display in (("Projected", "PROJECTED"), ("Background", "BACKGROUND"), ("P.ate", "PLATE")):
        window.press(label, PANEL)
        settle(window)
        hover(window)
        time.sleep(0.5)
        assert window.ask(f"result = {FACE}.effigy.display") == display
        window.shot(f"05b-{display.lower()}")


def test_another_person_takes_the_place_and_leaves_it(window):
    before, seed = picture(window), window.ask(f"result = {FACE}.effigy.seed")
    window.press("Identity", PANEL)
    window.press("^.{0,3}Random$", PANEL)
    until(lambda: window.ask(f"result = {FACE}.effigy.seed") != seed, 20, window.console)
    settle(window)
    assert np.abs(picture(window).astype(int) - before).mean() > 3
    window.shot("05c-somebody-else")
    window.ask(f"{FACE}.effigy.wanted_seed = {seed}")
    window.press("^.{0,3}Change$", PANEL)
    until(lambda: window.ask(f"result = {FACE}.effigy.seed") == seed, 20, window.console)
    settle(window)
    np.testing.assert_array_equal(picture(window), before)
    window.press("Identity", PANEL)


def test_a_point_of_the_face_is_dragged_by_the_mouse(window):
    window.press("Grab Points", PANEL)
    hover(window)
    time.sleep(0.5)
    window.shot("06-grab-tool")
    before, start = values(window), landmark(window, 57)  # iBUG 57: the lower lip's lower edge
    window.drag(start, (start[0], start[1] + 25))
    settle(window)
    window.shot("07-grabbed")
    after = values(window)
    assert after["jawOpen"] > before["jawOpen"] + 0.1, after
    end = landmark(window, 57)
    assert np.hypot(end[0] - start[0], end[1] - start[1] - 25) < 9, "the point did not follow the hand"
    hover(window)
    window.keys("ctrl+z")
    settle(window)
    assert values(window) == pytest.approx(before, abs=1e-4)


def test_the_face_follows_a_live_capture_until_escape(window):
    hover(window)
    window.ask(
        "window, area, region = view3d()\n"
        "with bpy.context.temp_override(window=window, area=area, region=region):\n"
        "    bpy.ops.effigy.live_capture('INVOKE_DEFAULT')"
    )
    time.sleep(0.5)
    window.shot("07b-live-capture")
    window.keys("Return")
    running = (
        "import importlib\n"
        "session = importlib.import_module('bl_ext.user_default.effigy.blender.session')\n"
        "result = session.state.capture is not None"
    )
    end = time.monotonic() + 10
    while not window.ask(running):
        assert time.monotonic() < end, window.console()
        time.sleep(0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        while values(window)["jawOpen"] < 0.4:
            phone.sendto(packet([0.5 if name == "jawopen" else 0.0 for name in ARKIT]), ("127.0.0.1", PORT))
            assert time.monotonic() < end + 10, "the face does not follow"
            time.sleep(0.1)
    settle(window)
    window.shot("07c-captured")
    hover(window)
    window.keys("Escape")
    time.sleep(0.5)
    assert not window.ask(running)
    window.press("Neutral", PANEL)
    settle(window)


def test_poses_are_keyed_and_played(window):
    window.ask("bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 12; bpy.context.scene.frame_set(1)")
    x, y = window.find("awOpen", PANEL)  # before keys make it green, which is hard to read
    window.press("Key All", PANEL)
    window.ask("bpy.context.scene.frame_set(12)")
    window.drag((x, y), (x + 150, y))
    hover(window)
    window.keys("r", "z", "1", "5", "Return")
    window.press("Key All", PANEL)
    settle(window)
    shown = []
    for frame in (1, 6, 12):
        window.ask(f"bpy.context.scene.frame_set({frame})")
        settle(window)
        shown.append(picture(window).tobytes())
    assert len(set(shown)) == 3
    window.shot("08-animated")


def test_a_cached_range_plays_as_fast_as_its_frames(window):
    window.ask("bpy.ops.effigy.cache()", timeout=120)
    hover(window)
    window.ask(
        "import importlib\n"
        "plate = importlib.import_module('bl_ext.user_default.effigy.blender.plate')\n"
        "counts = bpy.app.driver_namespace['counts'] = {'shown': 0, 'frames': 0, 'show': plate.show}\n"
        "def show(*arguments):\n"
        "    counts['shown'] += 1\n"
        "    counts['show'](*arguments)\n"
        "def frame(*_):\n"
        "    counts['frames'] += 1\n"
        "plate.show = show\n"
        "bpy.app.handlers.frame_change_post.append(frame)\n"
        "counts['frame'] = frame\n"
        "window, area, region = view3d()\n"
        "area.type = 'TEXT_EDITOR'  # a viewport drawn in software would be what is measured\n"
        "with bpy.context.temp_override(window=window):\n"
        "    bpy.ops.screen.animation_play()"
    )
    time.sleep(4.0)
    shown, frames = window.ask(
        "import importlib\n"
        "plate = importlib.import_module('bl_ext.user_default.effigy.blender.plate')\n"
        "counts = bpy.app.driver_namespace.pop('counts')\n"
        "plate.show = counts['show']\n"
        "bpy.app.handlers.frame_change_post.remove(counts['frame'])\n"
        "window = bpy.context.window_manager.windows[0]\n"
        "with bpy.context.temp_override(window=window):\n"
        "    bpy.ops.screen.animation_cancel(restore_frame=False)\n"
        "next(a for a in window.screen.areas if a.type == 'TEXT_EDITOR').type = 'VIEW_3D'\n"
        "result = [counts['shown'], counts['frames']]"
    )
    assert frames > 4 * 10, "with a look ten times a second, fewer would do"
    assert shown >= 0.8 * frames, "a timer that sleeps between frames shows a picture now and then"
    settle(window)
    window.ask(CATEGORY)


def test_a_check_lists_what_stands_in_the_way(window):
    window.ask("bpy.context.scene.view_settings.view_transform = 'AgX'; bpy.context.scene.render.use_border = True")
    window.press("Check Before", PANEL)
    window.find("region", timeout=15)
    window.shot("08b-check")
    hover(window)
    window.keys("Escape")


def test_the_sequence_is_baked_and_rendered_and_equal(window):
    path = window.work / "scene.blend"
    window.ask(f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})")
    window.press("Exact Pixels", PANEL)
    settle(window)
    window.shot("09-before-bake")
    window.press("^.{0,3}Bake", PANEL)
    folder = path.parent / "effigy" / "scene"
    until(
        lambda: len(list(folder.glob("*/*.png"))) >= 12 and window.ask(f"result = {FACE}.effigy.source") == "BAKED",
        60,
        window.console,
    )
    time.sleep(0.5)
    window.shot("10-baked")
    journal = json.loads(next(folder.glob("*/frames.json")).read_text())
    assert len({entry["digest"] for entry in journal["frames"].values()}) == 12


def test_f12_shows_the_same_pixels(window):
    window.ask(
        "scene = bpy.context.scene; scene.render.engine = 'CYCLES'; scene.cycles.samples = 1; scene.frame_set(7)"
    )
    window.press("Back to Live", PANEL)
    settle(window)
    shown = picture(window)
    hover(window)
    window.keys("F12")
    time.sleep(4.0)
    window.shot("11-rendered")
    target = window.work / "f12.png"
    window.ask(
        "scene = bpy.context.scene\nscene.render.image_settings.file_format = 'PNG'\n"
        f"bpy.data.images['Render Result'].save_render({str(target)!r})"
    )
    from PIL import Image

    with Image.open(target) as image:
        rendered = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(rendered[::-1], shown)
    [baked] = (window.work / "effigy" / "scene").glob("*/*_0007.png")
    with Image.open(baked) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), rendered)


def test_a_background_render_shows_the_same_pixels(window):
    out, path = window.work / "farm_", window.work / "scene.blend"
    window.ask(
        f"bpy.context.scene.render.filepath = {str(out)!r}\n"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r}, copy=True)"
    )
    said = window.background(path, "-f", 7)
    from PIL import Image

    with Image.open(f"{out}0007.png") as there, Image.open(window.work / "f12.png") as here:
        there.resize((384, 384), Image.Resampling.NEAREST).save(window.shots / "13-farm.png")
        np.testing.assert_array_equal(np.asarray(there.convert("RGB")), np.asarray(here.convert("RGB")), said)


def test_a_backend_that_dies_shows_stripes_and_comes_back_by_two_clicks(window):
    shown = picture(window)
    window.ask(
        "import importlib, os, signal\n"
        "session = importlib.import_module('bl_ext.user_default.effigy.blender.session')\n"
        "os.kill(session.state.backend.pid, signal.SIGKILL)"
    )
    window.find("Lost|Refused", PANEL, timeout=30)  # the one soon becomes the other: it will not come back
    until(lambda: (picture(window) != shown).any(), 10, lambda: "an old picture stands as if it were right")
    window.shot("12-lost")
    window.press("Stop", PANEL)
    window.press("Start Backend", PANEL)
    window.find("Ready", PANEL, timeout=90)
    settle(window)
    np.testing.assert_array_equal(picture(window), shown)


def test_the_window_closes_without_a_word_or_a_stray_process(window):
    pid = window.ask(
        "import importlib\n"
        "session = importlib.import_module('bl_ext.user_default.effigy.blender.session')\n"
        "result = session.state.backend.pid"
    )
    window.ask("bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None, first_interval=0.3)")
    assert window.process.wait(30) == 0
    assert "Traceback" not in window.console(), window.console()
    until(lambda: not _lives(pid), 10, lambda: "the backend outlives Blender")


def _lives(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _has_colour(screen, colour, near=14):
    return (np.abs(screen - colour).max(axis=2) < near).mean() > 0.002
