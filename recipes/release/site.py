# SPDX-License-Identifier: Apache-2.0
"""The documentation's site, from the documents as they lie in the tree: mkdocs.yml says how they hang together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "build" / "site-pages"
FOLDERS = ("docs", "backend", "protocol", "client", "blender_addon", "recipes", "tests")
_PICTURES = {".png", ".jpg", ".svg", ".webp", ".gif", ".mp4"}
EPOCH = "1577836800"  # 2020-01-01, the date of every page

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")
_REFERENCE = """# Reference of `import effigy`

What the verbs take and return. [Pictures without Blender](api.md) has examples.

::: effigy.api
"""


def build_site(compatibility: str, out: Path) -> Path:
    """Builds the site into ``out``; ``compatibility`` is the page of what was tested. A warning is an error."""
    gather(compatibility)
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out.resolve())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "NO_MKDOCS_2_WARNING": "true"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"the site cannot be built (pip install -e '.[docs]'?):\n{ran.stdout}{ran.stderr}")
    return out


def gather(compatibility: str) -> None:
    """Copies the documents and their pictures to build/site-pages, with links to what is no page taken away."""
    shutil.rmtree(PAGES, ignore_errors=True)
    documents = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    pictures = [path for path in (ROOT / "docs").rglob("*") if path.suffix in _PICTURES]
    for path in [*documents, *pictures]:
        there = PAGES / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
    (PAGES / "docs" / "compatibility.md").write_text(compatibility, encoding="utf-8")
    (PAGES / "docs" / "reference.md").write_text(_REFERENCE, encoding="utf-8")
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(_LINK.sub(partial(_kept, page), text), encoding="utf-8")


def _kept(page: Path, link: re.Match[str]) -> str:
    """The link if the site has its target, else its text; a folder's is its README."""
    text, target, anchor = link.group(1), link.group(2), link.group(3) or ""
    there = page.parent / target
    if there.is_dir() and (there / "README.md").is_file():
        return f"[{text}]({target.rstrip('/')}/README.md{anchor})"
    return link.group(0) if there.is_file() else text


if __name__ == "__main__":
    from effigy_protocol.version import VERSION

    from .compatibility import table

    print(build_site(table(sorted((ROOT / "out" / "tests").glob("*.xml")), VERSION), Path(sys.argv[1])))
