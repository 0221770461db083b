# SPDX-License-Identifier: Apache-2.0
"""The cameras of this computer: their numbers and names in each system, and how FFmpeg opens one."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .ffmpeg import SourceError, ffmpeg

_DEVICES = Path("/dev")
_NAMES = Path("/sys/class/video4linux")  # each with its name, and which of its camera's nodes it is
_LIST_S = 30.0  # for FFmpeg to list them


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this computer."""

    number: int
    name: str
    place: str  # its name for FFmpeg
    kind: str  # FFmpeg's input device: v4l2, avfoundation or dshow

    def arguments(self, rate: float) -> list[str]:
        """Returns FFmpeg's arguments that open the camera, at ``rate`` pictures per second."""
        if self.kind == "dshow":  # its cameras refuse rates that they do not offer
            return ["-f", self.kind, "-rtbufsize", "64M"]
        return ["-f", self.kind, "-framerate", f"{rate:g}"]


def find_camera(number: int) -> Camera:
    """Returns camera ``number``. Raises SourceError if there is none."""
    there = list_cameras()
    for camera in there:
        if camera.number == number:
            return camera
    known = ", ".join(f"{camera.number} ({camera.name})" for camera in there)
    raise SourceError(f"there is no camera {number}: " + (f"there is {known}" if known else "plug one in"))


def list_cameras() -> list[Camera]:
    """Lists the cameras of this computer. Raises SourceError."""
    if sys.platform == "win32":
        names = _windows_cameras(_said_by_ffmpeg("-list_devices", "true", "-f", "dshow", "-i", "dummy"))
        return [Camera(number, name, f"video={name}", "dshow") for number, name in enumerate(names)]
    if sys.platform == "darwin":
        found = _mac_cameras(_said_by_ffmpeg("-f", "avfoundation", "-list_devices", "true", "-i", ""))
        return [Camera(number, name, f"{number}:none", "avfoundation") for number, name in found]
    return _linux_cameras()


def _linux_cameras() -> list[Camera]:
    """Lists cameras. Of each camera's nodes the first gives pictures; others give metadata."""
    found = []
    for device in _DEVICES.glob("video*"):
        if (number := device.name.removeprefix("video")).isdecimal():
            about = _NAMES / device.name
            if _line(about / "index", "0") == "0":
                found.append(Camera(int(number), _line(about / "name", f"camera {number}"), str(device), "v4l2"))
    return sorted(found, key=lambda camera: camera.number)


def _line(path: Path, otherwise: str) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:100] or otherwise
    except OSError:
        return otherwise


def _windows_cameras(said: str) -> list[str]:
    return re.findall(r'"([^"]+)" \(video\)', said)


def _mac_cameras(said: str) -> list[tuple[int, str]]:
    """Lists the devices that give pictures, without screens."""
    pictures = said.partition("AVFoundation audio devices")[0]
    found = re.findall(r"\] \[(\d+)\] (.+)", pictures)
    return [(int(number), name.strip()) for number, name in found if not name.startswith("Capture screen")]


def _said_by_ffmpeg(*arguments: str) -> str:
    command = [ffmpeg(), "-hide_banner", "-nostdin", *arguments]
    try:
        return subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=_LIST_S, check=False
        ).stderr
    except subprocess.TimeoutExpired:
        return ""
