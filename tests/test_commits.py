# SPDX-License-Identifier: Apache-2.0
"""The check of commit messages that ``make lint`` ends with, on messages and on small repositories."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "check_commits.py"
WHY = "\n\nIt was in the way."

spec = importlib.util.spec_from_file_location("check_commits", SCRIPT)
check_commits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_commits)


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, *arguments, folder]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def git(folder: Path, *arguments: str) -> str:
    """git without the user's settings, so that no hook or signature of theirs is used."""
    author = {f"GIT_{role}_{part}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    environment = {**os.environ, **author, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture()
def repository(tmp_path):
    """A repository whose first commit breaks every rule, and its hash."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    return folder, commit(folder, "the old way of writing.")


@pytest.mark.parametrize(
    "message",
    [
        "Remove the old reader" + WHY,
        "Seed the noise, so that a picture is the same again" + WHY,
        "Process frames in order" + WHY,
        "Focus the picture on the nose" + WHY,
        "A" + "d" * 71 + WHY,
        "Add ψ to the panel\n\nTwo paragraphs\n\nmay follow.\n",
    ],
)
def test_a_good_message_has_no_faults(message):
    assert check_commits.faults_of(message) == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("", "no message"),
        ("Add a reader", "no body"),
        ("Add a reader\n\n  \n", "no body"),
        ("Add a reader\nIt was missing.", "leave one blank"),
        ("Add a reader." + WHY, "full stop"),
        ("A" + "d" * 72 + WHY, "73 characters"),
        ("Added a reader" + WHY, "imperative"),
        ("Adds a reader" + WHY, "imperative"),
        ("Adding a reader" + WHY, "imperative"),
        ("The reader is new" + WHY, "imperative"),
        ("Tests: of the reader" + WHY, "imperative"),
        ("add a reader" + WHY, "imperative"),
    ],
)
def test_each_fault_of_a_message_is_told(message, fault):
    assert [told for told in check_commits.faults_of(message) if fault in told]


def test_commits_after_the_named_one_are_checked_and_merges_are_not(repository):
    folder, first = repository
    git(folder, "switch", "--quiet", "--create", "side")
    commit(folder, "Add the side" + WHY)
    git(folder, "switch", "--quiet", "main")
    commit(folder, "Add the middle" + WHY)
    git(folder, "merge", "--quiet", "--no-ff", "--message", "merged.", "side")
    done = run(folder, "--since", first)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 checked" in done.stdout


def test_a_bad_commit_fails_and_is_named(repository):
    folder, first = repository
    commit(folder, "Add the middle" + WHY)
    bad = commit(folder, "Fixed it.")
    commit(folder, "Add the end" + WHY)
    done = run(folder, "--since", first)
    assert done.returncode == 1
    assert bad[:10] in done.stderr
    assert "Fixed it." in done.stderr
    assert "3 checked, 1 to be" in done.stdout


def test_a_source_archive_passes_even_inside_another_repository(repository):
    folder, _ = repository
    archive = folder / "effigy-0.1.0"
    archive.mkdir()
    done = run(archive)
    assert done.returncode == 0
    assert "not checked" in done.stdout


def test_a_shallow_clone_that_begins_later_passes(repository, tmp_path):
    folder, first = repository
    commit(folder, "Fixed it.")
    commit(folder, "Fixed it again.")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", folder.as_uri(), str(shallow))
    done = run(shallow, "--since", first)
    assert done.returncode == 0
    assert "not checked" in done.stdout


def test_a_history_without_the_named_commit_passes(repository):
    folder, _ = repository
    done = run(folder, "--since", "0" * 40)
    assert done.returncode == 0
    assert "not checked" in done.stdout


def test_without_git_it_passes(repository, tmp_path):
    folder, first = repository
    done = run(folder, "--since", first, PATH=str(tmp_path))
    assert done.returncode == 0
    assert "git is not installed" in done.stdout


def test_make_lint_runs_the_check():
    makefile = (SCRIPT.parents[1] / "Makefile").read_text(encoding="utf-8")
    lint = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    assert ".ci/check_commits.py" in lint
    assert shutil.which("make") is None or subprocess.run(["make", "-n", "lint"], cwd=SCRIPT.parents[1]).returncode == 0
