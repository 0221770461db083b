# SPDX-License-Identifier: Apache-2.0
"""Sources of moving pictures: films and cameras, both through the FFmpeg that imageio-ffmpeg brings.

It reads all usual films, and cameras on Linux, macOS and Windows, without another library. Pictures arrive over a pipe.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.files import file_problem

from .cameras import find_camera
from .ffmpeg import SourceError, ffmpeg

_WIDEST = 1280  # pixels: a film's pictures are made no wider, since faces are read at 256
_LARGEST = 64 << 20  # bytes of a picture
# FFmpeg gets an open film and may open nothing itself: a playlist must not lead to other files or into the network.
_OPEN_FILM = ("-protocol_whitelist", "fd,crypto,data", "-i", "fd:")
_PROBE_S = 30.0  # for FFmpeg to say what a film is, or to end
_PATIENCE_S = 10.0  # for a camera's next picture
_USUAL_RATE = 30.0  # pictures a second, where a film does not say
_FASTEST = 240.0

Pixels = NDArray[np.uint8]
"""A picture [H, W, 3]."""


@dataclass(frozen=True, slots=True)
class Source:
    """A sequence of pictures [H, W, 3] uint8, each with the second at which it is shown."""

    name: str
    rate: float  # pictures a second
    count: int  # of pictures, about; 0 where nobody knows
    is_live: bool  # whether it is a camera
    pictures: Iterator[tuple[float, Pixels]]  # close it when done


def open_film(path: Path, rate: float | None = None) -> Source:
    """Opens a film file, at its own frame rate or another. Raises SourceError, also while it is read."""
    if problem := file_problem(path, "film"):
        raise SourceError(problem)
    if rate is not None and not 0 < rate <= _FASTEST:
        raise SourceError(f"{rate} pictures a second cannot be: give from 1 to {_FASTEST:.0f}")
    own, seconds = _rate_and_length(path)
    chosen = rate or own
    # To another rate, -r alone repeats pictures at the beginning, and all that follow come late.
    filters = () if rate in (None, own) else (f"fps={chosen:g}",)
    with _opened(path) as film:
        frames = _Frames([*_OPEN_FILM, "-fps_mode", "cfr", "-r", f"{chosen:g}"], *filters, film=film)
    return Source(path.name, chosen, round(seconds * chosen), False, _film_pictures(path, chosen, frames))


def open_camera(number: int = 0, rate: float | None = None) -> Source:
    """Opens camera ``number`` of this computer; the next picture is always the newest. Raises SourceError."""
    asked = _USUAL_RATE if rate is None else rate
    camera = find_camera(number)
    arguments = [*camera.arguments(asked), "-i", camera.place]
    return Source(camera.name, asked, 0, True, _camera_pictures(camera.name, _Frames(arguments)))


class _Frames:
    """The pictures that FFmpeg makes of its input: [H, W, 3] uint8, until there are no more."""

    def __init__(self, arguments: list[str], *filters: str, film: BinaryIO | None = None) -> None:
        """Starts FFmpeg.

        ``arguments``: what it reads, and how; ``filters``: what it does to pictures before they are scaled; ``film``:
        what it finds open as fd:.
        """
        chain = ",".join([*filters, f"scale=w='min({_WIDEST},iw)':h=-2"])
        command = [ffmpeg(), "-nostdin", "-loglevel", "quiet", *arguments, "-an", "-sn", "-vf", chain]
        # PPM says of each picture how large it is.
        command += ["-f", "image2pipe", "-c:v", "ppm", "-"]
        self._process = subprocess.Popen(command, stdin=film or subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603

    def __iter__(self) -> Iterator[Pixels]:
        out = self._process.stdout
        while out is not None and out.readline(8) == b"P6\n":
            width, height = (int(size) for size in out.readline(32).split())
            depth, size = out.readline(8), width * height * 3
            if depth != b"255\n" or not 0 < size <= _LARGEST:
                return
            data = out.read(size)
            if len(data) < size:
                return
            yield np.frombuffer(bytearray(data), np.uint8).reshape(height, width, 3)

    def finish(self) -> None:
        """Waits until FFmpeg, whose last picture was read, is gone."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PROBE_S)

    def close(self) -> bool:
        """Ends FFmpeg; returns whether it had ended by itself, without an error."""
        ended = self._process.poll()
        if ended is None:
            self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()
        return ended == 0


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Opens a film. Raises SourceError."""
    try:
        film = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from None
    with film:
        yield film


def _rate_and_length(path: Path) -> tuple[float, float]:
    """Returns a film's pictures per second, and its seconds, 0 where it does not say. Raises SourceError."""
    command = [ffmpeg(), "-hide_banner", "-nostdin", *_OPEN_FILM]
    try:
        with _opened(path) as film:
            said = subprocess.run(  # noqa: S603
                command, stdin=film, capture_output=True, text=True, errors="replace", timeout=_PROBE_S, check=False
            ).stderr
    except subprocess.TimeoutExpired:
        said = ""
    if "Protocol not found" in said:
        raise SourceError("films need FFmpeg 6 or later: pip install --upgrade imageio-ffmpeg brings it")
    if not re.search(r"Stream #.*: Video: ", said):
        raise SourceError(f"{path} is no film that can be read, or is damaged")
    rate = re.search(r" Video: .*?([\d.]+) fps", said)
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    found = float(rate[1]) if rate else 0.0
    seconds = 3600 * int(length[1]) + 60 * int(length[2]) + float(length[3]) if length else 0.0
    return found if 0 < found <= _FASTEST else _USUAL_RATE, seconds


def _film_pictures(path: Path, rate: float, frames: _Frames) -> Iterator[tuple[float, Pixels]]:
    number, ended = 0, True
    try:
        for picture in frames:
            yield number / rate, picture
            number += 1
        frames.finish()
    finally:
        ended = frames.close()
    if not number:
        raise SourceError(f"{path} is no film that can be read, or is damaged")
    if not ended:
        raise SourceError(f"{path} is damaged after {number / rate:.1f} seconds")


def _camera_pictures(name: str, frames: _Frames) -> Iterator[tuple[float, Pixels]]:
    newest, seen = _Newest(frames), False
    try:
        while (found := newest.wait(_PATIENCE_S)) is not None:
            seen = True
            yield found
    finally:
        frames.close()
    if seen:
        raise SourceError(f"{name} gives no more pictures: was it unplugged, or did another program take it?")
    raise SourceError(
        f"{name} gives no picture: is it plugged in, used by no other program, and are cameras allowed here?"
    )


class _Newest:
    """Takes pictures in a thread of its own, and keeps the last: whoever is slow misses some."""

    def __init__(self, pictures: Iterable[Pixels]) -> None:
        self._began = time.monotonic()
        self._changed = threading.Condition()
        self._waiting: tuple[float, Pixels] | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, args=(pictures,), daemon=True)
        self._thread.start()

    def _run(self, pictures: Iterable[Pixels]) -> None:
        with suppress(ValueError, OSError):  # of a pipe that was closed
            for picture in pictures:
                with self._changed:
                    self._waiting = time.monotonic() - self._began, picture
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, patience: float) -> tuple[float, Pixels] | None:
        """Waits for the next picture; returns when it came, and the picture, or None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is not None or self._ended, patience)
            found, self._waiting = self._waiting, None
        return found
