# SPDX-License-Identifier: Apache-2.0
"""``make bench``: measures the main figures of docs/benchmarks.md on this machine.

python recipes/bench/run.py --blender PYTHON_WITH_BPY [--size 256]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # for build_addon

import numpy as np
from rich.console import Console
from rich.table import Table

import build_addon
from recipes.bench.enlarge import enlarge

PARTS = ("queue", "inverse", "synthesis", "encode", "transport", "upload", "total")


def main(blender: Path, size: int) -> None:
    addon_zip = build_addon.build(blender)
    with tempfile.TemporaryDirectory() as folder:
        model = "default"
        if size != 128:
            model = str(Path(folder) / f"{size}.effigy")
            enlarge(size, Path(model))
        out = Path(folder) / "bench.json"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment["BLENDER_USER_RESOURCES"] = str(Path(folder) / "blender")
        command = str(Path(sys.executable).with_name("effigy"))
        script = Path(__file__).with_name("blender_side.py")
        subprocess.run(
            [blender, script, out, addon_zip, command, model, str(size)],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        measured = json.loads(out.read_text(encoding="utf-8"))
    table = Table("one preview, ms", "median", "95 %")
    for part in PARTS:
        values = [row[part] for row in measured["preview_ms"]]
        table.add_row(part, f"{np.median(values):.2f}", f"{np.percentile(values, 95):.2f}")
    console = Console()
    console.print(table)
    window = measured["window_ms"]
    console.print(
        f"in a window         {window['total']:.1f} ms, {window['total'] - window['synthesis']:.1f} beyond synthesis; "
        f"main thread {window['main_thread']:.2f} ms of a picture, its longest tick {window['longest_tick']:.2f} "
        f"({window['tick_processor']:.2f} of processor time)"
    )
    lit = measured["lit_ms"]
    console.print(
        f"lit by the scene    {lit['total']:.1f} ms, {lit['total'] / window['total']:.2f} × as painted; "
        f"main thread {lit['main_thread']:.2f} ms, {lit['main_thread'] / window['main_thread']:.2f} ×, "
        f"its longest tick {lit['longest_tick']:.2f} ({lit['tick_processor']:.2f} of processor time)"
    )
    console.print(f"add-on zip          {addon_zip.stat().st_size / 2**20:.1f} MB")
    console.print(
        f"enable with imports {measured['enable_ms']:.0f} ms, register alone {measured['register_ms']:.1f} ms"
    )

    console.print(
        f"bake                {measured['bake_fps']:.1f} frames/s, "
        f"{measured['bake_share']:.2f} of what inverse, painting and PNG allow, "
        f"{measured['bake_share_of_synthesis']:.2f} of painting alone; "
        f"Blender's share of a frame {measured['bake_main_ms']:.1f} ms"
    )
    console.print(f"scrub a cache       {measured['scrub_fps']:.0f} frames/s of the add-on's own time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, required=True, help="a Python with bpy")
    parser.add_argument("--size", type=int, choices=(128, 256, 512, 1024), default=128, help="128, or a larger twin")
    arguments = parser.parse_args()
    main(arguments.blender, arguments.size)
