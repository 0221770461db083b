# SPDX-License-Identifier: Apache-2.0
"""Keys, cache, recordings, in the window of the steps before."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest

from .steps import CATEGORY, PANEL, choose_file, hover, opened, picture, settle, until, values


def test_poses_are_keyed_and_played(window):
    window.ask("bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, 12; bpy.context.scene.frame_set(1)")
    # A head that nods is rolled by a turn about Z, and a rolled picture is resampled: renders would not equal it.
    window.press("Face the Camera", PANEL)
    x, y = window.find_still("awOpen", PANEL)  # before keys make it green, which is hard to read
    window.press("Key All", PANEL)
    window.ask("bpy.context.scene.frame_set(12)")
    window.hold((x, y))
    seen = []  # a slider that does not follow is told from one that springs back
    for _ in range(12):
        window.lead((0, 0), (12, 0), steps=1)
        seen.append(values(window)["jawOpen"])
    window.let_go()
    assert values(window)["jawOpen"] > 0.2, seen
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
    assert values(window)["jawOpen"] > 0.2
    window.shot("08-animated")


def test_a_cached_range_plays_as_fast_as_its_frames(window):
    with opened(window, "Animation"):
        window.press("^.{0,3}Cache", PANEL)
        until(
            lambda: window.ask("result = len(addon('blender.pictures.runs').run_of(face()).cached)") == 12,
            window.console,
        )
        window.find("This frame is in memory", PANEL)
        window.shot("08c-cached")
    hover(window)
    window.ask(
        "plate = addon('blender.scene.plate')\n"
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
    counted = "result = bpy.app.driver_namespace['counts']['frames']"
    until(lambda: window.ask(counted) > 40, lambda: "the range does not play")
    shown, frames = window.ask(
        "plate = addon('blender.scene.plate')\n"
        "counts = bpy.app.driver_namespace.pop('counts')\n"
        "plate.show = counts['show']\n"
        "bpy.app.handlers.frame_change_post.remove(counts['frame'])\n"
        "window = bpy.context.window_manager.windows[0]\n"
        "with bpy.context.temp_override(window=window):\n"
        "    bpy.ops.screen.animation_cancel(restore_frame=False)\n"
        "next(a for a in window.screen.areas if a.type == 'TEXT_EDITOR').type = 'VIEW_3D'\n"
        "result = [counts['shown'], counts['frames']]"
    )
    assert shown >= 0.8 * frames, "a timer that sleeps between frames shows a picture now and then"
    settle(window)
    window.ask(CATEGORY)


def test_a_viewport_render_of_a_cached_range_shows_every_frames_own_picture(window):
    render = (
        "window, area, region = view3d()\n"
        "scene = bpy.context.scene\n"
        "scene.render.resolution_percentage = 25\n"
        "scene.render.filepath = {path!r}\n"
        "scene.frame_set({frame})\n"
        "with bpy.context.temp_override(window=window, area=area, region=region):\n"
        "    bpy.ops.render.opengl(animation={animation}, write_still=True)"
    )
    folder = window.work / "viewport"
    window.ask(render.format(path=str(folder / "film_"), frame=1, animation=True))
    film = [iio.imread(path)[..., :3].astype(int) for path in sorted(folder.glob("film_*.png"))]
    assert len(film) == 12
    assert len({frame.tobytes() for frame in film}) == 12
    for frame in (2, 7, 12):
        window.ask(f"bpy.context.scene.frame_set({frame})")
        settle(window)
        still = folder / f"still_{frame}.png"
        window.ask(render.format(path=str(still), frame=frame, animation=False))
        apart = np.abs(iio.imread(still)[..., :3].astype(int) - film[frame - 1]).max(axis=2)
        assert (apart > 8).mean() < 0.002, f"frame {frame} was drawn with another frame's picture"
    window.ask("bpy.context.scene.render.resolution_percentage = 100")


@pytest.mark.parametrize(
    ("label", "jaws", "yaws"),
    [("Import ARKit", (0.0, 0.45, 0.97), (5.7, 5.7, 5.7)), ("Import Landmark", (0.0, 0.0, 0.75), (-6.0, -1.0, 5.0))],
)
def test_a_recording_becomes_keys_and_is_undone(window, label, jaws, yaws):
    before = poses(window)
    path = window.work / "take.csv"
    path.write_text(window.ask(TRACK) if "Landmark" in label else RECORDING)
    window.ask("bpy.context.scene.frame_end = 250")  # as Blender begins a scene
    with opened(window, "Capture"):
        window.press(label, PANEL)
        choose_file(window, path, shot=f"08a-{label.split()[1].lower()}")
        settle(window)
        captured = poses(window)
        assert window.ask("result = bpy.context.scene.frame_end") == 12, "the scene goes on where nothing moves"
        window.shot("08a-imported")
        assert [pose["jawOpen"] for pose in captured] == pytest.approx(jaws, abs=0.15)
        assert [pose["yaw"] for pose in captured] == pytest.approx(yaws, abs=2)
        hover(window)
        window.keys("ctrl+z")
        settle(window)
        for pose, was in zip(poses(window), before, strict=True):
            assert pose == pytest.approx(was, abs=1e-3)
        window.ask("bpy.context.scene.frame_end = 12")


RECORDING = "\n".join(
    [
        "Timecode,BlendShapeCount,JawOpen,HeadYaw,HeadPitch,HeadRoll",
        *(f"10:00:00:{row:02d}.000,61,{row / 28},0.1,0,0" for row in range(29)),
    ]
)
# Made in Blender, whose face knows where its own landmarks go.
TRACK = """
import numpy as np
from effigy_client import pose

controls = addon("blender.scene.controls")
shape, names = controls.shape_of(face()), [block.name for block in controls.blocks_of(face())]
lines = [",".join(["timestamp", "success", *[f"{axis}_{i}" for axis in "xy" for i in range(68)]])]
for row in range(12):
    asked = np.zeros(len(names))
    asked[names.index("jawOpen")] = max(row - 6, 0) / 6  # the usual expression counts as neutral
    R = pose.head_rotation(pose.Angles(row - 6.0, 0.0, 0.0), pose.View(np.eye(4), np.eye(4), False))
    seen = 200 * (shape.points(asked)[:68] @ R.T)[:, :2] + 400  # a model may know the irises too
    lines.append(",".join(map(str, [row / 24, 1, *seen[:, 0], *(-seen[:, 1])])))
result = "\\n".join(lines)
"""


def poses(window):
    """The controls' values and the head's yaw at three frames."""
    found = []
    for frame in (1, 6, 12):
        window.ask(f"bpy.context.scene.frame_set({frame})")
        yaw = window.ask("result = addon('blender.scene.controls').angles_now(face(), bpy.context.scene.camera).yaw")
        found.append({**values(window), "yaw": yaw})
    return found
