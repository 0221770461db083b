# SPDX-License-Identifier: Apache-2.0
"""Commands that documents name are there, with the options that they are given. Examples also run (test_painting)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from effigy.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").rglob("*.md")]


def snippets(text: str) -> list[str]:
    """The lines of shell blocks, and what stands in the text `like this`; without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [" ".join(each.partition(" #")[0].split()) for each in (*lines, *inline)]


def of(name: str, document: Path) -> list[str]:
    start = re.compile(rf"(?:[\w./-]*/)?{name} ")
    return [each for each in snippets(document.read_text(encoding="utf-8")) if start.match(each)]


def refused(words: list[str]) -> str:
    """Why a command would not begin; empty if it would. Whether it has all that it needs is not asked."""
    ran = CliRunner().invoke(app, [*words, "--help"])
    return "" if ran.exit_code == 0 else ran.output


def verbs(text: str) -> list[str]:
    """ "effigy generators list | fetch" → "generators list", "generators fetch"; "effigy paint | sheet" likewise."""
    first, *others = text.removeprefix("effigy ").split(" | ")
    group = f"{first.split()[0]} " if len(first.split()) > 1 else ""
    return [first, *(group + other.split()[0] for other in others)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_have_these_verbs_and_options(document: Path):
    for text in of("effigy", document):
        several = [each.split() for each in verbs(text)] if " | " in text else [shlex.split(text)[1:]]
        for words in several:
            assert not (why := refused(words)), f"{document.name}: {text}: {why}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_targets_and_recipes_are_there(document: Path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for text in of("make", document):
        assert text.split()[1].strip(".,") in targets, f"{document.name}: {text}"
    for text in of("python[0-9.]*", document):
        if found := re.search(r"(?:^| )(-m )?(recipes[\w./]*|build_addon\.py)", text):
            path = ROOT / (found[2].replace(".", "/") if found[1] else found[2])
            assert path.is_file() or path.is_dir() or path.with_suffix(".py").is_file(), f"{document.name}: {text}"


@pytest.mark.parametrize("wrong", ["pant --seed 3", "paint --sed 3", "generators fech"])
def test_what_is_wrong_is_found(wrong):
    assert refused(wrong.split())
