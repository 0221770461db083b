# SPDX-License-Identifier: Apache-2.0
"""What make release builds: the extension repository, the site and the table of what was tested."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest

from effigy_protocol.version import VERSION
from recipes.release import site
from recipes.release.compatibility import table
from recipes.release.run import make_index

from ..blender.environments import NEWEST_3_11

REPORT = f"""<testsuites><testsuite name="pytest"><properties>
<property name="effigy" value="{VERSION}"/><property name="system" value="Linux"/>
<property name="machine" value="x86_64"/>
<property name="python" value="3.11.9"/><property name="torch" value="2.9"/><property name="cuda" value=""/>
<property name="gui" value=""/></properties>
<testcase classname="tests.backend.test_a" name="test_one"/>
<testcase classname="tests.backend.test_a" name="test_two[cuda]"><skipped/></testcase>
<testcase classname="tests.backend.test_a" name="test_two[mps]"><skipped/></testcase>
<testcase classname="tests.blender.test_in_blender" name="test_it[4.2]"/>
<testcase classname="tests.blender.test_in_blender" name="test_it[5.0]"><failure/></testcase>
</testsuite></testsuites>"""


def test_only_what_ran_is_called_tested(tmp_path):
    (tmp_path / "a.xml").write_text(REPORT)
    (tmp_path / "old.xml").write_text(REPORT.replace(f'"effigy" value="{VERSION}"', '"effigy" value="0.0.1"'))
    rows = dict(
        re.findall(r"^\| (.+?) \| (.+?) \|", table(sorted(tmp_path.glob("*.xml")), VERSION), flags=re.MULTILINE)
    )
    assert rows["Linux, x86_64"] == "2 passed, **1 failed**"
    assert rows["Blender 4.2, as a module"] == "1 passed"
    assert rows["Blender 5.0, as a module"] == "0 passed, **1 failed**"
    for name in ("Blender 4.5, as a module", "Blender 5.2, in a window", "Windows, x86_64", "macOS, arm64"):
        assert rows[name] == "untested"
    assert rows["NVIDIA GPU (CUDA)"] == rows["Apple GPU (MPS)"] == "untested"


def test_blender_s_tool_makes_the_index_of_a_repository(addon_zip, tmp_path):
    shutil.copy(addon_zip, tmp_path)
    make_index(NEWEST_3_11.python, tmp_path)
    (listed,) = json.loads((tmp_path / "index.json").read_text())["data"]
    assert (listed["id"], listed["version"]) == ("effigy", VERSION)
    assert listed["archive_url"] == f"./{addon_zip.name}"
    assert listed["archive_hash"] == "sha256:" + hashlib.sha256(addon_zip.read_bytes()).hexdigest()
    assert listed["archive_size"] == addon_zip.stat().st_size


def test_the_site_is_built_without_warnings_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    built = site.build_site("# Compatibility\n", tmp_path / "site")
    pages = [path.read_text(encoding="utf-8") for path in built.rglob("*.html")]
    fetched = [
        link for page in pages for link in re.findall(r'<(?:script|link|img)[^>]+?(?:src|href)="(https?://[^"]+)', page)
    ]
    assert not fetched
    assert 'id="effigy.api.paint"' in (built / "docs" / "reference" / "index.html").read_text(encoding="utf-8")
    assert (built / "search" / "search_index.json").is_file()
