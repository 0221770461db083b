# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import Path

import pytest

from effigy.faces.header import FORMAT as BUNDLE_FORMAT
from effigy.generators.checkpoints.own import FORMAT as GENERATOR_FORMAT
from effigy_protocol import PROTOCOL_VERSION
from effigy_protocol.record import _FORMAT as FRAMES_FORMAT
from effigy_protocol.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("backend", "blender_addon", "client", "docs", "protocol", "recipes", "tests", ".github")
DOCUMENTS = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]


SOURCES = [path.as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_links_to_is_there(document: Path):
    linked = re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
    missing = [target for target in linked if "://" not in target and not (document.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_a_document_names_are_there(document: Path):
    named = set(re.findall(r"`([\w./]+\.py)`", document.read_text(encoding="utf-8")))
    assert not [
        name for name in named if not (ROOT / name).exists() and not any(s.endswith(f"/{name}") for s in SOURCES)
    ]


def test_tests_that_a_document_names_are_there():
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"def (test_\w+)\(", tests))
    for document in DOCUMENTS:
        named = set(re.findall(r"`(test_\w+)`", document.read_text(encoding="utf-8")))
        assert named <= there, (document.name, named - there)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_belongs_to_an_item_of_a_list_is_indented_by_four(document: Path):
    """Else the site's Markdown ends the list there, and numbers what follows from 1."""
    text = re.sub(r"^ *```.*?^ *```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^\n {1,3}\S.*|^ {1,3}(?:[-*]|\d+\.) .*", text, flags=re.MULTILINE)


def test_the_changelog_names_the_numbers_of_the_formats():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    numbers = dict(re.findall(r"^\| ([^|]+?) \| `?([\w-]+)`? \|", text, flags=re.MULTILINE))
    assert numbers["protocol between client and backend"] == str(PROTOCOL_VERSION)
    assert numbers["bundle (a face model on disk)"] == str(BUNDLE_FORMAT)
    assert numbers["generator file of our own"] == GENERATOR_FORMAT
    assert numbers["`frames.json` beside baked pictures"] == str(FRAMES_FORMAT)
    newest = text.partition(f"\n## [{VERSION}]")[2].partition("\n### ")[0]
    assert f"Protocol {PROTOCOL_VERSION}, bundle format {BUNDLE_FORMAT}." in newest


def test_documents_know_the_version():
    for name in ("README.md", "docs/artists.md"):
        zips = re.findall(r"effigy-(\d[\w.]*)\.zip", (ROOT / name).read_text(encoding="utf-8"))
        assert set(zips) == {VERSION}, name
    assert f"\n## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_workflow_installs_the_libraries_that_the_readme_names():
    named = re.search(r"`apt install ([^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    workflow = (ROOT / ".github" / "workflows" / "linux.yml").read_text(encoding="utf-8")
    assert named is not None
    assert set(re.findall(r"\blib[\w-]+", workflow)) == set(named[1].split())
