# SPDX-License-Identifier: Apache-2.0
"""Reads the examples of docs/extend, so that each page is tried as it stands."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "extend"


def examples(page: str, language: str) -> list[str]:
    """Returns the fenced blocks of ``language`` on a page, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@contextmanager
def install(
    page: str, module: str, folder: Path, monkeypatch: pytest.MonkeyPatch, registry: ModuleType
) -> Iterator[ModuleType]:
    """Installs a page's module in ``folder``, with its entry points, as pip would; yields it.

    ``registry`` is the one that reads them, and has forgotten them afterwards.
    """
    announced = folder / f"{module}-1.0.dist-info"
    announced.mkdir(parents=True)
    (folder / f"{module}.py").write_text(examples(page, "python")[0], encoding="utf-8")
    (announced / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
    groups = tomllib.loads(examples(page, "toml")[0])["project"]["entry-points"]
    lines = (f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in names.items()) for group, names in groups.items())
    (announced / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(registry, "_REGISTERED", dict(registry._REGISTERED))
    registry._load_plugins.cache_clear()
    try:
        yield importlib.import_module(module)
    finally:
        registry._load_plugins.cache_clear()
        sys.modules.pop(module, None)
