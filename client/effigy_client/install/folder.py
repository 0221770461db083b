# SPDX-License-Identifier: Apache-2.0
"""The folder of an installation: what is in it, and which steps are done.

``env`` is the environment, ``downloads`` holds the backend's wheel and temporary files, ``install.log`` the commands'
output, and ``install.json`` which wheel and PyTorch are installed. Nothing else in the folder is ever touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from effigy_protocol.files import read_json, write_whole

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed. A part that is not installed yet is ""."""

    flavour: str = ""  # of PyTorch: see plan.Flavour
    wheel: str = ""  # the sha256 of the backend's wheel
    version: str = ""  # the backend's
    complete: bool = False  # whether it was tried, and works


class Folder:
    """The folder ``path``, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env = path / "env"
        self.downloads = path / "downloads"
        self.temporary = self.downloads / "temporary"
        self.log = path / "install.log"
        self._state = path / "install.json"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self._scripts / ("python.exe" if sys.platform == "win32" else "python")

    @property
    def command(self) -> Path:
        """The backend's command."""
        return self._scripts / ("effigy.exe" if sys.platform == "win32" else "effigy")

    @property
    def _scripts(self) -> Path:
        return self.env / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def is_ours(self) -> bool:
        """Whether an installation was begun here: there is its record, or one that was damaged."""
        try:
            return {"format", "flavour", "wheel"} <= set(read_json(self._state))
        except ValueError:
            return True
        except (OSError, TypeError):
            return False

    @property
    def is_free(self) -> bool:
        """Whether an installation may be made here: it was begun here, or there is nothing."""
        try:
            return self.is_ours or not any(self.path.iterdir())
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def installed(self) -> Installed:
        """Returns what is installed. If the record cannot be read, that is nothing, and all is installed again."""
        try:
            read = read_json(self._state)
            known = {name: read[name] for name in asdict(Installed())} if read["format"] == _FORMAT else {}
            return Installed(**known) if self.python.exists() else Installed()
        except (OSError, ValueError, KeyError, TypeError):
            return Installed()

    def remember(self, installed: Installed) -> None:
        """Writes the record. Raises OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self._state, json.dumps({"format": _FORMAT, **asdict(installed)}, indent=1) + "\n")

    def clear(self) -> None:
        """Removes the environment, so that it is made again; what was downloaded stays. Raises OSError."""
        if self.is_ours:
            self.remember(Installed())
            _remove(self.env)

    def remove(self) -> None:
        """Removes all that an installation made, and the folder if nothing else is in it. Raises OSError."""
        if not self.is_ours:
            return
        for folder in (self.env, self.downloads):
            _remove(folder)
        self.log.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)  # last: until then it can be removed again
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _remove(folder: Path) -> None:
    """Removes ``folder`` and all in it; of a symbolic link only the link."""
    if folder.is_symlink():
        folder.unlink()
    elif os.path.lexists(folder):
        shutil.rmtree(folder)
