# SPDX-License-Identifier: Apache-2.0
"""Windowed Blender under a virtual display: start it, look at it, click what it shows."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from .reading import READINGS, Line, Reading, read

ROOT = Path(__file__).resolve().parents[2]
SIZE = 1500, 1200  # as high as the panel with its parts open: a row below the edge is not seen
PATIENCE = 600.0  # seconds: what an idle machine does in two, one with fifteen others at work does in minutes
_ROW = 12  # pixels above and below a text's middle


class Display:
    """A virtual X server, under a number that is free."""

    def __init__(self, log: Path) -> None:
        screen = f"{SIZE[0]}x{SIZE[1]}x24"
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "+extension", "GLX", "-nolisten", "tcp"]
        command += ["-nocursor", "-fbdir", str(log.parent)]  # a pointer would hide what it stands on
        self._pixels = log.parent / "Xvfb_screen0"
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=file, pass_fds=[writing])
        os.close(writing)
        with open(reading) as told:
            number = told.readline().strip()  # once the server is ready; nothing if it ends
        assert number, log.read_text()
        self.name = f":{number}"

    def look(self) -> np.ndarray:
        """The screen [H, W, 3], from the file in which the X server has it: X's own format of window dumps."""
        data = self._pixels.read_bytes()
        header = np.frombuffer(data, ">u4", 25)
        start, width, height = int(header[0] + 12 * header[19]), int(header[4]), int(header[5])
        pixels = np.frombuffer(data, np.uint8, 4 * width * height, start)
        return np.ascontiguousarray(pixels.reshape(height, width, 4)[..., 2::-1])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


class Chroot:
    """The folder in which windowed Blender lives, with this machine's files beside it under /host."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self._mounted: list[Path] = []
        try:
            self._mount(work)
        except subprocess.CalledProcessError:
            self.close()
            raise

    def _mount(self, work: Path) -> None:
        folder = self.folder
        work.mkdir(parents=True, exist_ok=True)
        Path("/tmp/.X11-unix").mkdir(mode=0o1777, exist_ok=True)
        # The same path inside and outside, so that Blender and backend agree on where files are.
        for source, target in (
            ("/proc", "proc"),
            ("/dev", "dev"),
            ("/", "host"),
            ("/proc", "host/proc"),
            ("/dev", "host/dev"),
            ("/tmp/.X11-unix", "tmp/.X11-unix"),
            (str(work), str(work).lstrip("/")),
        ):
            self._bind(Path(source), folder / target)
        command = folder / "usr/local/bin/effigy"
        effigy = ROOT / ".venv/bin/effigy"
        command.write_text(f'#!/bin/sh\nexec chroot /host "{effigy}" "$@"\n')
        command.chmod(0o755)

    def _bind(self, source: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", source, target], check=True)
        self._mounted.append(target)

    def close(self) -> None:
        for target in reversed(self._mounted):
            subprocess.run(["umount", "-l", target], check=True)


def _row(place: tuple[float, float]) -> slice:
    """The rows of the screen in which a text stands."""
    middle = round(place[1])
    return slice(max(middle - _ROW, 0), middle + _ROW)


class Window:
    """Blender, its picture on the screen, and a way to ask it what cannot be seen."""

    def __init__(self, chroot: Chroot, display: Display, work: Path, addon_zip: Path, shots: Path) -> None:
        self.work, self.shots, self._display = work, shots, display
        self.log = work / "blender.log"
        self._found: dict[tuple[str, int | None, int | None], tuple[tuple[float, float], np.ndarray]] = {}
        shots.mkdir(parents=True, exist_ok=True)
        (work / "effigy.zip").write_bytes(addon_zip.read_bytes())
        (work / "temporary").mkdir()
        (work / "driver.py").write_bytes((ROOT / "tests/gui/driver.py").read_bytes())
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin",
            "HOME": str(work),
            "DISPLAY": display.name,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "BLENDER_USER_RESOURCES": str(work / "user"),
            "TMPDIR": str(work / "temporary"),  # a folder that the backend, outside of the chroot, sees too
            "EFFIGY_GUI_BOX": str(work),
            "LANG": "C.UTF-8",
        }
        inside = ["chroot", str(chroot.folder), "blender"]
        self._inside, self._environment = inside, environment
        subprocess.run(
            [*inside, "--command", "extension", "install-file", "-r", "user_default", "--enable", work / "effigy.zip"],
            env=environment, check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*inside, "--window-geometry", "0", "0", *map(str, SIZE), "--python", str(work / "driver.py")],
                env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def ask(self, question: str) -> object:
        """Runs Python in Blender's main thread; returns what it puts into ``result``."""
        answer = self.work / "answer.json"
        answer.unlink(missing_ok=True)
        (self.work / "question.part").write_text(question)
        (self.work / "question.part").replace(self.work / "question.py")
        self._wait(answer.exists, question)
        said = json.loads(answer.read_text())
        assert "error" not in said, said["error"]
        return said["result"]

    def _wait(self, holds: Callable[[], bool], question: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            self._check_it_runs()
            if time.monotonic() > end:
                self._end(question)
            time.sleep(0.02)

    def _end(self, question: str) -> None:
        """Ends a Blender that hangs, so that what follows fails at once; its console says in which Python it hung."""
        self.shot("hung")
        self._stop(signal.SIGABRT)
        raise AssertionError(f"Blender does not answer:\n{question}\n{self.console()}")

    def _check_it_runs(self) -> None:
        code = self.process.poll()
        assert code is None, f"Blender ended with code {code}:\n{self.console()}"

    def background(self, *arguments: object) -> str:
        """What Blender says that runs without a window, with the same preferences; its code must be 0."""
        command = [*self._inside, "-b", *map(str, arguments)]
        return subprocess.run(
            command, env=self._environment, check=True, capture_output=True, text=True, timeout=PATIENCE
        ).stdout

    def console(self) -> str:
        return self.log.read_text(errors="replace")

    def _do(self, *arguments: object) -> None:
        environment = {**os.environ, "DISPLAY": self._display.name}
        subprocess.run(["xdotool", *map(str, arguments)], env=environment, check=True, timeout=PATIENCE)

    def wait_until_seen(self) -> None:
        """Returns when Blender has seen what mouse and keyboard sent, which takes seconds on a busy machine."""
        unseen = self.work / "unseen"
        unseen.touch()
        self._wait(lambda: not unseen.exists(), "an event")

    def move(self, x: float, y: float) -> None:
        self._do("mousemove", round(x), round(y))
        time.sleep(0.3)
        self.wait_until_seen()

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        self._do("click", 1)
        time.sleep(0.5)
        self.wait_until_seen()

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6, button: int = 1) -> None:
        """Presses, moves in steps as a hand does, and lets go."""
        self.hold(start, button)
        self.lead(start, end, steps)
        self.let_go(button)

    def hold(self, place: tuple[float, float], button: int = 1) -> None:
        self.move(*place)
        self._do("mousedown", button)
        self.wait_until_seen()

    def lead(self, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
        """Moves from where the mouse is, step by step, as a hand does.

        A slider takes hold of the pointer and puts it back after every step that Blender has seen: places on the screen
        mean nothing then, and a step too early is lost.
        """
        path = np.rint(np.linspace(start, end, steps + 1)).astype(int)
        for x, y in np.diff(path, axis=0):
            self._do("mousemove_relative", "--", x, y)
            self.wait_until_seen()

    def let_go(self, button: int = 1) -> None:
        self._do("mouseup", button)
        time.sleep(0.5)
        self.wait_until_seen()

    @contextlib.contextmanager
    def pressed(self, key: str) -> Iterator[None]:
        """While a key is held down."""
        self._do("keydown", key)
        try:
            yield
        finally:
            self._do("keyup", key)

    def keys(self, *names: str) -> None:
        for name in names:
            self._do("key", name)
            time.sleep(0.25)
            self.wait_until_seen()

    def look(self) -> np.ndarray:
        """The screen [H, W, 3]."""
        return self._display.look()

    def shot(self, name: str, part: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
        """Keeps a screenshot, or these rows and columns of it, for people (and for docs/artists.md)."""
        picture = self.look()[part]
        Image.fromarray(picture).save(self.shots / f"{name}.png")
        return picture

    def words(self, columns: slice) -> list[Line]:
        """What can be read in these columns of the screen."""
        return self._read(self.look(), columns, READINGS[0])

    def _read(self, screen: np.ndarray, columns: slice, reading: Reading) -> list[Line]:
        return read(screen, columns, reading, self.work / "read.png")

    def find(self, text: str, columns: slice = slice(None)) -> tuple[float, float]:
        """Where ``text`` (a regular expression) stands on the screen; waits for it."""
        return self._find(text, columns)[0]

    def _find(self, text: str, columns: slice) -> tuple[tuple[float, float], np.ndarray]:
        """Where ``text`` stands, and the screen on which it stood there."""
        end = time.monotonic() + PATIENCE
        asked = text, columns.start, columns.stop
        seen: list[Line] = []
        read = None  # of the screen, what was read last
        left: list[Reading] = []  # in which it was not read yet
        while True:
            screen = self.look()
            if asked in self._found:  # reading takes long: what is there, pixel by pixel, need not be read again
                place, row = self._found[asked]
                if np.array_equal(screen[_row(place), columns], row):
                    return place, screen
            if read is None or not np.array_equal(screen[:, columns], read):
                read, left = screen[:, columns], list(READINGS)
            if left:
                seen = self._read(screen, columns, left.pop(0))
            for line, x, y in seen:
                if re.search(text, line, re.IGNORECASE):
                    self._found[asked] = (x, y), screen[_row((x, y)), columns]
                    return (x, y), screen
            self._check_it_runs()
            assert time.monotonic() < end, f"no {text!r} on the screen: {[line for line, _, _ in seen]}"
            time.sleep(0.5)

    def press(self, text: str, columns: slice = slice(None)) -> None:
        """Clicks the button that says ``text``."""
        self.click(*self.find_still(text, columns))

    def find_still(self, text: str, columns: slice = slice(None)) -> tuple[float, float]:
        """Where ``text`` stands once it does not move any more: rows above it come and go."""
        while True:
            place, screen = self._find(text, columns)
            if np.array_equal(self.look()[_row(place), columns], screen[_row(place), columns]):
                return place

    def _stop(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self._stop(signal.SIGTERM)
