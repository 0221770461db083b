# SPDX-License-Identifier: Apache-2.0
"""Reads the examples of docs/extend, so that each page is tried as it stands."""

from __future__ import annotations

import re
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "extend"


def examples(page: str, language: str) -> list[str]:
    """Returns the fenced blocks of ``language`` on a page, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
