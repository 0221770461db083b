# SPDX-License-Identifier: GPL-3.0-or-later
"""Translates texts that are put together at run time.

Blender translates labels, tooltips and literal reports by itself. What gets values it must be asked for before they
go in; it finds such sentences by the names of these functions.
"""

from __future__ import annotations

from typing import cast

import bpy


def iface_(text: str, *values: object) -> str:
    """Translates ``text`` for the interface, with ``values`` in its format fields."""
    return cast(str, bpy.app.translations.pgettext_iface(text)).format(*values)  # the stubs take its result for None


def n_(text: str) -> str:
    """Returns ``text`` unchanged; marks it for translation later, by one of the others."""
    return text


def differing(parts: list[str]) -> str:
    """Returns what differs in a picture, in words for the interface.

    ``parts`` are those of record.what_differs, and "place" and "other".
    """
    said = {
        "person": iface_("another person"),
        "turn": iface_("another turn"),
        "expression": iface_("another expression"),
        "likeness": iface_("another likeness"),
        "place": iface_("another place"),
        "matte": iface_("another matte"),
        "shading": iface_("another shading"),
        "other": iface_("other values"),
    }
    return ", ".join(said[part] for part in parts)


def rpt_(text: str, *values: object) -> str:
    """Translates ``text`` for reports, like ``iface_``."""
    return cast(str, bpy.app.translations.pgettext_rpt(text)).format(*values)
