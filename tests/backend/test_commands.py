# SPDX-License-Identifier: Apache-2.0
"""The command line says what is wrong, and never shows a traceback."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from effigy.cli import app
from effigy.cli.console import fail
from effigy.commands.doctor import examine
from effigy.faces import FIRST_BUNDLE
from effigy_protocol.version import VERSION


@pytest.fixture()
def run():
    return lambda *arguments: CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def test_help_lists_the_commands(run):
    said = run("--help").output
    for command in ("serve", "fit", "doctor"):
        assert command in said


def test_the_version_is_told(run):
    said = run("--version")
    assert (said.exit_code, said.output) == (0, f"effigy {VERSION}\n")


def test_the_doctor_finds_a_healthy_machine_healthy(run):
    ran = run("doctor")
    assert ran.exit_code == 0, ran.output
    for name in ("torch", "device", "memory", "model", "port", "Blender"):
        assert name in ran.output


def test_the_doctor_says_how_to_mend_a_missing_model(run):
    ran = run("doctor", "--model", "/nowhere.effigy")
    assert ran.exit_code == 1
    assert "/nowhere.effigy is not a face model" in ran.output
    assert "--model default" in ran.output


def test_the_doctor_finds_a_port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        findings = {finding.name: finding for finding in examine(FIRST_BUNDLE, taken.getsockname()[1])}
    assert not findings["port"].ok
    assert "--port 0" in findings["port"].mend


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fit", "--generator", "/nowhere.safetensors", "--out", "/tmp/x.effigy"), "no generator file /nowhere"),
        (("fit", "--generator", "x", "--out", "y", "--landmarks", "magic"), "unknown detector 'magic'"),
        (("serve", "--host", "8.8.8.8"), "not a loopback address"),
        (("serve", "--port", "99999"), "not between 0 and 65535"),
        (("serve", "--parent-pid", "-1"), "--parent-pid"),
        (("serve", "--device", "gpu"), "there is no device 'gpu': use auto, cpu, cuda or mps"),
        *([] if sys.platform == "darwin" else [(("serve", "--device", "mps"), "device 'mps' cannot be used")]),
    ],
)
def test_bad_arguments_are_named(run, arguments, said):
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert said in ran.output
    assert "Traceback" not in ran.output
    assert "serving" not in ran.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("--help",), ("read", "--help"), ("generators", "list"), ("bundle", "export", "--help")],
)
def test_a_full_disk_for_what_is_printed_is_told(effigy_command, arguments):
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([effigy_command, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 2
    assert re.fullmatch(
        r"effigy: error: there is no room to write \(.*\): free some, or choose another disk\n", ran.stderr
    )


def test_a_name_in_a_file_does_not_command_the_terminal(capsys):
    fail("the person of \x1b[2J\x07somebody\nis of another model")
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "somebody\nis of another model" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("transfer", "none.png", "--seed", "1", "--out", "{}.png"),
        ("photo", "none.png", "--out", "{}.person"),
        ("capture", "none.mp4", "--out", "{}.csv"),
        ("fit", "--generator", "none.pkl", "--out", "{}"),
        ("generators", "convert", "none.pkl", "{}.safetensors"),
        ("paint", "--seed", "1", "--model", "none", "--out", "{}.png"),
        ("sheet", "--seeds", "1", "--model", "none", "--out", "{}.png"),
        ("film", "--turntable", "2", "--seed", "1", "--model", "none", "--out", "{}"),
        ("bundle", "export", "first-default", "--out", "{}"),
        ("bundle", "add", "none.zip", "--generator", "none.pkl", "--out", "{}"),
        ("bundle", "refine", "first-default", "--out", "{}"),
        ("nrsfm", "none.npz", "--out", "{}.npz"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_place_that_no_file_can_have_gives_no_traceback(run, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    for place in ("a" * 300, f"{'a' * 300}/b"):
        ran = run(*(each.format(place) for each in arguments))
        assert ran.exit_code == 2
        assert isinstance(ran.exception, SystemExit), ran.exception
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("transfer", "there.png", "--seed", "1", "--out", "{}.png"),
        ("photo", "there.png", "--out", "{}.person"),
        ("photo", "there.png", "--out", "a.person", "--preview", "{}.png"),
        ("capture", "there.mp4", "--out", "{}.csv"),
        ("sheet", "--seeds", "1", "--out", "{}.png"),
    ],
    ids=lambda arguments: " ".join(arguments[::2]),
)
@pytest.mark.parametrize(
    ("place", "said"),
    [("nowhere/a", "there is no folder nowhere to write a"), ("a" * 300, "cannot be written (File name too long)")],
    ids=("folder", "name"),
)
def test_a_place_that_cannot_be_is_told_before_the_work(run, tmp_path, monkeypatch, capsys, arguments, place, said):
    monkeypatch.chdir(tmp_path)
    for name in ("there.png", "there.mp4"):  # neither a picture nor a film, as reading them would tell
        (tmp_path / name).write_bytes(b"read")
    ran = run(*(each.format(place) for each in arguments))
    assert ran.exit_code == 2
    assert said in ran.output + capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2
