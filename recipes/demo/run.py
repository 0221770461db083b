# SPDX-License-Identifier: Apache-2.0
"""``make demo``: poses and renders the embedded default in real Blender, and measures the pictures.

python recipes/demo/run.py --blender PYTHON_WITH_BPY --out out/demo
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # for build_addon

import imageio.v3 as iio
import numpy as np
import torch

import build_addon
from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.geometry import angles, infer
from effigy.landmarks import EmbeddedDetector

_CONTACT_COLUMNS = 12
_CONTACT_EVERY = 2
_FILM_SCALE = 4  # pixels of the film for one of the picture: players blur small films


def main(blender: Path, out: Path) -> None:
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    clear(out)
    print("Effigy demo", flush=True)
    print("  building the add-on …", flush=True)
    addon_zip = build_addon.build(blender)
    seconds = {"build": round(time.monotonic() - started, 2)}
    scene = run_blender(blender, out, addon_zip)
    seconds |= scene["seconds"]
    print("  measuring the rendered pictures …", flush=True)
    before = time.monotonic()
    rendered = sorted((out / "frames").glob("frame_*.png"))
    frames = np.stack([iio.imread(path)[..., :3] for path in rendered])
    baked = np.stack([iio.imread(path)[..., :3] for path in sorted(Path(scene["baked"]).glob("*.png"))])
    asked, times = scene["yaw_asked_deg"], scene["round_trips_ms"]
    report = {
        "blender": scene["blender"],
        "frames": {
            "asked": len(asked),
            "rendered": len(frames),
            "distinct": len({frame.tobytes() for frame in frames}),
        },
        "yaw_asked_deg": asked,
        "yaw_measured_deg": measured_yaw(frames),
        "round_trip_ms": {"mean": round(float(np.mean(times)), 1), "p95": round(float(np.percentile(times, 95)), 1)},
        "render_equals_bake": bool(frames.shape == baked.shape and (frames == baked).all()),
        "seconds": seconds,
    }
    write_contact_sheet(frames, out / "contact.png")
    write_film(frames, out / "turntable.mp4")
    seconds["measure"] = round(time.monotonic() - before, 2)
    seconds["total"] = round(time.monotonic() - started, 2)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "blender.json").unlink()
    check(report)
    print_report(report, out)


def clear(out: Path) -> None:
    """Removes the files of an earlier demo and nothing else, since ``out`` may be any folder."""
    for name in ("frames", "effigy", "blender-user", "scenes"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (
        "contact.png",
        "turntable.mp4",
        "report.json",
        "blender.json",
        "blender.log",
        "scene.blend",
        "scene.blend1",
    ):
        (out / name).unlink(missing_ok=True)


def run_blender(blender: Path, out: Path, addon_zip: Path) -> dict[str, Any]:
    """Runs scene.py in Blender with a user folder of its own; returns its measurements."""
    user = out / "blender-user"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["BLENDER_USER_RESOURCES"] = str(user.resolve())
    command: list[str | Path] = [
        blender,
        Path(__file__).with_name("scene.py"),
        out.resolve(),
        addon_zip,
        effigy_command(),
    ]
    with (out / "blender.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if line.startswith("  ") and line.endswith("…\n"):  # Blender's own output stays in the log
                print(line, end="", flush=True)
    if process.wait() != 0:
        raise SystemExit(f"demo: Blender ended with code {process.returncode}; see {out / 'blender.log'}")
    shutil.rmtree(user, ignore_errors=True)
    return dict(json.loads((out / "blender.json").read_text(encoding="utf-8")))


def effigy_command() -> str:
    return str(Path(sys.executable).with_name("effigy"))


def measured_yaw(frames: np.ndarray) -> list[float]:
    """Returns the yaw (degrees) of the face in each picture [N, H, W, 3], by detected landmarks and the shape model."""
    detector = EmbeddedDetector(DEFAULT_BUNDLE / "detector.safetensors")
    shape = load_face_model(DEFAULT_BUNDLE, "cpu").shape
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    views = infer(shape, detector.detect(pictures).double().numpy())
    return [round(float(np.degrees(yaw)), 3) for yaw in angles(views.camera.R)[0]]


def write_contact_sheet(frames: np.ndarray, path: Path) -> None:
    """Writes every second frame, in rows."""
    chosen = frames[::_CONTACT_EVERY]
    rows = [chosen[i : i + _CONTACT_COLUMNS] for i in range(0, len(chosen), _CONTACT_COLUMNS)]
    iio.imwrite(path, np.concatenate([np.concatenate(list(row), axis=1) for row in rows]))


def write_film(frames: np.ndarray, path: Path) -> None:
    """Writes the frames forwards and backwards, enlarged without blur."""
    there_and_back = np.concatenate([frames, frames[-2:0:-1]])
    large = there_and_back.repeat(_FILM_SCALE, axis=1).repeat(_FILM_SCALE, axis=2)
    iio.imwrite(path, large, fps=24, codec="libx264", quality=9, macro_block_size=2)


def check(report: dict[str, Any]) -> None:
    """Makes the demo fail when its pictures do not show what it claims."""
    frames = report["frames"]
    if frames["rendered"] != frames["asked"] or frames["distinct"] != frames["asked"]:
        raise SystemExit(f"demo: of {frames['asked']} frames {frames['rendered']} came and {frames['distinct']} differ")
    if not report["render_equals_bake"]:
        raise SystemExit("demo: the rendered pictures are not the baked ones")


def print_report(report: dict[str, Any], out: Path) -> None:
    asked, measured = np.array(report["yaw_asked_deg"]), np.array(report["yaw_measured_deg"])
    slope = np.polyfit(asked, measured, 1)[0]
    error = np.abs(measured - asked).mean()
    trip = report["round_trip_ms"]
    print(f"""
{report["frames"]["rendered"]} frames in Blender {report["blender"]}; render and bake are equal pixel for pixel.
Yaw asked {asked[0]:.0f}° to {asked[-1]:.0f}°, measured on the pictures: slope {slope:.2f}, mean error {error:.1f}°.
From hand to picture: {trip["mean"]} ms (95 %: {trip["p95"]} ms). All in {report["seconds"]["total"]:.0f} s.

Look at  {out / "contact.png"}
         {out / "scenes"}: a portrait, a room, an interview
         {out / "turntable.mp4"}
         {out / "scene.blend"}
         {out / "report.json"}""")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, required=True, help="a Python with bpy")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    options = parser.parse_args()
    main(options.blender, options.out)
