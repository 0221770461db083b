# SPDX-License-Identifier: Apache-2.0
"""``make chaos``: bakes and renders in real Blender while everything goes wrong, and checks every frame.

python -m recipes.chaos.run --blender PYTHON_WITH_BPY [--minutes 4] [--seed 0]

Baked files must be those of a quiet bake byte for byte, also those that a failing bake leaves behind. A render either
ends with code 0 and every frame, or with code 3; no frame that it wrote may show anything else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import imageio.v3 as iio
import psutil

import build_addon
from recipes.chaos.troubles import Disk, Troubles

_NO_PICTURE = 3  # a render's exit code
_LONGEST_S = 900  # of one bake or render: a hang is a failure
_ALL = ("killed", "stopped", "disk full", "flooded")


class ChaosError(Exception):
    """What should not have happened."""


class Chaos:
    """The scene on its small disk, and how it looks when nothing goes wrong."""

    def __init__(self, blender: Path, folder: Path, disk: Disk, seed: int) -> None:
        self._blender, self._folder, self.disk, self._seed = blender, folder, disk, seed
        self._zip = build_addon.build(None, folder)
        self.quiet, self.counts, self.runs = folder / "quiet", Counter[str](), Counter[str]()
        self._run("prepare", self.quiet)
        self.baked = {path.name: path.read_bytes() for path in (self.quiet / "baked").glob("*.png")}
        self.rendered = {path.name: iio.imread(path) for path in (self.quiet / "rendered").glob("*.png")}
        if not self.baked or len(self.baked) != len(self.rendered):
            raise ChaosError(f"in peace {len(self.baked)} frames were baked and {len(self.rendered)} rendered")

    def bake(self) -> None:
        shutil.rmtree(self.disk.folder / "effigy", ignore_errors=True)
        code, said = self._run("bake", self.quiet, troubled=True)
        found = {path.name: path.read_bytes() for path in (self.disk.folder / "effigy").rglob("*.png")}
        wrong = [name for name, data in found.items() if self.baked.get(name) != data]
        if wrong:
            raise ChaosError(f"baked files differ from those of a quiet bake: {', '.join(sorted(wrong))}")
        if code or found.keys() != self.baked.keys():
            raise ChaosError(f"the bake ended with code {code} and {len(found)} of {len(self.baked)} frames:\n{said}")
        self.runs["bakes"] += 1
        self.runs["presses of Bake"] += 1 + said.count("bake again")

    def render(self) -> None:
        rendered = self._folder / "rendered"
        shutil.rmtree(rendered, ignore_errors=True)
        code, said = self._run("render", rendered, troubled=True)
        found = {path.name: iio.imread(path) for path in rendered.glob("*.png")}
        wrong = [name for name, picture in found.items() if not (picture == self.rendered[name]).all()]
        if wrong:
            raise ChaosError(f"rendered frames differ from those of a quiet render: {', '.join(sorted(wrong))}")
        if code not in (0, _NO_PICTURE) or (code == 0 and found.keys() != self.rendered.keys()):
            raise ChaosError(f"the render ended with code {code} and {len(found)} frames:\n{said}")
        self.runs["renders to the end" if code == 0 else "renders that ended with code 3"] += 1

    def _run(self, mode: str, where: Path, *, troubled: bool = False) -> tuple[int, str]:
        """Runs Blender; returns its exit code, and the end of its output."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["BLENDER_USER_RESOURCES"] = str(self._folder / "blender")
        script, command = Path(__file__).with_name("scene.py"), Path(sys.executable).with_name("effigy")
        log = self._folder / f"{mode}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [self._blender, script, mode, self.disk.folder, where, self._zip, command],
                env=environment, stdout=file, stderr=file,
            )  # fmt: skip
        self._seed += 1
        troubles = Troubles(psutil.Process(process.pid), self.disk, self._seed, self.counts)
        if troubled:
            troubles.start()
        try:
            code = process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            raise ChaosError(f"{mode} hangs:\n{_end(log)}") from None
        finally:
            if troubled:
                troubles.close()
            for child in [*psutil.Process().children(recursive=True)]:
                child.kill()
        if mode == "prepare" and code:
            raise ChaosError(f"nothing was troubled yet, and Blender ended with code {code}:\n{_end(log)}")
        return code, _end(log)


def main(blender: Path, minutes: float, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="effigy-chaos-") as name:
        folder, started = Path(name), time.monotonic()
        disk = Disk(folder / "disk")
        try:
            print("Chaos: a quiet bake and render first …", flush=True)
            chaos = Chaos(blender.absolute(), folder, disk, seed)
            end = time.monotonic() + 60 * minutes
            while time.monotonic() < end or any(not chaos.counts[kind] for kind in _ALL):
                chaos.bake()
                chaos.render()
                print(f"  {_words(chaos.runs)}; the backend or disk was {_words(chaos.counts)}", flush=True)
        finally:
            disk.close()
        frames = len(chaos.baked) * chaos.runs["bakes"]
        disk_was = "a tmpfs" if disk.is_mounted else "a folder whose files may not grow"
        print(f"{frames} baked frames, all as in peace, in {time.monotonic() - started:.0f} s; the disk was {disk_was}")


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "not yet troubled"


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", type=Path, required=True, help="a Python with bpy")
    parser.add_argument("--minutes", type=float, default=4, help="how long, after the quiet run")
    parser.add_argument("--seed", type=int, default=0, help="of the order of troubles")
    arguments = parser.parse_args()
    try:
        main(arguments.blender, arguments.minutes, arguments.seed)
    except ChaosError as error:
        sys.exit(f"chaos: {error}")
