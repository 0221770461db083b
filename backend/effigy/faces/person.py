# SPDX-License-Identifier: Apache-2.0
"""``NAME.person``: somebody made from a picture. Its bytes can stand wherever a latent's can.

It is a safetensors file with these tensors, of which all but the first may be missing:

| tensor | what |
|---|---|
| ``latent`` | the anchor, [rows, w_dim] |
| ``bias`` | q of the picture minus φ(latent), [Q] |
| ``turns`` | degrees that this person's pictures turn for each that φ reads, [1]; from format 2 on |
| ``shown`` | shares of φ's reading that this person's pictures show, above and below zero, [2, C]; from format 3 on |
| ``quad`` | the corners of the square that was cut out of the picture, [4, 2], in its widths and heights |
| ``delta.LAYER.up``, ``.down`` | the change of a layer's weights in this person's generator, up · down |
| ``picture`` | the bytes of the picture's file |

The metadata, as JSON, say which model and picture the person comes from, how they were made, and who was
mixed in. They stay with the person through all edits and mixtures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from effigy_protocol.files import file_problem, parse_json, whole_file
from effigy_protocol.printable import printable

from ..geometry.camera import Array
from ..tensor_files import check_finite
from .latent import LatentError, mix

SUFFIX = ".person"
FORMAT = 3  # with ``shown``; files without it have 2, and those without ``turns`` either 1
MOST_BYTES = 8 << 20
_KEY = "effigy.person"  # the only key of the metadata: safetensors writes several in any order
_MOST_METADATA = 256 << 10  # bytes
TURNS = 0.5, 2.0  # the range of ``turns``
SHOWN = 0.5, 1.0  # the range of ``shown``
_FARTHEST = 100.0  # widths and heights of a picture, within which the square's corners lie
_NUMBERS = (torch.float16, torch.float32, torch.float64)


class PersonError(LatentError):
    """Bytes that are no person, or one of another model; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """What a person's file holds: see the module."""

    ws: NDArray[np.float32]  # [rows, w_dim]
    metadata: Mapping[str, Any]  # see the module
    bias: Array | None = None
    turns: float | None = None
    shown: Array | None = None
    quad: Array | None = None
    deltas: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)  # by layer: up [out, R], down [R, …]
    picture: bytes | None = None

    def to_bytes(self) -> bytes:
        """Encodes the person; equal persons give equal bytes. Raises PersonError for more than a file may hold."""
        tensors = {"latent": torch.from_numpy(self.ws.astype(np.float32))}
        if self.bias is not None:
            tensors["bias"] = torch.from_numpy(self.bias).float()
        if self.turns is not None:
            tensors["turns"] = torch.tensor([self.turns], dtype=torch.float64)
        if self.shown is not None:
            tensors["shown"] = torch.from_numpy(self.shown).double()
        if self.quad is not None:
            tensors["quad"] = torch.from_numpy(self.quad).double()
        for name, (up, down) in self.deltas.items():
            tensors |= {f"delta.{name}.up": up.half(), f"delta.{name}.down": down.half()}
        if self.picture is not None:
            tensors["picture"] = torch.frombuffer(bytearray(self.picture), dtype=torch.uint8)
        # Files of before keep their bytes, and so their keys.
        version = FORMAT if self.shown is not None else 1 if self.turns is None else 2
        metadata = json.dumps({**self.metadata, "format": version}, sort_keys=True, allow_nan=False)
        if len(metadata) > _MOST_METADATA:  # ASCII, so that characters are bytes
            raise PersonError("this person is a mixture of too many: a file cannot tell where all of them come from")
        data = save({name: value.contiguous() for name, value in tensors.items()}, {_KEY: metadata})
        if len(data) > MOST_BYTES:
            raise PersonError(
                f"this person takes {len(data) / 2**20:.1f} MiB, more than {MOST_BYTES >> 20}: leave the picture out"
            )
        return data

    @staticmethod
    def from_bytes(data: bytes | memoryview) -> Person:
        """Decodes a person, and allocates no more than ``data`` has. Raises PersonError that says what is wrong."""
        raw = bytes(data)
        if len(raw) > MOST_BYTES:
            raise PersonError(f"a person's file has at most {MOST_BYTES >> 20} MiB, and this has {len(raw) >> 20}")
        try:
            tensors, metadata = load(raw), _metadata(raw)
            # Checked as float32, which they become: a large float64 is infinite there.
            check_finite({name: value.float() for name, value in tensors.items() if value.is_floating_point()})
            return _person(tensors, metadata)
        except PersonError:
            raise
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
            raise PersonError(f"this person's file is damaged ({str(error)[:200]}): make it again") from None

    def rows_for(self, generator: str, num_ws: int, w_dim: int) -> NDArray[np.float32]:
        """Returns w+ [num_ws, w_dim] for the ``generator`` with this sha256. Raises PersonError for any other one."""
        if self.metadata["generator"] != generator:
            raise PersonError(
                f"this person is of another generator ({self.metadata['generator'][:12]}…, of the model "
                f"{printable(str(self.metadata.get('name', self.metadata['model']))[:80])}): open it with that model"
            )
        if self.ws.shape not in ((1, w_dim), (num_ws, w_dim)):
            raise PersonError(f"this person's latent is {self.ws.shape}, which no latent of its generator is")
        return np.broadcast_to(self.ws, (num_ws, w_dim)).astype(np.float32)

    def mixed(self, other: Person, share: float) -> Person:
        """Returns the person with the latent (1 − share) · ws + share · other.ws, without what was measured or tuned.

        The mixture is added to the metadata, after the earlier ones.
        """
        rows = max(len(self.ws), len(other.ws))
        one, two = (np.broadcast_to(each.ws, (rows, self.ws.shape[1])) for each in (self, other))
        mixture = {"share": share, "with": dict(other.metadata)}
        return Person(mix(one, two, share), {**self.metadata, "mixed": [*self.metadata.get("mixed", ()), mixture]})


def read_person(path: Path) -> Person:
    """Reads a file. Raises PersonError where it is missing, unreadable or no person."""
    if problem := file_problem(path, "person's file"):
        raise PersonError(problem)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise PersonError(f"{path} has more than {MOST_BYTES >> 20} MiB, which no person has")
        return Person.from_bytes(path.read_bytes())
    except OSError as error:
        raise PersonError(f"{path} cannot be read ({error.strerror})") from None


def write_person(person: Person, path: Path) -> None:
    """Writes a file, whole or not at all. Raises PersonError or OSError."""
    data = person.to_bytes()
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _metadata(raw: bytes) -> dict[str, Any]:
    """Reads and checks the metadata in a file's bytes. Raises PersonError, ValueError or UnicodeDecodeError."""
    length = int.from_bytes(raw[:8], "little")
    if length > _MOST_METADATA + (1 << 20):
        raise PersonError("this person's file has a header larger than any that Effigy writes")
    texts = parse_json(raw[8 : 8 + length].decode()).get("__metadata__", {})
    if _KEY not in texts:
        raise PersonError("this is a safetensors file, and no person that Effigy made")
    if len(texts[_KEY]) > _MOST_METADATA:
        raise PersonError("this person's metadata are longer than any that Effigy writes")
    metadata = parse_json(texts[_KEY])
    if not isinstance(metadata, dict) or metadata.get("format") not in range(1, FORMAT + 1):
        version = metadata.get("format") if isinstance(metadata, dict) else None
        known = f"1 to {FORMAT}"
        raise PersonError(f"this person's file has format {str(version)[:20]}, this Effigy reads {known}: update it")
    for name in ("model", "generator"):
        if not isinstance(metadata.get(name), str):
            raise PersonError(f"this person's file does not say of which {name} it is: make it again")
    if not isinstance(metadata.get("source", {}), dict):
        raise PersonError("this person's file does not tell its source as Effigy does: make it again")
    if not isinstance(metadata.get("mixed", []), list):
        raise PersonError("this person's file does not list who was mixed: make it again")
    return metadata


def _person(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> Person:
    """Puts a person together; raises ValueError or KeyError for tensors of wrong shapes or types."""

    def array(name: str, *shape: int | None) -> Array | None:
        if (values := tensors.get(name)) is None:
            return None
        fits = len(values.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
        if not fits or values.dtype not in _NUMBERS:
            raise ValueError(f"its {name} is {list(values.shape)} of {values.dtype}")
        return values.double().numpy()

    latent = array("latent", None, None)
    if latent is None or not len(latent):
        raise ValueError("it has no latent")
    deltas = {}
    for name in sorted(tensors):
        if name.startswith("delta.") and name.endswith(".up"):
            layer = name.removeprefix("delta.").removesuffix(".up")
            up, down = tensors[name], tensors[f"delta.{layer}.down"]
            if up.dtype not in _NUMBERS or down.dtype not in _NUMBERS or up.ndim != 2 or down.ndim != 2:
                raise ValueError(f"its delta of {layer[:80]} is no pair of matrices")
            deltas[layer] = up, down
    quad = array("quad", 4, 2)
    if quad is not None and np.abs(quad).max() > _FARTHEST:
        raise ValueError("its square lies far away from its picture")
    turns = array("turns", 1)
    if turns is not None and not TURNS[0] <= turns[0] <= TURNS[1]:
        raise ValueError(f"its pictures turn {turns[0]:.3g} times as far as they should")
    shown = array("shown", 2, None)
    if shown is not None and (off := shown[(shown < SHOWN[0]) | (shown > SHOWN[1])]).size:
        raise ValueError(f"its pictures show {off[0]:.3g} of one of its controls, not {SHOWN[0]} … {SHOWN[1]:g}")
    picture = tensors.get("picture")
    if picture is not None and (picture.dtype != torch.uint8 or picture.ndim != 1):
        raise ValueError("its picture is no file")
    return Person(
        ws=latent.astype(np.float32),
        metadata=metadata,
        bias=array("bias", None),
        turns=None if turns is None else float(turns[0]),
        shown=shown,
        quad=quad,
        deltas=deltas,
        picture=None if picture is None else picture.numpy().tobytes(),
    )
