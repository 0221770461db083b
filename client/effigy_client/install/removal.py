# SPDX-License-Identifier: Apache-2.0
"""Removes what was installed."""

from __future__ import annotations

from dataclasses import replace

from .folder import Folder
from .work import Progress, Work


class Removal(Work):
    """Removes an installation in a thread: an environment has some 20 000 files.

    It cannot be cancelled, as half an environment is of no use. One that was ended can be begun again.
    """

    def __init__(self, folder: Folder) -> None:
        super().__init__("effigy-remove", Progress("removal", 0.0))
        self.folder = folder

    def _run(self) -> None:
        try:
            self.folder.remove()
            self.progress = replace(self.progress, share=1.0, outcome="done")
        except OSError as error:
            why = f"{error.filename or self.folder.path} cannot be removed ({error.strerror or error})"
            self.progress = replace(self.progress, outcome="failed", error=why)
