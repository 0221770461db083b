# SPDX-License-Identifier: Apache-2.0
"""The figures of docs/architecture.md about imports are those of the tree, and no modules import each other."""

from __future__ import annotations

import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = " ".join((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split())
PACKAGES = ("effigy_protocol", "effigy_client", "effigy", "blender_addon", "recipes")


@pytest.fixture(scope="module", autouse=True)
def _from_root():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))  # the add-on and the recipes are not installed
        yield


@cache
def imports(package: str) -> dict[str, set[str]]:
    """Returns what each module of ``package`` imports of it."""
    graph = grimp.build_graph(package, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def between_parts(package: str) -> dict[str, set[str]]:
    """Returns which parts, the modules and folders just below ``package``, import which others."""
    depth = package.count(".") + 2
    found: dict[str, set[str]] = {}
    for module, imported in imports(package.split(".")[0]).items():
        if module.startswith(f"{package}."):
            part = ".".join(module.split(".")[:depth])
            parts = {".".join(name.split(".")[:depth]) for name in imported if name.startswith(f"{package}.")}
            found.setdefault(part, set()).update(parts - {part})
    return found


def layers(parts: dict[str, set[str]]) -> int:
    height: dict[str, int] = {}
    for part in TopologicalSorter(parts).static_order():
        height[part] = 1 + max((height[below] for below in parts[part]), default=0)
    return max(height.values())


@pytest.mark.parametrize(
    ("package", "pattern"),
    [
        ("blender_addon.blender", r"(\d+) between the add-on's (\d+) parts, on (\d+) layers"),
        ("effigy_client", r"(\d+) between the client's (\d+) modules, on (\d+) layers"),
    ],
)
def test_the_figures_of_the_document_are_true(package, pattern):
    parts = between_parts(package)
    counted = sum(map(len, parts.values())), len(parts), layers(parts)
    said = re.search(pattern, TEXT)
    assert said is not None
    assert tuple(map(int, said.groups())) == counted


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package):
    TopologicalSorter(imports(package)).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize("folder", ["blender_addon", "recipes"])
def test_no_node_is_looked_up_by_a_name_that_blender_gave_it(folder):
    """Where *New Data* is translated, that name is in the user's language. A name of our own is a constant."""
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    found = [
        str(path) for path in files if re.search(r"""nodes(\[|\.get\()["'](?!{)""", path.read_text(encoding="utf-8"))
    ]
    assert not found
