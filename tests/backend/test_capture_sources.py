# SPDX-License-Identifier: Apache-2.0
"""Cameras as sources of pictures: their names, their newest picture, and what ends them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from effigy.capture import (
    SourceError,
    cameras,
    list_cameras,
    open_camera,
)
from effigy.capture.sources import Source, _Newest
from effigy.commands.capture import CaptureError, Performer, read_take


def test_a_camera_that_is_not_there_is_told():
    with pytest.raises(SourceError, match="there is no camera 63"):
        open_camera(63)


def test_cameras_are_named_as_their_system_names_them(tmp_path, monkeypatch):
    for node, index, name in (("video0", "0", "HD Webcam"), ("video1", "1", "HD Webcam"), ("video10", "0", "Capture")):
        (tmp_path / "sys" / node).mkdir(parents=True)
        (tmp_path / "sys" / node / "index").write_text(index + "\n")
        (tmp_path / "sys" / node / "name").write_text(name + "\n")
        (tmp_path / node).touch()
    (tmp_path / "video2").touch()  # of which nothing is known
    monkeypatch.setattr(cameras, "_DEVICES", tmp_path)
    monkeypatch.setattr(cameras, "_NAMES", tmp_path / "sys")
    monkeypatch.setattr(sys, "platform", "linux")
    assert [(c.number, c.name) for c in list_cameras()] == [(0, "HD Webcam"), (2, "camera 2"), (10, "Capture")]
    with pytest.raises(SourceError, match=r"no camera 1: there is 0 \(HD Webcam\), 2 \(camera 2\), 10 \(Capture\)"):
        open_camera(1)
    # As FFmpeg lists them on Windows and macOS.
    windows = '[dshow @ 0] "USB Camera" (video)\n[dshow @ 0]   Alternative name "@device"\n[dshow @ 0] "Mike" (audio)\n'
    assert cameras._windows_cameras(windows) == ["USB Camera"]
    mac = (
        "[AVFoundation indev @ 0x7] AVFoundation video devices:\n[AVFoundation indev @ 0x7] [0] FaceTime HD Camera\n"
        "[AVFoundation indev @ 0x7] [1] Capture screen 0\n[AVFoundation indev @ 0x7] AVFoundation audio devices:\n"
        "[AVFoundation indev @ 0x7] [0] Microphone\n"
    )
    assert cameras._mac_cameras(mac) == [(0, "FaceTime HD Camera")]


def test_of_a_camera_the_newest_picture_is_next_and_one_that_is_unplugged_ends():
    def frames():
        yield from (np.full((1, 1, 3), number, np.uint8) for number in range(50))
        raise OSError("unplugged")

    newest = _Newest(frames())
    newest._thread.join(300)
    _, picture = newest.wait(1.0)
    assert picture[0, 0, 0] == 49, "the others came too fast"
    assert newest.wait(1.0) is None


def test_a_source_is_closed_when_it_was_read(default_model, reader):
    closed = []

    def pictures():
        try:
            while True:
                yield 0.0, np.zeros((8, 8, 3), np.uint8)
        except GeneratorExit:
            closed.append(True)

    generator = pictures()

    def ten():
        yield from ((at, next(generator)[1]) for at in np.arange(2.0))
        generator.close()

    with pytest.raises(CaptureError):
        read_take(Performer(default_model), reader, Source("nobody", 1.0, 10, False, ten()))
    assert closed
