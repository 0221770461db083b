# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

# Before torch is imported. Tests work on little: threads that wait for each other at every layer would only take time
# from other processes. Tests of what threads change set their number themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as in backend/effigy/cli/__init__.py

import pytest
from hypothesis import settings

# An example may take any time on a busy machine: pytest's timeout is the limit.
settings.register_profile("effigy", deadline=None)
settings.load_profile("effigy")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for build_addon and blender_addon, which are not installed

collect_ignore = ["blender/inside"]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps tests away from the user's compiled generators."""
    os.environ["EFFIGY_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["EFFIGY_LPIPS"] = str(tmp_path_factory.mktemp("lpips"))  # not the files that somebody has


@pytest.fixture(scope="session", autouse=True)
def _say_what_ran(record_testsuite_property: Callable[[str, object], None]) -> None:
    """For the compatibility table, which is written from the tests' reports: see recipes/release."""
    import torch

    from effigy_protocol.version import VERSION

    said = {
        "effigy": VERSION,
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "gui": os.environ.get("EFFIGY_GUI_SUITE", ""),
    }
    for name, value in said.items():
        record_testsuite_property(name, value)


@pytest.fixture(scope="session")
def effigy_command() -> str:
    """Returns the path of the installed command line, for the add-on's preferences."""
    return str(Path(sys.executable).with_name("effigy"))


@pytest.fixture(scope="session")
def addon_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the add-on from this tree."""
    import build_addon

    return build_addon.build(None, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def default_model():
    """Loads the first default's face model on the CPU: tests know its figures, and it changes no more."""
    from effigy.faces import FIRST_BUNDLE, load_face_model

    return load_face_model(FIRST_BUNDLE, device="cpu")


@pytest.fixture(scope="session")
def planes_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first default's bundle, but for a generator that also paints alpha, normals and depth."""
    from effigy.faces import FIRST_BUNDLE
    from tests.planes_bundle import write_planes_bundle

    return write_planes_bundle(FIRST_BUNDLE, tmp_path_factory.mktemp("planes") / "planes.effigy")
