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
from recipes.release.run import check_replaceable, make_index

from ..blender.environments import NEWEST_3_11

REPORT = f"""<testsuites><testsuite name="pytest" timestamp="2026-11-29T04:00:00+00:00"><properties>
<property name="effigy" value="{VERSION}"/><property name="system" value="Linux"/>
<property name="machine" value="x86_64"/>
<property name="python" value="3.11.9"/><property name="torch" value="2.9"/><property name="cuda" value=""/>
<property name="gui" value=""/><property name="inside 4.2" value="300"/></properties>
<testcase classname="tests.backend.test_a" name="test_one"/>
<testcase classname="tests.backend.test_a" name="test_two[cuda]"><skipped/></testcase>
<testcase classname="tests.backend.test_a" name="test_two[mps]"><skipped/></testcase>
<testcase classname="tests.backend.test_a" name="test_bad[there is no gpu: use cuda or mps]"/>
<testcase classname="tests.blender.test_in_blender" name="test_it[4.2]"/>
<testcase classname="tests.blender.test_in_blender" name="test_it[5.0]"><failure/></testcase>
</testsuite></testsuites>"""


def rows_of(folder):
    """The table's rows of the reports in ``folder``: what each says of its tests."""
    text = table(sorted(folder.glob("*.xml")), VERSION)
    return dict(re.findall(r"^\| (.+?) \| (.+?) \|", text, flags=re.MULTILINE))


def test_only_what_ran_is_called_tested(tmp_path):
    (tmp_path / "a.xml").write_text(REPORT)
    (tmp_path / "old.xml").write_text(REPORT.replace(f'"effigy" value="{VERSION}"', '"effigy" value="0.0.1"'))
    rows = rows_of(tmp_path)
    assert rows["Linux, x86_64"] == "3 passed, **1 failed**"
    assert rows["Blender 4.2, as a module"] == "1 passed"
    assert rows["Blender 5.0, as a module"] == "0 passed, **1 failed**"
    for name in ("Blender 4.5, as a module", "Blender 5.2, in a window", "Windows, x86_64", "macOS, arm64"):
        assert rows[name] == "untested"
    assert rows["NVIDIA GPU (CUDA)"] == rows["Apple GPU (MPS)"] == "untested"


def test_a_test_in_two_reports_counts_once_as_it_ended_last(tmp_path):
    mended = REPORT.replace("<failure/>", "").replace("04:00:00+00:00", "05:30:00+01:00")  # half an hour later
    (tmp_path / "a-later.xml").write_text(mended)
    (tmp_path / "b-earlier.xml").write_text(REPORT)
    rows = rows_of(tmp_path)
    assert (rows["Linux, x86_64"], rows["Blender 5.0, as a module"]) == ("4 passed", "1 passed")
    (tmp_path / "c-windows.xml").write_text(REPORT.replace('value="Linux"', 'value="Windows"'))
    assert rows_of(tmp_path)["Blender 5.0, as a module"] == "1 passed, **1 failed**"  # there it still fails


def test_the_tests_inside_blender_are_counted(tmp_path):
    (tmp_path / "a.xml").write_text(REPORT)
    assert "300 of the add-on's tests inside it" in table([tmp_path / "a.xml"], VERSION)


def test_half_a_report_is_named(tmp_path):
    (tmp_path / "a.xml").write_text(REPORT[:300])
    with pytest.raises(SystemExit, match=r"a\.xml is no report of tests"):
        rows_of(tmp_path)


def test_a_release_replaces_only_an_earlier_one(tmp_path):
    check_replaceable(tmp_path / "none")
    for part in (f"effigy-{VERSION}.zip", "SHA256SUMS", "index.json"):
        (tmp_path / part).touch()
    check_replaceable(tmp_path)
    (tmp_path / "thesis.tex").touch()
    for taken in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(SystemExit, match="thesis.tex is no part of a release"):
            check_replaceable(taken)


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
