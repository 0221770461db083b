# SPDX-License-Identifier: Apache-2.0
"""Keeps a name in somebody else's file from commanding the terminal that shows it."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Returns ``text`` with a replacement character for each control character but the line feed."""
    return "".join("\ufffd" if each != "\n" and unicodedata.category(each) in ("Cc", "Cs") else each for each in text)
