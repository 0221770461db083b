# SPDX-License-Identifier: Apache-2.0
"""The compatibility table: what tests ran where, from their JUnit files. What no test ran on is called untested.

python -m recipes.release.compatibility out/tests/*.xml
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

BLENDERS = ("4.2", "4.5", "5.0", "5.2")  # that are meant to work
WINDOWED = {"trixie": "4.3", "sid": "5.2"}  # Debian's, in which windows are clicked through
SYSTEMS = (("Linux", "x86_64"), ("Windows", "AMD64"), ("Darwin", "arm64"))
_NAMES = {"Darwin": "macOS", "AMD64": "x86_64"}


@dataclass(slots=True)
class Row:
    """How tests of one row ended: by what they ran on and name, whether they passed when they last ran."""

    what: str = ""
    passed: dict[tuple[str, str, str], bool] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.passed:
            return "untested"
        passed = sum(self.passed.values())
        failed = len(self.passed) - passed
        return f"{passed} passed" + (f", **{failed} failed**" if failed else "")


def table(reports: Iterable[Path], version: str) -> str:
    """Returns the page, in Markdown.

    ``reports`` are JUnit files of test runs; those of other versions than ``version`` are left out. A test that is in
    several counts once, as it ended last. Raises SystemExit for a file that is no report.
    """
    rows = {f"Blender {blender}, as a module": Row("the add-on inside it, background renders") for blender in BLENDERS}
    rows |= {f"Blender {number}, in a window": Row(f"clicks; Debian {suite}") for suite, number in WINDOWED.items()}
    rows |= {_system(*system): Row() for system in SYSTEMS}
    rows |= {"NVIDIA GPU (CUDA)": Row(), "Apple GPU (MPS)": Row()}
    for suite in sorted((suite for report in reports for suite in _suites(report)), key=_began):
        said = {each.get("name"): each.get("value") or "" for each in suite.iter("property")}
        if said.get("effigy") == version:
            _count(rows, suite, said)
    lines = [f"| {name} | {row} | {row.what or '–'} |" for name, row in rows.items()]
    return (
        f"# Compatibility\n\nWritten from the tests of Effigy {version} that ran; everything else is untested, which "
        "does not say that it fails.\n\n| on | tests | with |\n|---|---|---|\n" + "\n".join(lines) + "\n"
    )


def _suites(report: Path) -> list[ElementTree.Element]:
    try:
        return list(ElementTree.parse(report).iter("testsuite"))  # noqa: S314 our own file
    except ElementTree.ParseError as error:
        raise SystemExit(f"{report} is no report of tests ({error}): run them again, or remove it") from None


def _began(suite: ElementTree.Element) -> datetime:
    said = suite.get("timestamp")
    return datetime.fromisoformat(said).astimezone(UTC) if said else datetime.min.replace(tzinfo=UTC)


def _count(rows: dict[str, Row], suite: ElementTree.Element, said: dict[str | None, str]) -> None:
    on = _system(said["system"], said["machine"])
    system = rows.setdefault(on, Row())
    system.what = f"Python {said['python']}, PyTorch {said['torch']}"
    for number in BLENDERS:
        if inside := said.get(f"inside {number}"):
            row = rows[f"Blender {number}, as a module"]
            row.what = f"{inside} of the add-on's tests inside it; background renders"
    for case in suite.iter("testcase"):
        if case.find("skipped") is not None:
            continue
        failed = case.find("failure") is not None or case.find("error") is not None
        where = f"{case.get('classname')}.{case.get('name')}"
        counted = [system]
        if blender := re.search(r"tests\.blender\..*\[(\d\.\d)", where):
            counted.append(rows.setdefault(f"Blender {blender[1]}, as a module", Row()))
        if "tests.gui." in where and said.get("gui") in WINDOWED:
            counted.append(rows[f"Blender {WINDOWED[said['gui']]}, in a window"])
        if said.get("cuda") and "cuda" in where:
            rows["NVIDIA GPU (CUDA)"].what = said["cuda"]
            counted.append(rows["NVIDIA GPU (CUDA)"])
        if re.search(r"[\[-]mps[-\]]", where):  # as a parameter; others speak of it in what they refuse
            counted.append(rows["Apple GPU (MPS)"])
        for row in counted:
            row.passed[on, said.get("gui", ""), where] = not failed


def _system(system: str, machine: str) -> str:
    return f"{_NAMES.get(system, system)}, {_NAMES.get(machine, machine)}"


if __name__ == "__main__":
    from effigy_protocol.version import VERSION

    print(table([Path(each) for each in sys.argv[1:]], VERSION), end="")
