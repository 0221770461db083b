# SPDX-License-Identifier: Apache-2.0
"""The heads that keep looks (``editing.appearance``) on disk: ``appearance.safetensors`` and an entry in the header."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..editing.appearance import Appearance
from ..editing.network import Network, architecture_of
from ..tensor_files import read_tensors, write_tensors

FILE = "appearance.safetensors"
NO_NETWORK = "none"


@dataclass(frozen=True, slots=True)
class Looks:
    """The heads, and how well they predict colours and embeddings."""

    appearance: Appearance
    network: str  # the fingerprint of the recognition network that they were trained with, or NO_NETWORK
    colours: float  # the share of the colours' variance that they predict on held-out samples
    identity: float | None  # and of the embeddings'; None without an identity head

    def __str__(self) -> str:
        return describe(self.entry())

    def entry(self) -> dict[str, Any]:
        """Returns their entry in the header."""
        head = self.appearance.identity
        return {
            "patches": list(self.appearance.patches),
            "head": None if head is None else asdict(head.architecture),
            "network": self.network,
            "colours": round(self.colours, 4),
            "identity": None if self.identity is None else round(self.identity, 4),
        }

    def save(self, folder: Path) -> None:
        """Writes FILE into ``folder``. Raises OSError."""
        write_tensors(folder / FILE, {name: value.float() for name, value in self.appearance.state_dict().items()})


def read_appearance(folder: Path, entry: dict[str, Any], inputs: int) -> Appearance:
    """Reads the heads in ``folder``, for whitened latents [N, ``inputs``], as the header's ``entry`` describes them.

    Raises KeyError, TypeError, ValueError or RuntimeError where they are damaged.
    """
    arrays = {name: value.double() for name, value in read_tensors(folder / FILE).items()}
    patches, head = entry["patches"], None
    if arrays["colours"].shape != (3 * len(patches), inputs):
        raise ValueError(f"{FILE} is not for {len(patches)} patches and {inputs} numbers of a latent")
    if entry["head"] is not None:
        architecture = architecture_of(entry["head"], len(arrays))
        with torch.device("meta"):
            head = Network(inputs, len(arrays[f"identity.layers.{architecture.depth}.bias"]), architecture)
    appearance = Appearance(patches, arrays["colours"], head)
    appearance.load_state_dict(arrays, assign=True)
    return appearance.requires_grad_(requires_grad=False)


def describe(entry: dict[str, Any]) -> str:
    """Describes the heads of a header's entry, for users."""
    text = f"colours ({100 * entry['colours']:.0f} % of their variance is known)"
    if entry["identity"] is None:
        why = (
            "no identity network was given" if entry["network"] == NO_NETWORK else "the samples do not show it reliably"
        )
        return f"{text}, but not the person: {why}"
    return f"{text} and the person ({100 * entry['identity']:.0f} %, learnt with {entry['network']})"
