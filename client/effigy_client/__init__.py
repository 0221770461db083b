# SPDX-License-Identifier: Apache-2.0
"""A client of Effigy's backend, whatever program it runs in: no module here imports bpy or torch."""

from importlib.metadata import PackageNotFoundError, version

from effigy_protocol.version import VERSION


def _version() -> str:
    """Returns the version; that of the wheel in the add-on's zip ends in a digest (see build_addon.pack_client)."""
    try:
        return version("effigy-client")
    except PackageNotFoundError:
        return VERSION


__version__ = _version()
