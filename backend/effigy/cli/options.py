# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import fail

if TYPE_CHECKING:
    from ..landmarks import Detector
    from ..recognition import Embedder

GENERATOR = "A generator file (.pkl, .pt, .safetensors), a name that was fetched, or a bundle, whose own is meant."
LandmarksOption = Annotated[
    str,
    typer.Option(
        help="The detector: embedded (68 points, for the embedded default's pictures), photo (478 points of any "
        "photographic face), face-alignment, or the path of a mediapipe .task file."
    ),
]
EMBEDDED = "or 'default' for the embedded one, 'first-default' for the one before"
ModelOption = Annotated[str, typer.Option(help=f"A bundle's folder, {EMBEDDED}.")]
IdentityOption = Annotated[
    str,
    typer.Option(
        help="The network with which edits keep the person: the path of ArcFace's weights, embedded (for the embedded "
        "default's people alone), none, or auto: embedded where the generator is, else none."
    ),
]
SeedOption = Annotated[int | None, typer.Option(help="The person: a number, like Blender's Seed.")]
LatentOption = Annotated[
    Path | None,
    typer.Option(help="The person: a file with a latent, as an Identity carries it, or an .npz with an array w."),
]
TruncationOption = Annotated[
    float, typer.Option(help="How far a seed's person is from the mean face: 1 is unchanged, 0 the mean face.")
]
YawOption = Annotated[float | None, typer.Option(help="Degrees; > 0 turns the nose to the picture's right.")]
PitchOption = Annotated[float | None, typer.Option(help="Degrees; > 0 lifts the nose.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="A control or attribute, NAME=VALUE; may be repeated.")
]
KeepOption = Annotated[
    float, typer.Option(min=0, max=1, help="Likeness: how firmly looks are held while pose and expression change.")
]
DepthOption = Annotated[int, typer.Option(help="Bits per channel: 8 or 16.")]
MatteOption = Annotated[str, typer.Option(help="none: the whole picture; head: the head alone, cut out.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or mps (a Mac's GPU: untested).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def open_detector(name: str, bundle: str = "default") -> Detector:
    """Opens the landmark detector ``name``; "embedded" is the embedded one that fits ``bundle``."""
    from ..faces import BundleError, embedded_detector, resolve_bundle
    from ..landmarks import DetectorError, load_detector

    try:
        return load_detector(name, embedded_detector(resolve_bundle(bundle)))
    except (BundleError, DetectorError) as error:
        raise fail(error) from None


def open_embedder(name: str, generator: Path) -> Embedder | None:
    """Opens the recognition network ``name`` for pictures of the generator in this file; None for none."""
    import torch

    from ..faces import DEFAULT_BUNDLE, embedded_bundle
    from ..generators.load import resolve_device
    from ..recognition import IdentityFileError, load_embedder

    known = embedded_bundle(generator)
    if name == "auto":
        # An embedded network knows its own generator's people alone.
        name = "none" if known is None else "embedded"
    if name == "none":
        return None
    try:
        return load_embedder(name, known or DEFAULT_BUNDLE, torch.device(resolve_device("auto")))
    except IdentityFileError as error:
        raise fail(error) from None
