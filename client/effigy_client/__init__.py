# SPDX-License-Identifier: Apache-2.0
"""A client of Effigy's backend, whatever program it runs in: no module here imports bpy or torch."""

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    """Of the distribution that was imported: the wheel of the add-on's zip, or the backend's."""
    for distribution in ("effigy-client", "effigy"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"  # run from its sources


__version__ = _version()
