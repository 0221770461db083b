# SPDX-License-Identifier: Apache-2.0
"""The bundles that come with Effigy, and which bundle, generator or detector a user's name means."""

from __future__ import annotations

from pathlib import Path

from effigy_protocol.files import is_file

from ..generators.catalogue import generator_file
from .header import generator_path, has_header, read_header, sha256

DEFAULT_BUNDLE = Path(__file__).parent / "default.effigy"
FIRST_BUNDLE = Path(__file__).parent / "first-default.effigy"  # the default of earlier versions
_NAMED = {"default": DEFAULT_BUNDLE, "first-default": FIRST_BUNDLE}


def resolve_bundle(name: str) -> Path:
    """Returns the folder that ``name`` means: "default" and "first-default" are embedded, anything else is a path."""
    if name in _NAMED:
        return _NAMED[name]
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~NAME of a user who does not exist
        return Path(name)


def name_of_embedded(folder: Path) -> str:
    """Returns the name by which users choose the embedded bundle in ``folder``, the inverse of ``resolve_bundle``."""
    return next(name for name, named in _NAMED.items() if named == folder)


def is_bundle(name: str) -> bool:
    """Returns whether ``name`` means the folder of a face model, damaged or not."""
    return has_header(resolve_bundle(name))


def generator_of(name: str) -> Path:
    """Returns the generator's file that a user means by ``name``.

    That is a face model's own for "default" or a bundle's folder, and otherwise what ``generator_file`` finds. Raises
    GeneratorFileError or BundleError.
    """
    if not is_bundle(name):
        return generator_file(name)
    folder = resolve_bundle(name)
    return generator_path(folder, read_header(folder)["generator"])


def embedded_bundle(generator: Path) -> Path | None:
    """Returns the embedded bundle that has this file as its generator, or None.

    Only its detector and recognition network know the people of that generator. Raises BundleError.
    """
    return bundle_with_generator(sha256(generator)) if is_file(generator) else None


def bundle_with_generator(generator_sha256: str) -> Path | None:
    """Returns the embedded bundle whose generator's file has this checksum, or None. Raises BundleError."""
    known = (folder for folder in _NAMED.values() if read_header(folder)["generator"]["sha256"] == generator_sha256)
    return next(known, None)


def embedded_detector(folder: Path) -> Path:
    """Returns the embedded detector's file that fits the bundle in ``folder``.

    That is an embedded bundle's own, and for any other bundle the first one of the same topology, or the default's.
    Raises BundleError.
    """
    if folder in _NAMED.values():
        return folder / "detector.safetensors"
    topology = read_header(folder)["topology"] if has_header(folder) else None
    fit = (bundle for bundle in _NAMED.values() if read_header(bundle)["topology"] == topology)
    return next(fit, DEFAULT_BUNDLE) / "detector.safetensors"
