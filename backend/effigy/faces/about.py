# SPDX-License-Identifier: Apache-2.0
"""Describes a bundle by its header: in words for users, in numbers for refining it."""

from __future__ import annotations

from pathlib import Path

from ..geometry import load_topology
from .header import WITHOUT_LOOKS, fit_figures, read_header
from .looks import NO_NETWORK, describe
from .regressors import describe_correction as in_words

# What a fit reports as ``edits_follow``: the differences between which of its latents its edits follow.
SCENES, PEOPLE, ALL = "scenes", "people", "all people"


def describe_looks(folder: Path) -> str:
    """Describes which looks edits keep with the bundle in ``folder``. Raises BundleError."""
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
    """Describes how its edits corrected the regressor of the bundle in ``folder``. Raises BundleError."""
    if (entry := read_header(folder).get("correction")) is not None:
        return in_words(entry)
    return (
        f"not corrected by its edits, which may turn some 2 % too far: 'effigy bundle refine {folder} --landmarks "
        "DETECTOR --out NEW.effigy' does that, with the detector of the fit"
    )


def landmarks_note(folder: Path) -> str:
    """Warns of a bundle that was fitted with an earlier definition of its landmarks; returns "" for all others.

    Raises BundleError.
    """
    header = read_header(folder)
    revision = header.get("topology_revision", 1)
    if revision == load_topology(header["topology"]).revision:
        return ""
    faces, mends = f"{header['topology']} faces", "a new fit"
    if header["topology"].startswith("mediapipe"):
        before = f"to which {faces} were pitched by about 15°, and which named fewer of their expressions"
        if revision > 1:
            before = f"to which {faces} nodded by seven tenths of what they did"
            mends += " with --landmarks photo"  # alone: MediaPipe's own library does not straighten its points
    else:
        before = f"which measured the expressions of {faces} in other ways"
    return f"{folder} was fitted by an earlier Effigy, {before}: its edits work as they did, and {mends} mends that"


def looks_network(folder: Path) -> str | None:
    """Returns the fingerprint of the recognition network that the bundle's identity head was trained with, or None.

    Raises BundleError.
    """
    entry = read_header(folder).get("appearance")
    return None if entry is None or entry["network"] == NO_NETWORK else str(entry["network"])


def fit_seed(folder: Path) -> int:
    """Returns the seed of the latents that the bundle was fitted to, 0 if its report has none. Raises BundleError."""
    seed = fit_figures(folder).get("seed")
    return seed if isinstance(seed, int) and seed >= 0 else 0


def follows_scenes(folder: Path) -> bool:
    """Returns whether the bundle's fit knew which latents show one scene. Raises BundleError."""
    return fit_figures(folder).get("edits_follow") == SCENES
