# SPDX-License-Identifier: Apache-2.0
"""What a bundle's header says of it, in words for users and in numbers for a refinement."""

from __future__ import annotations

from pathlib import Path

from ..geometry import load_topology
from .header import WITHOUT_LOOKS, fit_figures, read_header
from .looks import NO_NETWORK, describe
from .regressors import describe_correction as in_words


def describe_looks(folder: Path) -> str:
    """What edits with the bundle in ``folder`` hold of a face's looks, in words; raises BundleError."""
    header = read_header(folder)
    if header["format"] == WITHOUT_LOOKS:
        return (
            f"nothing, its format is {WITHOUT_LOOKS}: 'effigy bundle refine {folder} --out NEW.effigy', or a new fit, "
            "adds what keeps colours and the person"
        )
    if header["appearance"] is None:
        return f"nothing: {header['topology']} landmarks are not a face's"
    return describe(header["appearance"])


def describe_correction(folder: Path) -> str:
    """How edits corrected the regressor of the bundle in ``folder``, in words; raises BundleError."""
    if (entry := read_header(folder).get("correction")) is not None:
        return in_words(entry)
    return (
        f"not corrected by its edits, which may turn some 2 % too far: 'effigy bundle refine {folder} --landmarks "
        "DETECTOR --out NEW.effigy' does that, with the detector of the fit"
    )


def landmarks_note(folder: Path) -> str:
    """What is wrong with how the bundle in ``folder`` takes its landmarks, in words; empty where nothing is.

    Raises BundleError.
    """
    header = read_header(folder)
    if header.get("topology_revision", 1) == load_topology(header["topology"]).revision:
        return ""
    return (
        f"{folder} was fitted by an earlier Effigy, to which {header['topology']} faces were pitched by about 15°, and "
        "which named fewer of their expressions: its edits work as they did, and a new fit mends both"
    )


def looks_network(folder: Path) -> str | None:
    """The fingerprint of the identity network by which edits hold a person; None where none does.

    Raises BundleError.
    """
    entry = read_header(folder).get("appearance")
    return None if entry is None or entry["network"] == NO_NETWORK else str(entry["network"])


def fit_seed(folder: Path) -> int:
    """The seed of the latents that the bundle was fitted to; 0 where its report does not say. Raises BundleError."""
    seed = fit_figures(folder).get("seed")
    return seed if isinstance(seed, int) and seed >= 0 else 0
