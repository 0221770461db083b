# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender half of ``make bench``: measures where the time between mouse and picture goes.

python blender_side.py OUT_FILE ADDON_ZIP BACKEND_COMMAND MODEL SIZE       (with the Python that has bpy)
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

import bpy

# isort: split
import addon_utils  # bpy brings it
from scene import FRAMES, PACKAGE, addon, animate, build_scene

WARM_UP = 10


def install(addon_zip: str, command: str) -> dict[str, float]:
    """Installs and enables the add-on; returns milliseconds of enabling (with its imports) and of registering alone."""
    bpy.ops.extensions.package_install_files(filepath=addon_zip, repo="user_default", enable_on_install=False)
    started = time.perf_counter()
    addon_utils.enable(PACKAGE, default_set=True)
    enabled = time.perf_counter()
    registration = addon("blender.registration")
    registration.unregister()
    before = time.perf_counter()
    registration.register()
    times = {"enable_ms": 1e3 * (enabled - started), "register_ms": 1e3 * (time.perf_counter() - before)}
    bpy.context.preferences.addons[PACKAGE].preferences.command = command
    return times


def measure(
    proxy: bpy.types.Object, scene: bpy.types.Scene, interval: float | None, rounds: int
) -> list[dict[str, float]]:
    """Asks for, waits for and writes one preview at a time; returns milliseconds of each part.

    Ticks every ``interval`` seconds; None: when the tick before asks for it, as a window's timer does.
    """
    preview, plate, runs = (
        addon("blender.pictures.preview"),
        addon("blender.scene.plate"),
        addon("blender.pictures.runs"),
    )
    follower, changes = runs.run_of(proxy).follower, addon("blender.pictures.activity").changes
    parts: dict[str, Any] = {}
    rows, show, receive = [], plate.show, follower.receive

    def timed_show(*arguments: object) -> None:
        started = time.perf_counter()
        show(*arguments)
        parts["upload"] = 1e3 * (time.perf_counter() - started)

    def noted_receive(got: Any, *arguments: object) -> bool:
        parts["timings"] = got.outcome.frame.timings
        return bool(receive(got, *arguments))

    plate.show, follower.receive = timed_show, noted_receive
    for number in range(rounds + WARM_UP):
        scene.frame_set(1 + number % FRAMES)
        runs.runs.memory.clear()  # or the second round would be remembered instead of asked for
        changes.mark()
        follower.begin_anew()
        busy = longest = most = 0.0
        started = time.perf_counter()
        while True:
            before, at_work = time.perf_counter(), time.thread_time()
            wait = preview.tick()
            spent = time.perf_counter() - before
            most = max(most, time.thread_time() - at_work)
            busy, longest = busy + spent, max(longest, spent)
            if follower.shown is not None:
                break
            time.sleep(wait if interval is None else interval)
        total = 1e3 * (time.perf_counter() - started)
        timings = parts["timings"]
        inside = timings.queue_ms + timings.inverse_ms + timings.synthesis_ms + timings.encode_ms
        rows.append(
            {
                "total": total,
                "queue": timings.queue_ms,
                "inverse": timings.inverse_ms,
                "synthesis": timings.synthesis_ms,
                "encode": timings.encode_ms,
                "upload": parts["upload"],
                "transport": total - inside - parts["upload"],
                "main_thread": 1e3 * busy,
                "tick_processor": 1e3 * most,
                "longest_tick": 1e3 * longest,
            }
        )
    return rows[WARM_UP:]


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Returns the medians of what a window's user notices."""
    parts = ("main_thread", "tick_processor", "longest_tick", "total", "synthesis")
    return {part: statistics.median(row[part] for row in rows) for part in parts}


def bake_rate(scene: bpy.types.Scene, frames: int) -> dict[str, float]:
    """Measures baked frames per second, and their ratio to painting alone and to painting, inverse and PNG together."""
    bake(scene, range(1, WARM_UP + 1))  # what happens once per bake is not part of a rate
    alone = one_by_one()
    took, spent = bake(scene, range(WARM_UP + 1, WARM_UP + frames + 1))
    alone += one_by_one()
    rate = frames / took
    synthesis = statistics.median(timings.synthesis_ms for timings in alone)
    whole = statistics.median(t.inverse_ms + t.synthesis_ms + t.encode_ms for t in alone)
    return {
        "bake_fps": rate,
        "bake_share": rate * whole / 1e3,
        "bake_share_of_synthesis": rate * synthesis / 1e3,
        "bake_main_ms": 1e3 * spent / frames,
    }


def bake(scene: bpy.types.Scene, frames: range) -> tuple[float, float]:
    """Bakes; returns seconds in all, and seconds that Blender's main thread worked."""
    scene.frame_start, scene.frame_end = frames[0], frames[-1]
    started, spent = time.perf_counter(), time.thread_time()
    bpy.ops.effigy.bake()
    times = time.perf_counter() - started, time.thread_time() - spent
    bpy.ops.effigy.show_live()
    return times


def one_by_one() -> list[Any]:
    """Times finals, asking for each when the one before has come."""
    from effigy_protocol import messages  # part of the add-on once that is installed

    session = addon("blender.pictures.session").session
    runs, proxy = addon("blender.pictures.runs"), bpy.context.active_object
    identities = session.ensure_ready()
    key = runs.run_of(proxy).follower.face.open_now(identities, runs.anchor_of(proxy))
    asked = [messages.Synthesize(key, 0.3 * number, 0.0, {}, "final", "png") for number in range(30)]
    return [identities.link.call(request, 30).timings for request in asked]


def scrub_rate(scene: bpy.types.Scene, frames: int) -> float:
    """Measures how many frames per second the add-on's own work allows when a cached range is scrubbed."""
    scene.frame_start, scene.frame_end = 1, frames
    bpy.ops.effigy.cache()
    preview, spent = addon("blender.pictures.preview"), 0.0

    def timed(work: Callable[..., object]) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            nonlocal spent
            started = time.perf_counter()
            work(*arguments)
            spent += time.perf_counter() - started

        return run

    preview.recall_frame, look = timed(preview.recall_frame), timed(preview.look)
    for frame in range(1, frames + 1):
        scene.frame_set(frame)  # which shows the picture
        look()
    return frames / spent


def main(out: Path, addon_zip: str, command: str, model: str, size: int) -> None:
    times: dict[str, Any] = dict(install(addon_zip, command))
    bpy.context.preferences.addons[PACKAGE].preferences.model = model
    rounds = max(10, 100 * 128 // size)
    bpy.ops.effigy.connect()
    addon("blender.pictures.session").session.ensure_ready()
    proxy = build_scene(out.parent)
    animate(proxy, bpy.context.scene)
    times["preview_ms"] = measure(proxy, bpy.context.scene, 0.001, rounds)
    # Ticks as in a window. Few enough that the backend does not begin to compile.
    ticking = measure(proxy, bpy.context.scene, None, rounds // 2)
    times["window_ms"] = medians(ticking)
    proxy.effigy.lit = True
    times["lit_ms"] = medians(measure(proxy, bpy.context.scene, None, rounds // 2))
    proxy.effigy.lit = False
    times |= bake_rate(bpy.context.scene, 3 * rounds)
    bpy.context.preferences.addons[PACKAGE].preferences.memory = 2048
    times["scrub_fps"] = scrub_rate(bpy.context.scene, 300 if size < 1024 else 36)
    out.write_text(json.dumps(times), encoding="utf-8")


if __name__ == "__main__":
    code = 1
    try:
        out, addon_zip, command, model, size = sys.argv[1:6]
        main(Path(out), addon_zip, command, model, int(size))
        code = 0
    finally:
        addon_utils.disable(PACKAGE)
        sys.stdout.flush()
        if code == 0:
            os._exit(0)
