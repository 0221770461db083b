# SPDX-License-Identifier: Apache-2.0
"""Checks the messages of this repository's commits; CONTRIBUTING.md says what they should look like.

    python .ci/check_commits.py [--since COMMIT] [FOLDER]

Looks at what HEAD has beyond COMMIT, merges left out. Where that cannot be told (no repository, no git, a shallow
clone that begins later), it says so and passes: a source archive must pass ``make lint`` too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

FIRST = "1e6d707090013f8b9ccbb3af1521334492010aee"  # the commits up to this one were made before this check
LONGEST = 72  # characters of a subject: what git log shows unwrapped in a terminal of 80
SEPARATOR = "\x1e"

# First words that are no verb in the imperative although nothing in their ending shows it.
NO_VERBS = (
    "a after all also an and another as at because before but by each every few for from he her his how i if in into "
    "it its many more most my new no not now of on one only or our some such than that the their them then there these "
    "they this those three to two what when where which while who why with without wip you your"
)
# Verbs in the imperative that end as participles, gerunds or the third person do.
VERBS = (
    "embed exceed feed heed need proceed seed shed speed succeed weed bring ping ring sing spring string swing wring "
    "alias bias canvas focus"
)


def faults_of(message: str) -> list[str]:
    """Returns what is wrong with a commit's message, in words that say what to do; [] when nothing is."""
    subject, *rest = message.rstrip().split("\n")
    faults = []
    if not subject:
        return ["it has no message"]
    if len(subject) > LONGEST:
        faults.append(f"the subject has {len(subject)} characters: at most {LONGEST}")
    if subject.endswith("."):
        faults.append("the subject ends with a full stop: leave it out")
    if not is_imperative(subject):
        faults.append(f"the subject begins with {subject.split()[0]!r}: begin with a verb in the imperative, as 'Add'")
    if not any(line.strip() for line in rest):
        faults.append("there is no body: say why the change was made")
    elif rest[0].strip():
        faults.append("the subject has a second line: leave one blank before the body")
    return faults


def is_imperative(subject: str) -> bool:
    """Returns whether the first word is capitalised and may be a verb in the imperative, as far as its form tells."""
    first = subject.split()[0]
    word = first.lower()
    if not first[0].isupper() or not first.isalpha() or word in NO_VERBS.split():
        return False
    if word in VERBS.split():
        return True
    return not (word.endswith(("ed", "ing", "tion")) or (word.endswith("s") and not word.endswith("ss")))


def commits_since(since: str, folder: Path) -> list[tuple[str, str]] | str:
    """Returns (hash, message) of each commit beyond ``since``, newest first; or why that cannot be told."""
    if not (folder / ".git").exists():
        return f"{folder} is no repository"
    try:
        _git(folder, "merge-base", "--is-ancestor", since, "HEAD")
        listed = _git(folder, "log", "--no-merges", f"--format=%H%n%B{SEPARATOR}", f"{since}..HEAD")
    except FileNotFoundError:
        return "git is not installed"
    except subprocess.CalledProcessError as error:
        return error.stderr.strip() or f"{since[:12]} is no ancestor of HEAD"
    records = (record.strip("\n").partition("\n") for record in listed.split(SEPARATOR) if record.strip("\n"))
    return [(commit, message) for commit, _, message in records]


def _git(folder: Path, *arguments: str) -> str:
    """Returns the output of a git command. Raises CalledProcessError, or FileNotFoundError where there is no git."""
    return subprocess.run(
        ["git", "-C", folder, "-c", "log.showSignature=false", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout


def main() -> int:
    """Returns 0 when every message is as it should be, or cannot be had; else 1, after naming commits and faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", default=FIRST, metavar="COMMIT")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args()
    commits = commits_since(options.since, options.folder)
    if isinstance(commits, str):
        print(f"Commit messages were not checked: {commits}.")
        return 0
    bad = 0
    for commit, message in commits:
        if faults := faults_of(message):
            bad += 1
            print(f"{commit[:10]} {message.splitlines()[0] if message else ''}", file=sys.stderr)
            print("".join(f"    {fault}\n" for fault in faults), end="", file=sys.stderr)
    print(f"Commit messages: {len(commits)} checked, {bad} to be written again (git rebase -i, 'reword').")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
