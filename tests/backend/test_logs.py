# SPDX-License-Identifier: Apache-2.0
"""A log says what happened, only its owner can read it, and its size is bounded."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
import subprocess
import sys

import pytest
import structlog

from effigy.service import logs
from effigy.service.logs import CountRepeats, configure_logs


@pytest.fixture()
def folder(tmp_path):
    yield tmp_path / "logs"
    structlog.get_config()["logger_factory"]().close()
    structlog.reset_defaults()


def written(folder):
    (path,) = folder.glob("backend-*.log")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_flood_of_like_lines_is_counted_and_not_written(folder):
    configure_logs(folder=folder)
    log = structlog.get_logger()
    for number in range(120_000 // 100):
        log.warning("request refused", code="malformed", error=f"number {number}")
        log.warning("request refused", code="unproven")
    log.info("another thing")
    events = [(entry["event"], entry.get("code")) for entry in written(folder)]
    assert events.count(("request refused", "malformed")) == 10
    assert events.count(("request refused", "unproven")) == 10
    assert events[-1] == ("another thing", None)


def test_what_was_not_written_is_told_with_the_next_of_its_kind():
    now = 0.0
    count = CountRepeats(clock=lambda: now)

    def written(event):
        try:
            return count(None, "info", {"event": event})
        except structlog.DropEvent:
            return None

    first = [written("like") for _ in range(25)]
    assert [entry for entry in first if entry] == [{"event": "like"}] * 10
    now = 61.0
    assert written("other") == {"event": "other"}
    assert written("like") == {"event": "like", "left_out": 15}
    assert written("like") == {"event": "like"}


def test_kinds_without_end_take_no_memory_without_end(monkeypatch):
    monkeypatch.setattr(logs, "_KINDS", 50)
    count = CountRepeats()
    for number in range(500):
        for _ in range(20):
            with contextlib.suppress(structlog.DropEvent):
                count(None, "info", {"event": f"event {number}", "client": f"client {number}"})
    assert len(count._written) <= 50
    assert len(count._left_out) <= 50


def written_of(count, client):
    for _ in range(100):
        with contextlib.suppress(structlog.DropEvent):
            yield count(None, "warning", {"event": "request refused", "code": "malformed", "client": client})


def test_a_client_that_floods_the_log_leaves_room_for_others():
    """Before, lines were limited by kind alone: one client's ten were all that was seen of any."""
    count = CountRepeats(clock=lambda: 0.0)
    assert [len(list(written_of(count, client))) for client in ("vandal", "other")] == [10, 10]


def test_clients_that_come_and_go_are_limited_together():
    """Else whoever connects anew for every line writes without end."""
    now = 0.0
    count = CountRepeats(clock=lambda: now)
    lines = [line for number in range(1000) for line in written_of(count, f"client {number}")]
    assert len(lines) == 40
    now = 61.0
    first, *others = written_of(count, "client 0")
    assert sum(line.get("left_out", 0) for line in (*lines, first)) == 1000 * 100 - 40
    assert len(others) == 9


def test_a_log_is_its_owners_alone_and_of_bounded_size(folder, monkeypatch):
    monkeypatch.setattr(logs, "_FILE_BYTES", 10_000)
    configure_logs(folder=folder)
    log = structlog.get_logger()
    for number in range(1000):
        log.info(f"event {number}", text="x" * 100)
    files = list(folder.iterdir())
    assert len(files) == 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    assert sum(path.stat().st_size for path in files) < 21_000
    assert written(folder)[-1]["event"] == "event 999"


def test_two_processes_never_write_one_log(tmp_path):
    code = (
        "import structlog, sys; from pathlib import Path; from effigy.service.logs import configure_logs\n"
        "for _ in range(2): configure_logs(folder=Path(sys.argv[1])); structlog.get_logger().info('mine')\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)
    assert [len(path.read_text().splitlines()) for path in tmp_path.glob("backend-*.log")] == [1] * 4


def test_logs_of_backends_that_are_gone_are_few_and_those_of_living_ones_stay(folder):
    folder.mkdir()
    living = folder / f"backend-{os.getpid()}-old.log"
    living.write_text("")
    os.utime(living, (0, 0))
    for number in range(20):
        path = folder / f"backend-4999999-{number:02d}.log"  # beyond any process's number
        path.write_text("")
        path.with_name(f"{path.name}.1").write_text("")
        os.utime(path, (number, number))
    (folder / "backend-mine.log").write_text("somebody's own")
    configure_logs(folder=folder)
    gone = sorted(path.name for path in folder.glob("backend-4999999-*.log"))
    assert gone == [f"backend-4999999-{number:02d}.log" for number in range(11, 20)]
    assert len(list(folder.glob("*.log.1"))) == 9
    assert living.exists()
    assert (folder / "backend-mine.log").exists()


def test_a_full_disk_neither_ends_the_service_nor_fills_another_file(folder, capfd):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    configure_logs(folder=folder)
    file = structlog.get_config()["logger_factory"]()
    file.stream.close()
    file.stream = Full()
    structlog.get_logger().info("nobody hears this")
    assert capfd.readouterr().err == ""
