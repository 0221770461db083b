# SPDX-License-Identifier: Apache-2.0
"""Records what a picture was made from, to tell whether it is still what the scene asks for."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from .exr import read_text
from .files import check_regular, parse_json, read_json, write_whole
from .messages import HEAD_UNIT, Encoding, MatteName, PassName
from .png import read_texts

LATENT_MAGIC = b"EFLT"  # how a latent's bytes begin
KEYWORD = "Effigy"  # of the text inside PNG files
JOURNAL = "frames.json"  # the name of a Journal's file, beside the pictures
ANGLE_DIGITS = 4  # 0.0001° and a millionth of a control are less than a float32 scene can tell
CONTROL_DIGITS = 6
METRE_DIGITS = 6
SAME_POSE = 1e-3  # degrees: a scene's matrices are float32, and its rest pose must be the identity's own

_FORMAT = 1
# Values that a record leaves out.
_DEFAULTS = (("matte", "none"), ("passes", ()), ("metres", ()), ("made_from", ""), ("keep", 1.0))
_SAVE_S = 1.0  # between two savings of a journal, because each writes all frames
_METADATA = 1 << 20  # bytes of a person's header
_SOURCES = 16  # pictures that are named of a mixture
_JOURNAL, _FRAME = 1 << 20, 4096  # bytes of a journal, and more of it for each file that lies beside it
_HEAD = 65536  # bytes at a file's beginning, among which its text lies


@dataclass(frozen=True, slots=True)
class Record:
    """The parameters of one picture. ``latent`` is a hash, so that a picture does not disclose its identity's latent.

    ``passes`` are the layers of an exr file, ``metres`` the unit and distance of its depth. ``made_from``: the SHA-256
    of the picture that the person was made from, if they were, or of several. ``keep``: of Synthesize. Fields at their
    defaults are left out, so that records from before there were mattes, layers, people from pictures and likeness
    still match.
    """

    model: str
    latent: str
    yaw: float
    pitch: float
    controls: tuple[tuple[str, float], ...]
    encoding: str
    matte: MatteName = "none"
    passes: tuple[PassName, ...] = ()
    metres: tuple[float, ...] = ()
    made_from: str = ""
    keep: float = 1.0

    @classmethod
    def of(
        cls,
        model: str,
        latent: bytes,
        yaw: float,
        pitch: float,
        controls: tuple[tuple[str, float], ...],
        encoding: str,
        matte: MatteName = "none",
        passes: tuple[PassName, ...] = (),
        metres: tuple[float, float] = (HEAD_UNIT, 0.0),
        keep: float = 1.0,
    ) -> Record:
        """Makes a record with values rounded to what a float32 scene can hold, as for previews."""
        values = tuple(sorted((name, round(value, CONTROL_DIGITS)) for name, value in controls))
        turn = round(yaw, ANGLE_DIGITS), round(pitch, ANGLE_DIGITS)
        known = tuple(round(each, METRE_DIGITS) for each in metres) if "depth" in passes else ()
        kept = round(keep, CONTROL_DIGITS)
        return cls(model, latent_hash(latent), *turn, values, encoding, matte, passes, known, made_from(latent), kept)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that are the same for the same picture."""
        return hashlib.sha256(json.dumps(self._values(), sort_keys=True).encode()).hexdigest()[:16]

    def _values(self) -> dict[str, Any]:
        """Returns the fields that are not at their defaults, by name. dataclasses.asdict would copy every value, which
        took a tenth of Blender's time for a baked frame.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if (name, value) not in _DEFAULTS}

    def as_text(self) -> str:
        """Returns it as JSON, for the text in a picture's file."""
        return json.dumps({**self._values(), "controls": dict(self.controls), "digest": self.digest}, sort_keys=True)


def what_differs(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Returns which parts differ between two records' values.

    The parts are "person", "turn", "expression", "likeness", "matte" and "shading".
    """
    parts = {
        "person": ("model", "latent"),
        "turn": ("yaw", "pitch"),
        "expression": ("controls",),
        "likeness": ("keep",),
        "matte": ("matte",),
        "shading": ("lit",),
    }
    return [part for part, names in parts.items() if any(before.get(name) != now.get(name) for name in names)]


def latent_hash(latent: bytes) -> str:
    return hashlib.sha256(latent).hexdigest()[:16]


def is_person(data: bytes | memoryview) -> bool:
    """Returns whether bytes begin like a safetensors file, and not like a latent."""
    return bytes(data[8:9]) == b"{" and bytes(data[: len(LATENT_MAGIC)]) != LATENT_MAGIC


def made_from(latent: bytes) -> str:
    """Returns the SHA-256 of the picture that a person was made from; of a mixture those of all, separated by spaces.

    It is read from the metadata of the person's safetensors file, and "" for a latent that is no person's.
    """
    if not is_person(latent):
        return ""
    end = 8 + min(int.from_bytes(latent[:8], "little"), _METADATA)
    try:
        metadata = parse_json(parse_json(latent[8:end].decode())["__metadata__"]["effigy.person"])
        found = dict.fromkeys(_sources(metadata))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return " ".join(islice(found, _SOURCES))


def _sources(metadata: dict[str, Any]) -> Iterator[str]:
    """Yields the SHA-256 of the picture that ``metadata`` names, and of those of everybody who was mixed in."""
    digest = metadata.get("source", {}).get("sha256")
    if isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest):
        yield digest
    for mixture in metadata.get("mixed", ()):
        yield from _sources(mixture["with"])


def shows(path: Path, digest: str) -> bool:
    """Returns whether the PNG or OpenEXR file is there and holds a record with this ``digest``."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            head = file.read(_HEAD)
        said = parse_json(read_texts(head).get(KEYWORD, "") or read_text(head, KEYWORD))
    except (OSError, ValueError):
        return False
    return isinstance(said, dict) and said.get("digest") == digest


def picture_file(folder: Path, frame: int, encoding: Encoding = "png") -> Path:
    """Returns the file in a baked sequence's ``folder`` that holds the picture of ``frame``."""
    return folder / f"{folder.name}_{frame:04d}{'.exr' if encoding == 'exr' else '.png'}"


class Journal:
    """The side-car of a baked sequence: a JSON file that says for each frame what its picture was made from.

    People can read it, and it tells which pictures are stale without opening them. A file that cannot be read, or that
    is larger than the pictures beside it explain, counts as empty, and ``problem`` says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: dict[int, dict[str, Any]] = {}
        self.problem = ""
        self._saved = time.monotonic()
        try:
            stored = read_json(path, _JOURNAL + _FRAME * sum(1 for _ in path.parent.iterdir()))
            if stored["format"] != _FORMAT:
                raise ValueError(f"its format is not {_FORMAT}")
            self.frames = {int(frame): dict(entry) for frame, entry in stored["frames"].items()}
        except FileNotFoundError:
            pass
        except (KeyError, TypeError, AttributeError):
            self.problem = f"{path} cannot be read (it says nothing of frames)"
        except (OSError, ValueError) as error:
            self.problem = f"{path} cannot be read ({error})"

    def put(self, frame: int, record: Record, file: str) -> None:
        self.frames[frame] = {**json.loads(record.as_text()), "file": file}

    def save(self) -> None:
        # A line for each frame: as easy to read as indented JSON, and written eight times as fast.
        lines = ",\n".join(f'"{frame}": {json.dumps(self.frames[frame])}' for frame in sorted(self.frames))
        write_whole(self.path, f'{{"format": {_FORMAT}, "frames": {{\n{lines}\n}}}}\n')
        self._saved = time.monotonic()

    def save_when_due(self) -> None:
        """Saves it unless that was done within the last second."""
        if time.monotonic() - self._saved > _SAVE_S:
            self.save()
