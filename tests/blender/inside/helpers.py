# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of the tests inside Blender."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import bpy
import numpy as np
from conftest import addon

import effigy_client.sequence
from effigy_client.pose import Angles


def look() -> float:
    """Runs the preview's timer once; returns the seconds until it would look again."""
    return addon("blender.pictures.preview").tick()


def pixels(image) -> np.ndarray:
    """Returns an image data-block's pixels [H, W, 3] as bytes, bottom row first."""
    values = np.empty(len(image.pixels), dtype=np.float32)
    image.pixels.foreach_get(values)
    rgba = values.reshape(image.size[1], image.size[0], -1)
    return np.round(rgba[..., :3] * 255).astype(np.uint8)


def rgba(image, *, linear: bool = False) -> np.ndarray:
    """An image's bytes [H, W, 4], bottom row first. What has more than eight bits, Blender holds as linear light."""
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(image.size[1], image.size[0], 4).astype(np.float64)
    if linear:
        light = values[..., :3]
        values[..., :3] = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(values * 255).astype(np.uint8)


def read(path: Path) -> np.ndarray:
    """Reads a picture file's pixels [H, W, 3], bottom row first."""
    image = bpy.data.images.load(str(path))
    try:
        return pixels(image)
    finally:
        bpy.data.images.remove(image)


def render(scene) -> list[np.ndarray]:
    """Renders the scene's range and reads the files back."""
    bpy.ops.render.render(animation=True)
    frames = range(scene.frame_start, scene.frame_end + 1)
    return [read(Path(f"{scene.render.filepath}{frame:04d}.png")) for frame in frames]


def begun_bake(proxy, scene):
    """Begins a bake until a frame is written; so many frames remain that not all of them were requested ahead."""
    scene.frame_end = scene.frame_start + 30
    bake = addon("blender.pictures.bake").Bake(proxy, scene)
    while bake.step() < 1:
        effigy_client.sequence.pause()
    return bake


def strike_in_a_bake(monkeypatch, painted, pid, with_signal) -> None:
    """Sends the backend ``pid`` a signal as soon as a bake has painted ``painted`` frames."""
    bake = addon("blender.pictures.bake").Bake
    keep = bake.keep

    def keep_and_strike(self, step):
        keep(self, step)
        if self.painted == painted:
            os.kill(pid, with_signal)

    monkeypatch.setattr(bake, "keep", keep_and_strike)


def bake_while_struck(scene, proxy, backend, monkeypatch, painted, with_signal):
    """Bakes 40 frames, in the midst of which the backend gets a signal and is replaced.

    Returns the folder and the process id of the backend that was struck.
    """
    swing(proxy, scene, 20)
    scene.frame_end = 40
    pid = backend.provision.pid
    strike_in_a_bake(monkeypatch, painted, pid, with_signal)
    assert bpy.ops.effigy.bake() == {"FINISHED"}
    assert backend.provision.pid != pid
    return addon("blender.pictures.bake").folder_of(proxy), pid


def go_on(work) -> None:
    """Steps a bake or a cache to its end."""
    end = time.monotonic() + 300
    while not work.walk.is_done:
        assert time.monotonic() < end
        work.step()
        effigy_client.sequence.pause()


def open_mouth_as_a_step(proxy, settle) -> None:
    """Opens the mouth as one undo step; references to objects do not survive undo."""
    bpy.ops.ed.undo_push(message="before")
    proxy.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    bpy.ops.ed.undo_push(message="open")
    bpy.context.view_layer.update()
    settle()


def swing(proxy, scene, degrees: float) -> None:
    """Keys a turn of a head, or of what carries it, about its axis over the scene's frames. It rolls no head."""
    proxy.rotation_mode, face = "XYZ", proxy.effigy
    for frame, side in ((scene.frame_start, -1), (scene.frame_end, 1)):
        proxy.rotation_euler = (0, 0, math.radians(side * degrees))
        if face.is_face:
            bpy.context.view_layer.update()
            controls = addon("blender.scene.controls")
            now = controls.angles_now(proxy, scene.camera)
            controls.turn(proxy, scene.camera, Angles(now.yaw, now.pitch, face.rest_roll))
        proxy.keyframe_insert("rotation_euler", frame=frame)


def key(proxy, name: str, *values: tuple[int, float]) -> None:
    """Keys a control at (frame, value) pairs."""
    block = proxy.data.shape_keys.key_blocks[name]
    for frame, value in values:
        block.value = value
        block.keyframe_insert("value", frame=frame)


def give_ups(monkeypatch):
    """Collects the reasons for which a render would end, instead of ending this process."""
    said = []
    monkeypatch.setattr(addon("blender.pictures.render"), "give_up", said.append)
    return said
