# SPDX-License-Identifier: Apache-2.0
"""Keeps the finished stages of an inversion, so that a stopped one resumes with the same bits.

A stage's result is the latent that it ends with, kept under a hash of all that leads to it: the picture, the model,
what was asked, and the code that searches. So what is kept never has to be thrown away, and is taken for nothing else.
Tuning, the longest, also keeps where it is (``tuning``).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from effigy_protocol.files import beside
from effigy_protocol.version import VERSION

from ..tensor_files import read_tensors, write_tensors
from .objective import Judged, Objective

_MOST = 64  # results that are remembered; most have some hundred numbers
_NUMBERS = 128 << 20  # that they have together, half a gibibyte


class Kept(Protocol):
    """Where results are kept: a row of numbers under each key."""

    def get(self, key: str, /) -> Tensor | None:
        """Returns the numbers under ``key``, or None."""

    def put(self, key: str, numbers: Tensor, /) -> None:
        """Keeps ``numbers`` under ``key``."""

    def drop(self, key: str, /) -> None:
        """Keeps nothing under ``key`` any more."""


class Remembered:
    """Keeps the last few results in memory."""

    def __init__(self) -> None:
        self._rows: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, key: str, /) -> Tensor | None:
        return self._rows.get(key)

    def put(self, key: str, numbers: Tensor, /) -> None:
        self.drop(key)
        self._rows[key] = numbers
        while len(self._rows) > _MOST or sum(row.numel() for row in self._rows.values()) > _NUMBERS:
            self._rows.popitem(last=False)

    def drop(self, key: str, /) -> None:
        self._rows.pop(key, None)


class Unfinished:
    """Keeps results in a file beside the person's, which is removed when the person is written."""

    def __init__(self, person: Path) -> None:
        self.path = beside(person, ".unfinished")
        self.told = ""  # what to say of an earlier run that was stopped, if there was one
        try:
            self._rows = read_tensors(self.path) if self.path.exists() else {}
            if self._rows:
                self.told = (
                    f"{self.path} is there: what it has of this picture, asked in this way, is not searched for again"
                )
        except ValueError:
            self._rows = {}
            self.told = f"{self.path} is damaged, and is begun anew"

    def get(self, key: str, /) -> Tensor | None:
        return self._rows.get(key)

    def put(self, key: str, numbers: Tensor, /) -> None:
        """Keeps ``numbers`` under ``key``, and writes the file. Raises OSError."""
        self._rows[key] = numbers
        write_tensors(self.path, self._rows)

    def drop(self, key: str, /) -> None:
        """Forgets the numbers. The file still has them until the next ``put`` or ``done``."""
        self._rows.pop(key, None)

    def done(self) -> None:
        """Removes the file. Raises OSError."""
        self.path.unlink(missing_ok=True)


@cache
def _procedure() -> str:
    """Returns a hash of this folder's code, as another search would not lead to the same bits."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages of one inversion, of all that ``of`` is a hash of."""

    kept: Kept
    of: str

    @staticmethod
    def begin(kept: Kept, data: bytes | memoryview, *others: object) -> Stages:
        """Returns the stages of the inversion of a picture's file, whose result depends on ``others`` besides."""
        told = hashlib.sha256(data)
        told.update(repr((VERSION, _procedure(), *others)).encode())
        return Stages(kept, told.hexdigest())

    def part(self, name: str) -> Stages:
        return Stages(self.kept, hashlib.sha256(f"{self.of} {name}".encode()).hexdigest())

    def recall(self, stage: str, objective: Objective) -> Judged | None:
        """Returns what the stage has found, or None if it was not gone through before."""
        row = self.kept.get(self.part(stage).of)
        if row is None or row.shape != (objective.size + 1,):
            return None
        judged = objective.judge(row[None, :-1].to(objective.target.picture.device))
        objective.painted = int(row[-1])
        return judged

    def keep(self, stage: str, objective: Objective, found: Judged) -> None:
        """Keeps the latent that the stage ended with. Raises OSError."""
        self.kept.put(self.part(stage).of, torch.cat([found.v[0].cpu(), torch.tensor([float(objective.painted)])]))
