# SPDX-License-Identifier: Apache-2.0
"""A phone, a film and a picture move the face, and the landmarks of its picture are shown."""

from __future__ import annotations

import socket
import subprocess
import time

import imageio_ffmpeg
import numpy as np
import pytest

from effigy_client.capture.live_link import ARKIT, PORT
from tests.client.test_live_link import packet

from .steps import PANEL, choose_file, hover, landmark, opened, picture, settle, until, values, viewport, whole_picture
from .window import PATIENCE, ROOT

RUNNING = "result = addon('blender.ui.live_capture').is_running()"
BLUE = (64, 230, 255)  # a landmark that was read


def ask_for_live_capture(window, settings=""):
    """Opens its dialog under the mouse."""
    hover(window)
    window.ask(
        "window, area, region = view3d()\n"
        "with bpy.context.temp_override(window=window, area=area, region=region):\n"
        f"    bpy.ops.effigy.live_capture('INVOKE_DEFAULT'{settings})"
    )
    time.sleep(0.5)


def test_the_face_follows_a_live_capture_until_escape(window):
    ask_for_live_capture(window)
    window.shot("07b-live-capture")
    window.keys("Return")
    until(lambda: window.ask(RUNNING), window.console)
    moment = packet([0.5 if name == "jawopen" else 0.0 for name in ARKIT])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:

        def follows():
            phone.sendto(moment, ("127.0.0.1", PORT))
            return values(window)["jawOpen"] >= 0.4

        until(follows, lambda: "the face does not follow")
    settle(window)
    window.shot("07c-captured")
    hover(window)
    window.keys("Escape")
    time.sleep(0.5)
    assert not window.ask(RUNNING)
    window.press("Neutral", PANEL)
    settle(window)


@pytest.fixture(scope="module")
def film(window):
    """Somebody who looks ahead for two seconds, then turns and opens the mouth, and stays so."""
    keys, path = window.work / "keys.csv", window.work / "film.mp4"
    keys.write_text("frame,yaw,pitch,jawOpen\n1,0,0,0\n24,0,0,0\n36,20,0,0.8\n360,20,0,0.8\n")
    command = [ROOT / ".venv/bin/effigy", "film", keys, "--seed", "21", "--fps", "12", "--out", path]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return path


def test_the_face_follows_a_film_that_is_seen_in_the_corner(window, film):
    hover(window)
    before, rest = corner(window), picture(window)
    ask_for_live_capture(window, f", source='FILM', film={str(film)!r}")
    window.shot("07b-film")
    window.keys("Return")
    until(lambda: window.ask(RUNNING), window.console)
    hover(window)
    until(lambda: values(window)["jawOpen"] > 0.4, window.console)
    until(lambda: np.abs(picture(window).astype(int) - rest).max() > 40, lambda: "the picture does not follow")
    frames = imageio_ffmpeg.read_frames(str(film))
    next(frames)  # its size
    colour = np.frombuffer(next(frames), np.uint8).reshape(-1, 3).mean(axis=0)
    frames.close()
    assert np.abs(corner(window).mean(axis=(0, 1)) - colour).max() < 15, "the film is not seen in its own colours"
    x, y = landmark(window, 30)  # iBUG 30: the nose's tip
    window.shot("live", np.s_[round(y) - 370 : 1040, 40 : round(x) + 260])
    window.keys("Escape")
    until(lambda: not window.ask(RUNNING), window.console)
    assert (np.abs(corner(window) - before).max(axis=2) > 40).mean() < 0.02, "the film stays"


def corner(window):
    """Returns the part of the viewport, drawn now, in which a capture shows a square picture."""
    viewport(window)
    x, bottom = map(round, window.ask("_, _, region = view3d()\nresult = screen(region, (75, 70))"))
    return window.look()[bottom - 200 : bottom, x : x + 200].astype(float)


def test_the_landmarks_of_the_picture_are_read_and_shown(window):
    settle(window)
    with opened(window, "Capture"):
        window.press("Show Read Landmarks", PANEL)
        window.find("Large: requested", PANEL)
        hover(window)
        until(lambda: dots(window) > 100, lambda: "no landmarks are shown")
        x, y = landmark(window, 30)
        window.shot("landmarks", np.s_[round(y) - 350 : round(y) + 210, round(x) - 310 : round(x) + 250])
        window.press("Show Read Landmarks", PANEL)
        hover(window)
        until(lambda: dots(window) == 0, lambda: "they stay")
    window.press("Reset Pose", PANEL)
    window.press("Neutral", PANEL)
    settle(window)


def dots(window):
    """Returns how many pixels are of the blue of landmarks that were read."""
    return int((np.abs(viewport(window) - BLUE).max(axis=2) < 40).sum())


def test_a_face_looks_as_the_one_in_a_picture_and_that_is_undone(window):
    path = window.work / "photograph.png"
    window.ask("face().data.shape_keys.key_blocks['jawOpen'].value = 0.8")
    with whole_picture(window):
        path.write_bytes(bytes(window.ask(PHOTOGRAPH)))
    window.press("Neutral", PANEL)
    settle(window)
    with opened(window, "Capture"):
        window.press("Pose from Pic", PANEL)
        choose_file(window, path, shot="07g-picture")
        until(lambda: values(window)["jawOpen"] > 0.4, window.console)
        settle(window)
        hover(window)
        window.keys("ctrl+z")
        settle(window)
        assert values(window)["jawOpen"] == 0


PHOTOGRAPH = """
import numpy as np
from effigy_client.pixels import to_png

image = face().effigy.image
pixels = np.empty(len(image.pixels), np.float32)
image.pixels.foreach_get(pixels)
result = list(to_png(pixels, image.size[1], image.size[0]))
"""
