# SPDX-License-Identifier: Apache-2.0
"""Loads generators from files, and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from effigy_protocol.files import digest

from ..memory import keep_picture_memory
from .checkpoints import GeneratorFileError, open_checkpoint, read_network, write_own
from .networks.network import Network

_LARGE = 1024  # values; smaller arrays (biases, strengths, filters) stay float32
_AGAIN = "start the backend again, or this command"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def load_generator(
    path: Path | str,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    changes: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    sha256: str | None = None,
) -> Network:
    """Loads the generator in ``path`` onto ``device`` ("auto": CUDA if there is one), with convolutions in ``dtype``.

    ``changes`` are added to parameters, by name; each is a product of two matrices. ``sha256`` is the file's checksum
    when it was read before, as in ``load_trainable``.

    It reads NVIDIA's pickles of StyleGAN2 (PyTorch and TensorFlow) and StyleGAN3, StyleGAN-Human's, .pt files of these
    and of rosinality's, encoders' with their generators, and our own, and executes nothing in them. Raises
    GeneratorFileError that names the file, what is wrong with it and what to do.
    """
    if dtype not in DTYPES:
        raise ValueError(f"a generator computes in float32, bfloat16 or float16, not in {dtype}")
    path, where = Path(path), resolve_device(device)
    network = load_trainable(path, sha256)
    if changes:
        _change(network, changes, path)
    try:
        network = network.to(where)
        network.freeze(dtype)
    except (torch.OutOfMemoryError, MemoryError):
        raise GeneratorFileError(f"{path} does not fit into the memory of {where}: free some, or use cpu") from None
    if where.type == "cuda":  # float32 then means float32, as on every other device, and as in the official code
        torch.backends.cudnn.allow_tf32 = False
    else:
        keep_picture_memory()
    return network


def load_trainable(path: Path, sha256: str | None = None) -> Network:
    """Loads the generator in ``path`` onto the CPU, not frozen: it can be trained. Raises GeneratorFileError.

    With ``sha256``, the checksum of the file when it was read before, also for a file that is another one now: what is
    read of a generator at different times must be of the same one.
    """
    with open_checkpoint(path) as checkpoint:
        network = read_network(checkpoint)
    if sha256 is not None:  # after reading: a file that is replaced meanwhile is noticed, too
        _check_unchanged(path, sha256)
    return network


def _check_unchanged(path: Path, sha256: str) -> None:
    try:
        found = digest(path)
    except OSError as error:
        raise GeneratorFileError(f"{path} cannot be read again ({error.strerror}): {_AGAIN}") from None
    if found != sha256:
        raise GeneratorFileError(f"{path} was replaced while it was in use: {_AGAIN}")


@torch.no_grad()
def _change(network: Network, changes: Mapping[str, tuple[Tensor, Tensor]], path: Path) -> None:
    known = dict(network.named_parameters())
    for name, (up, down) in changes.items():
        # Before they are multiplied: small matrices may have a product without end.
        if name not in known or len(up) * down.shape[1] != known[name].numel() or up.shape[1] != len(down):
            raise GeneratorFileError(f"{path} has no parameter {name[:80]!r} for a change of this size")
        known[name].add_((up.float() @ down.float()).reshape(known[name].shape))


def save_generator(network: Network, path: Path) -> None:
    """Writes ``network`` with weights in half precision: large arrays as float16, the rest as float32.

    Raises ValueError for one that was frozen: its weights are folded.
    """
    if network.is_frozen:
        raise ValueError("a frozen generator cannot be saved: convert the file that it came from")
    state = {
        name: value.half() if value.numel() > _LARGE else value.float() for name, value in network.state_dict().items()
    }
    write_own(path, network.config, state)


def convert_generator(path: Path, out: Path) -> tuple[str, ...]:
    """Rewrites a generator file of any format as one of our own, with the same numbers; returns the assumptions made.

    Raises GeneratorFileError for the input, OSError for the output.
    """
    with open_checkpoint(path) as checkpoint:
        network = read_network(checkpoint)
    write_own(out, network.config, network.state_dict(), checkpoint.licence)
    return checkpoint.remarks


def resolve_device(device: str) -> torch.device:
    """Returns the torch device that "auto", "cpu", "cuda" or "mps" means on this machine. Raises GeneratorFileError.

    "auto" never means "mps", the GPU of an Apple computer, because that is untested.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise GeneratorFileError(f"there is no device {device!r}: use auto, cpu, cuda or mps")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise GeneratorFileError(f"device {device!r} cannot be used ({reason}): use auto or cpu") from None
    return torch.device(device)
