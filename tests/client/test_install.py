# SPDX-License-Identifier: Apache-2.0
"""The backend's installation, against a package index on loopback with small wheels that stand for the real ones."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from effigy_client.install import (
    Addresses,
    Folder,
    Installation,
    Installed,
    InstallError,
    Plan,
    Removal,
    Wheel,
    carry_over,
    find_flavour,
    make_plan,
    read_wheel,
)
from effigy_client.install.download import CancelledError, fetch
from effigy_client.install.run import _configured, environment

from .package_index import serve
from .wheels import DOCTOR, write_wheel

NOWHERE = Addresses("http://127.0.0.1:9/simple", "http://127.0.0.1:9/cuda", "http://127.0.0.1:9/cpu")


@pytest.fixture()
def served(tmp_path, monkeypatch):
    """The index, in whose ``root`` a test lays wheels, and its address."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    root = tmp_path / "served"
    root.mkdir()
    with serve(root) as index:
        yield index


def backend(served, version="9.0", code=DOCTOR):
    """A backend's wheel that is served, as an add-on would describe it."""
    needs = "Requires-Dist: torch>=2.6\nRequires-Dist: helper_of_effigy\n"
    path = write_wheel(served.root, "effigy_faces", version, code, needs=needs, script="effigy = effigy_faces:app")
    return wheel(path, f"{served.address}/files")


def wheel(path: Path, address: str = "") -> Wheel:
    data = path.read_bytes()
    return Wheel(path.name, path.name.split("-")[1], hashlib.sha256(data).hexdigest(), len(data), address)


def addresses(served) -> Addresses:
    return Addresses(f"{served.address}/simple", f"{served.address}/cuda", f"{served.address}/cpu")


def no_tool(name: str) -> None:
    return None


@pytest.fixture(scope="session")
def environment_made(tmp_path_factory):
    """An environment with pip, which takes seconds to make."""
    made = tmp_path_factory.mktemp("environment") / "env"
    subprocess.run([sys.executable, "-I", "-m", "venv", made], check=True, timeout=500)
    return made


@pytest.fixture()
def soon(environment_made, monkeypatch):
    """Has installations begin with a copy of that environment."""
    monkeypatch.setattr(
        Plan, "environment", lambda plan, again=False: ["cp", "-a", str(environment_made), str(plan.folder.env)]
    )


def installed(plan, **options):
    run = Installation(plan, **options)
    run.start()
    return run.wait(500)


def test_from_nothing_to_a_backend_then_updated_repaired_and_removed(served, tmp_path):
    write_wheel(served.root, "torch", "2.7.0", "")
    write_wheel(served.root, "helper_of_effigy", "1.0", "")
    folder = Folder(tmp_path / "Effigy here" / "backend")  # a space in its name, as on many machines

    def plan(of: Wheel):
        return make_plan(folder, of, flavour="cpu", addresses=addresses(served), which=no_tool)

    first = installed(plan(backend(served)))
    assert first.outcome == "done", first.error
    assert first.share == 1
    assert folder.installed() == Installed("cpu", plan(backend(served)).wheel.sha256, "9.0", True)
    assert "all is well ['doctor']" in folder.log.read_text()
    assert "/cpu/torch/" in served.asked
    assert not folder.downloads.exists()

    served.asked.clear()
    assert installed(plan(backend(served))).outcome == "done"
    assert served.asked == [], "what is there is not fetched again"

    update = installed(plan(backend(served, "9.1")))
    assert update.outcome == "done", update.error
    assert folder.installed().version == "9.1"
    assert not [each for each in served.asked if "torch-2" in each], "PyTorch stays"

    shutil.rmtree(next(folder.env.rglob("torch.py")).parent)  # site-packages are gone
    broken = installed(plan(backend(served, "9.1")))
    assert broken.outcome == "failed"
    assert "the backend was installed and does not work" in broken.error
    assert not folder.installed().complete
    mended = installed(plan(backend(served, "9.1")), repair=True)
    assert mended.outcome == "done", mended.error

    (folder.path / "mine.txt").write_text("a user's")
    removal = Removal(folder)
    removal.start()
    assert removal.wait(500).outcome == "done", removal.progress.error
    assert [path.name for path in folder.path.iterdir()] == ["mine.txt"]
    assert not folder.is_free


def test_what_cannot_be_removed_is_said_and_can_be_tried_again(tmp_path, monkeypatch):
    folder = Folder(tmp_path / "backend")
    folder.remember(Installed("cpu"))
    folder.env.mkdir()

    def busy(path: Path) -> None:
        raise PermissionError(errno.EACCES, "it is in use", str(path))

    with monkeypatch.context() as used:
        used.setattr(shutil, "rmtree", busy)
        first = Removal(folder)
        first.start()
        assert first.wait(300).error == f"{folder.env} cannot be removed (it is in use)"
    assert folder.is_ours
    again = Removal(folder)
    again.start()
    assert again.wait(300).outcome == "done"
    assert not folder.path.exists()


def test_a_failed_step_says_why_and_the_next_run_goes_on(served, tmp_path, soon):
    folder = Folder(tmp_path / "backend")
    plan = make_plan(folder, backend(served), flavour="cpu", addresses=addresses(served), which=no_tool)
    failed = installed(plan)
    assert failed.outcome == "failed"
    assert failed.error.startswith("PyTorch cannot be installed: ERROR: No matching distribution found for torch")
    assert str(folder.log) in failed.error
    write_wheel(served.root, "torch", "2.7.0", "")
    write_wheel(served.root, "helper_of_effigy", "1.0", "")
    made = (folder.env / "pyvenv.cfg").stat().st_mtime_ns
    again = installed(plan)
    assert again.outcome == "done", again.error
    assert (folder.env / "pyvenv.cfg").stat().st_mtime_ns == made, "the environment was kept"


def test_all_of_it_can_come_from_a_folder(served, tmp_path, soon, monkeypatch):
    """Of any name, also where pip is configured to install elsewhere."""
    (tmp_path / "pip.conf").write_text(
        f"[install]\nuser = true\ntarget = {tmp_path / 'elsewhere'}\ndry-run = true\n[global]\nrequire-hashes = true\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name in ("PIP_PREFIX", "PIP_ROOT", "PIP_DRY_RUN"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    carried = tmp_path / "what's; to #carry% größer" / "effigy-wheels"
    carried.mkdir(parents=True)
    write_wheel(carried, "torch", "2.7.0", "")
    write_wheel(carried, "helper_of_effigy", "1.0", "")
    shutil.copy(served.root / backend(served).name, carried)
    plan = make_plan(
        Folder(tmp_path / "backend"), wheel(next(carried.glob("effigy*")), "https://example.org"), flavour="cpu",
        offline=carried, addresses=NOWHERE, which=no_tool,
    )  # fmt: skip
    assert not plan.needs_network
    assert plan.download_gb == 0
    done = installed(plan)
    assert done.outcome == "done", done.error
    assert served.asked == []


def test_what_is_cancelled_ends_at_once_and_leaves_no_process(served, tmp_path, soon):
    big = write_wheel(served.root, "torch", "2.7.0", "x = 0\n" * 200_000)
    served.slow = 0.5
    folder = Folder(tmp_path / "backend")
    plan = make_plan(folder, backend(served), flavour="cpu", addresses=addresses(served), which=no_tool)
    run = Installation(plan)
    run.start()
    end = time.monotonic() + 300
    while f"/files/{big.name}" not in served.asked:
        assert time.monotonic() < end
        assert run.progress.outcome == "running", run.progress
        time.sleep(0.05)
    child = run._child
    run.cancel()
    assert run.wait(300).outcome == "cancelled"
    assert child is not None
    assert child.poll() is not None
    assert not folder.installed().complete
    assert folder.is_free


def test_a_download_goes_on_where_it_was_cut_off(served, tmp_path, monkeypatch):
    monkeypatch.setattr("effigy_client.install.download._WAIT_S", 0.0)
    path = write_wheel(served.root, "effigy_faces", "9.0", "x = 0\n" * 100_000)
    told, of = [], wheel(path)
    served.cut = 2
    got = fetch(f"{served.address}/files/{path.name}", tmp_path / "got.whl", of.size, of.sha256, threading.Event(),
                lambda done, size: told.append((done, size)))  # fmt: skip
    assert got.read_bytes() == path.read_bytes()
    assert len(served.asked) == 3
    assert all("bytes=" in each for each in served.asked[1:])
    assert told[-1] == (of.size, of.size)
    served.asked.clear()
    fetch(f"{served.address}/files/{path.name}", got, of.size, of.sha256, threading.Event(), lambda done, size: None)
    assert served.asked == []


def test_a_download_that_was_begun_of_another_file_begins_anew(served, tmp_path, monkeypatch):
    """As after a release that was built again under the same name."""
    monkeypatch.setattr("effigy_client.install.download._WAIT_S", 0.0)
    path = write_wheel(served.root, "effigy_faces", "9.0", "x = 0\n" * 1000)
    of, there = wheel(path), tmp_path / "got.whl"
    for begun in (of.size // 2, of.size, of.size + 1):
        there.with_name("got.whl.part").write_bytes(bytes(begun))
        got = fetch(f"{served.address}/files/{path.name}", there, of.size, of.sha256, threading.Event(),
                    lambda done, size: None)  # fmt: skip
        assert got.read_bytes() == path.read_bytes()
        there.unlink()


def test_a_download_that_is_another_file_is_refused(served, tmp_path, monkeypatch):
    monkeypatch.setattr("effigy_client.install.download._WAIT_S", 0.0)
    path = write_wheel(served.root, "effigy_faces", "9.0", "")
    of, there, quiet = wheel(path), tmp_path / "got.whl", lambda done, size: None
    address = f"{served.address}/files/{path.name}"
    with pytest.raises(InstallError, match="its sha256 differs"):
        fetch(address, there, of.size, "0" * 64, threading.Event(), quiet)
    with pytest.raises(InstallError, match="is larger than the backend"):
        fetch(address, there, of.size - 1, of.sha256, threading.Event(), quiet)
    with pytest.raises(InstallError, match="the server says 404"):
        fetch(f"{address}.not", there, of.size, of.sha256, threading.Event(), quiet)
    with pytest.raises(InstallError, match="not an https address"):
        fetch("ftp://example.org/x.whl", there, of.size, of.sha256, threading.Event(), quiet)
    with pytest.raises(InstallError, match="see whether this machine is online"):
        fetch("http://127.0.0.1:9/x.whl", there, of.size, of.sha256, threading.Event(), quiet)
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(CancelledError):
        fetch(address, there, of.size, of.sha256, stopped, quiet)
    assert not there.exists()


def test_a_wheel_beside_the_zip_must_be_the_add_on_s(served, tmp_path):
    other = write_wheel(tmp_path, "effigy_faces", "9.0", "another = 1\n")
    plan = make_plan(
        Folder(tmp_path / "b"), backend(served), file=other, flavour="cpu", addresses=NOWHERE, which=no_tool
    )
    with pytest.raises(InstallError, match="not the backend of this release"):
        Installation(plan)._wheel()
    chosen = make_plan(Folder(tmp_path / "b"), None, file=other, flavour="cpu", which=no_tool)
    assert (chosen.wheel.version, chosen.wheel.sha256) == ("9.0", hashlib.sha256(other.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wheel": None}, "choose the backend's .whl file"),
        ({"wheel": None, "file": Path("/x/torch-2-py3-none-any.whl")}, "is not the backend"),
        ({"wheel": None, "file": Path("/x/effigy_faces-1-py3-none-any.whl")}, "cannot be read"),
        ({"wheel": Wheel("effigy_faces-1-py3-none-any.whl", "1", "0" * 64, 9)}, "the net has no effigy_faces"),
        ({"wheel": Wheel("e.whl", "1", "0" * 64, 9, "https://e.org"), "offline": Path("/x")}, "/x has no e.whl"),
    ],
)
def test_a_plan_that_cannot_be_made_says_what_to_choose(tmp_path, options, said):
    with pytest.raises(InstallError, match=said):
        make_plan(Folder(tmp_path / "b"), flavour="cpu", which=no_tool, **options)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").touch()
    folder = Folder(tmp_path)
    with pytest.raises(InstallError, match="choose an empty folder"):
        make_plan(folder, Wheel("e.whl", "1", "0" * 64, 9, "https://e.org"), which=no_tool)
    (tmp_path / "env").mkdir()
    for text in ('{"version": 3}', "[]", "3"):
        (tmp_path / "install.json").write_text(text)  # another program's
        folder.remove()
        folder.clear()
        assert not folder.is_free
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "env", "install.json"}


def test_a_full_disk_is_said_before_anything_is_done(served, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    folder = Folder(tmp_path / "backend")
    plan = make_plan(folder, backend(served), flavour="cuda", addresses=NOWHERE, which=no_tool)
    failed = installed(plan)
    assert "0.0 GB left, and about 10.5 are needed" in failed.error
    assert not folder.path.exists()


def test_the_bar_moves_while_pip_is_silent(tmp_path, monkeypatch):
    """By what the disk has less: pip says how far it is to terminals alone."""
    monkeypatch.setattr("effigy_client.install.run._LOOK_S", 0.01)
    free = [10e9]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(20e9, 0, free[0]))
    of = Wheel("effigy_faces-1-py3-none-any.whl", "1", "0" * 64, 9, "https://e.org")
    run = Installation(make_plan(Folder(tmp_path / "b"), of, flavour="cpu", which=no_tool))
    seen = []
    with run._share_by_disk("PyTorch", "backend", 2.0):
        for left, least in ((9e9, 0.39), (9.5e9, 0.39), (5e9, 0.74)):
            free[0] = left
            while run.progress.share < least:
                time.sleep(0.01)
            seen.append(run.progress.share)
    assert seen == sorted(seen), "it never goes back"
    assert seen[0] < 0.5 < 0.7 < seen[-1] <= 0.75


def test_the_plan_suits_the_machine(tmp_path):
    of = Wheel("e.whl", "1", "0" * 64, 9, "https://e.org")
    plan = make_plan(Folder(tmp_path / "b"), of, flavour="cuda", which=no_tool, python=Path("/blender/python"))
    assert plan.environment()[:2] == ["/blender/python", "-I"]
    assert "https://download.pytorch.org/whl/cu128" in plan.torch()
    assert plan.backend(Path("/w/e.whl"))[-1] == "file:///w/e.whl"
    assert (plan.download_gb, plan.disk_gb) == (3.0, 7.0)
    fast = make_plan(Folder(tmp_path / "b"), of, flavour="cpu", which={"uv": "/bin/uv"}.get)
    assert fast.environment()[:2] == ["/bin/uv", "venv"]
    assert fast.torch()[:3] == ["/bin/uv", "pip", "install"]
    told = carry_over(plan)
    for part in (
        "https://e.org/e.whl",
        "pip download",
        "whl/cu128",
        "effigy-wheels/torch-*.whl",  # the same PyTorch in both steps, whatever the package index has
        f"Python {sys.version_info[0]}.{sys.version_info[1]}",
    ):
        assert part in told


@pytest.mark.skipif(sys.platform == "darwin", reason="Macs have no CUDA")
def test_cuda_is_for_machines_with_a_card(tmp_path):
    def tool(text: str, code: int):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\necho '{text}'\nexit {code}\n")
        path.chmod(0o755)
        return {"nvidia-smi": str(path)}.get

    assert find_flavour(no_tool) == "cpu"
    assert find_flavour(tool("GPU 0: NVIDIA H100", 0)) == "cuda"
    assert find_flavour(tool("no devices were found", 6)) == "cpu"


def test_proxies_of_the_system_are_handed_on(monkeypatch, tmp_path):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy:3128", "no": "localhost"})
    monkeypatch.setenv("PYTHONPATH", "/blender")
    assert environment(tmp_path)["https_proxy"] == "http://proxy:3128"
    assert "PYTHONPATH" not in environment(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", "http://mine:1")
    assert "https_proxy" not in environment(tmp_path)
    assert environment(tmp_path)["TMPDIR"] == str(tmp_path), "large files go where there is room"
    monkeypatch.setenv("PIP_CERT", "/company.pem")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://example.org/simple")
    assert environment(tmp_path)["PIP_CERT"] == "/company.pem"
    assert "PIP_EXTRA_INDEX_URL" not in environment(tmp_path)
    assert environment(tmp_path)["PIP_CONFIG_FILE"] == os.devnull, "of which see the next test"


def test_pips_configuration_is_asked_about_the_network_alone(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\ncert = /c'ompany.pem\ntarget = /elsewhere\nproxy = http://a:1\n[install]\nproxy = http://b:1\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    asked = {"PIP_CERT": "/c'ompany.pem", "PIP_PROXY": "http://b:1"}
    assert asked.items() <= _configured(Path(sys.executable), tmp_path).items()
    assert "PIP_TARGET" not in _configured(Path(sys.executable), tmp_path)
    (tmp_path / "pip.conf").write_text("no settings")
    assert _configured(Path(sys.executable), tmp_path) == {}


SAID = {"name": "a.whl", "version": "1", "sha256": "0" * 64, "size": 1, "address": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        *(json.dumps(SAID | each) for each in ({"name": "../a.whl"}, {"name": 3}, {"sha256": "x"}, {"size": -1})),
    ],
)
def test_a_backend_json_that_is_none_says_nothing(tmp_path, text):
    (tmp_path / "backend.json").write_text(text)
    assert read_wheel(tmp_path / "backend.json") is None
    assert read_wheel(tmp_path / "absent.json") is None
    (tmp_path / "backend.json").write_text(json.dumps(SAID))
    assert read_wheel(tmp_path / "backend.json") == Wheel(**SAID)


def test_a_record_that_is_damaged_counts_as_none(tmp_path):
    folder = Folder(tmp_path / "b")
    folder.remember(Installed("cpu", "0", "1", True))
    assert folder.installed() == Installed(), "without an environment nothing is there"
    (folder.path / "install.json").write_text("{")
    assert folder.installed() == Installed()
    assert folder.is_free
