# SPDX-License-Identifier: Apache-2.0
"""Pictures and person files that mean harm: a part of what ``recipes/people/hostile.py`` tries."""

from __future__ import annotations

import resource
import sys

import pytest

from effigy.picture_files import PictureFileError, decode_picture
from recipes.people import hostile

_MOST = 512 << 10  # KiB more at the peak: four generators are kept, and the largest person's file has 8 MiB


def peak() -> int:
    """KiB of memory that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture(scope="module")
def started() -> list[str]:
    """Programs started, pickles read and connections opened since."""
    sys.addaudithook(hostile._watch)  # it cannot be taken off again, and only counts
    hostile.started.clear()
    return hostile.started


def test_a_hostile_persons_file_opens_harmlessly_or_is_refused(default_model, started):
    files, before = list(hostile.persons(default_model, 56)), peak()
    became = [hostile.open_one(default_model, data) for data in files]
    assert peak() - before < _MOST
    assert started == []
    assert became.count("refused") > len(became) / 2


def test_a_hostile_picture_is_decoded_harmlessly_or_refused(started):
    refused = []
    for data in hostile.pictures(60):
        try:
            picture = decode_picture(data)
            assert picture.ndim == 3
            assert max(picture.shape[:2]) <= 2048
        except PictureFileError as error:
            refused.append(str(error))
    assert started == []
    assert any("more than 64 million" in each for each in refused), "bombs are told by their header"
    assert len(refused) > 15
