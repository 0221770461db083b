# SPDX-License-Identifier: Apache-2.0
"""Previews become fast without a pause, and finals stay exact."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import subprocess
import sys
import time
import weakref
import zipfile
from types import SimpleNamespace

import psutil
import pytest
import torch

from effigy.generators import PreviewPainter, load_generator
from effigy.generators.checkpoints import write_own
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.generators.networks.stylegan3 import StyleGAN3
from effigy.generators.previews import painter as painting
from effigy.generators.previews.compiled import Compilation, prune
from effigy.generators.previews.painter import Graphed, preview_dtype
from effigy_protocol.files import digest

from ..closeness import assert_same, roundings_of, typical_error
from .devices import ALL_DEVICES, DEVICES

HALF_ROUNDINGS = 22  # ``small`` has eleven convolutions, each of which rounds its input and its output


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Returns the file of a small generator."""
    network = StyleGAN2(StyleGAN2Config(8, 8, (16, 16, 16, 16), 2, conv_clamp=256.0))
    initialize(network)
    path = tmp_path_factory.mktemp("generator") / "g.safetensors"
    write_own(path, network.config, network.state_dict())
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Returns the file of one that compiles in a third of the time, for tests of the compilation only."""
    network = StyleGAN2(StyleGAN2Config(8, 8, (4, 4), 1))
    initialize(network)
    path = tmp_path_factory.mktemp("tiny") / "g.safetensors"
    write_own(path, network.config, network.state_dict())
    return path


@pytest.fixture()
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFIGY_CACHE", str(tmp_path))
    monkeypatch.setattr(painting, "WORTH_COMPILING", 3)
    return tmp_path / "compiled"


def paint_until(painter, ws, state, seconds=800):
    end = time.monotonic() + seconds
    while painter.state != state and time.monotonic() < end:
        picture = painter(ws)
        time.sleep(0.05)
    assert painter.state == state
    return picture


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_previews_are_compiled_behind_the_painters_back(small, cache):
    generator = load_generator(small, "cpu")
    ws = generator.map(torch.ones(1, 8))
    exact = generator.synthesize(ws)
    threads = torch.get_num_threads()
    painter = PreviewPainter(generator, small, digest(small))
    assert [torch.equal(painter(ws), exact) for _ in range(3)] == [True] * 3
    assert painter.state == "compiling"
    assert painter.is_exact, "what was painted came from the plain network"
    fast = paint_until(painter, ws, "fast")
    fast = painter(ws)
    assert not painter.is_exact
    if preview_dtype(generator) == torch.bfloat16:  # above 16 × 16: input and output of two convolutions
        assert (fast - exact).abs().mean() <= typical_error(4, exact.std(), torch.bfloat16)
    else:
        assert_same(fast, exact, roundings_of(generator))
    assert torch.get_num_threads() == threads
    [package] = cache.glob("*")
    assert cache.stat().st_mode & 0o077 == 0, "nobody else may put code there"

    with zipfile.ZipFile(package) as archive:
        sources = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".cpp"))
    assert b"#pragma omp parallel" in sources, "its loops are for as many threads as there are"

    again = PreviewPainter(generator, small, digest(small))
    assert again.state == "fast", "the next session needs no compiler"
    assert torch.equal(again(ws), fast)

    package.write_bytes(b"not native code")
    damaged = PreviewPainter(generator, small, digest(small))
    assert damaged.state == "plain"
    assert torch.equal(damaged(ws), exact)
    assert not package.exists()


def test_without_a_compiler_previews_stay_plain(tiny, cache, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/c++")
    monkeypatch.setenv("PATH", "/nowhere")
    generator = load_generator(tiny, "cpu")
    ws = generator.map(torch.ones(1, 8))
    painter = PreviewPainter(generator, tiny, digest(tiny))
    for _ in range(3):
        painter(ws)
    end = time.monotonic() + 600
    while painter.state == "compiling" and time.monotonic() < end:
        painter(ws)
        time.sleep(0.05)
    assert painter.state == "plain"
    assert torch.equal(painter(ws), generator.synthesize(ws))
    assert not list(cache.glob("*"))


@pytest.mark.parametrize("device", DEVICES)
def test_previews_never_come_from_a_file_that_took_the_place_of_the_loaded_one(device, tiny, small, cache, tmp_path):
    path = shutil.copy(tiny, tmp_path / "g.safetensors")
    generator, known = load_generator(path, device), digest(path)
    ws = generator.map(torch.ones(1, 8, device=device))
    shutil.copy(small, path)
    painter = PreviewPainter(generator, path, known)
    for _ in range(3):
        painter(ws)
    if device == "cpu":
        assert painter.state == "compiling"
    paint_until(painter, ws, "plain")
    assert torch.equal(painter(ws), generator.synthesize(ws))
    assert painter.is_exact
    assert not list(cache.glob("*")), "nor do those of later sessions"


def test_a_closed_painter_leaves_no_process(tiny, cache):
    generator = load_generator(tiny, "cpu")
    threads = torch.get_num_threads()
    painter = PreviewPainter(generator, tiny, digest(tiny))
    for _ in range(3):
        painter(generator.map(torch.ones(1, 8)))
    child = painter._compilation._child
    painter.close()
    assert child.poll() is not None
    assert torch.get_num_threads() == threads
    assert not list(cache.glob("*"))


def test_a_cache_that_others_may_write_to_is_not_used(tiny, cache):
    cache.mkdir()
    cache.chmod(0o777)
    generator = load_generator(tiny, "cpu")
    painter = PreviewPainter(generator, tiny, digest(tiny))
    for _ in range(5):
        painter(generator.map(torch.ones(1, 8)))
    assert painter.state != "compiling"
    assert not list(cache.iterdir())


def test_a_compilation_that_fails_says_so_and_leaves_nothing(tmp_path):
    compilation = Compilation(tmp_path / "absent.safetensors", torch.float32, tmp_path / "p.pt2")
    assert compilation.package() is None
    assert compilation.ended()
    assert not list(tmp_path.iterdir())


def test_a_compilation_ends_with_a_parent_that_is_killed(tiny, tmp_path):
    script = (
        "import time; from pathlib import Path; import torch\n"
        "from effigy.generators.previews.compiled import Compilation\n"
        f"compilation = Compilation(Path({str(tiny)!r}), torch.float32, Path({str(tmp_path / 'p.pt2')!r}))\n"
        "print(compilation._child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
    time.sleep(3.0)  # until it compiles
    parent.kill()
    parent.wait()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(300)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not list(tmp_path.iterdir())


def test_only_the_newest_packages_are_kept(tmp_path):
    for number in range(9):
        path = tmp_path / f"{number}.pt2"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    prune(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["3", "4", "5", "6", "7", "8"]


@pytest.mark.parametrize("device", ALL_DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_generator_paints_the_same_on_every_device(small, device, dtype):
    exact = load_generator(small, "cpu")
    generator = load_generator(small, device, dtype)
    ws = exact.map(torch.ones(2, 8))
    with torch.inference_mode():
        pictures, wanted = generator.synthesize(ws.to(device)).cpu(), exact.synthesize(ws)
    roundings = roundings_of(exact) if dtype == torch.float32 else HALF_ROUNDINGS
    assert_same(pictures, wanted, roundings, dtype)
    assert (pictures - wanted).abs().mean() <= typical_error(roundings, wanted.std(), dtype)


class FakeCuda:
    """Imitates on the CPU the part of ``torch.cuda`` that a recording uses: replaying paints the same picture."""

    def __init__(self):
        self.recording = None
        self.waited = []

    def Stream(self):  # noqa: N802  torch's name
        return SimpleNamespace(wait_stream=self.waited.append)

    current_stream = Stream

    def CUDAGraph(self):  # noqa: N802
        def replay():
            graphed = self.graphed()
            graphed._picture.copy_(graphed._generator.synthesize(graphed._ws))

        return SimpleNamespace(replay=replay)

    @staticmethod
    def nothing(_):
        return contextlib.nullcontext()


@pytest.fixture(params=DEVICES)
def graph_device(request, monkeypatch):
    """Returns where a graph can be recorded, and how a test on the CPU tells the imitation whose graph it is."""
    fake = FakeCuda()
    if request.param == "cpu":
        for name in ("Stream", "current_stream", "CUDAGraph"):
            monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
        for name in ("stream", "graph", "device"):
            monkeypatch.setattr(torch.cuda, name, fake.nothing)
    return request.param, fake


def test_a_recorded_graph_paints_what_the_network_paints(small, graph_device):
    device, fake = graph_device
    generator = load_generator(small, device, torch.float16)
    graphed = Graphed(load_generator(small, device, torch.float16))  # to which nobody else refers
    fake.graphed = weakref.ref(graphed)
    gc.collect()
    pictures = []
    for seed in range(3):
        ws = generator.map(torch.randn(1, 8, generator=torch.Generator().manual_seed(seed)).to(device))
        with torch.inference_mode():
            pictures.append(graphed(ws))
            assert_same(pictures[-1], generator.synthesize(ws), HALF_ROUNDINGS, torch.float16)
    assert not torch.equal(pictures[0], pictures[1]), "what was painted before is the caller's"


def test_previews_of_a_generator_on_cuda_are_recorded(small, graph_device, monkeypatch):
    device, fake = graph_device
    generator = load_generator(small, device)
    if device == "cpu":
        monkeypatch.setattr(type(generator), "device", property(lambda self: SimpleNamespace(type="cuda")))
        real = load_generator
        on_the_cpu = lambda path, device, dtype, sha256: real(path, "cpu", dtype, sha256=sha256)  # noqa: E731
        monkeypatch.setattr(painting, "load_generator", on_the_cpu)
        monkeypatch.setattr(painting.Graphed, "__init__", record_on_the_cpu(painting.Graphed.__init__))
    painter = PreviewPainter(generator, small, digest(small))
    assert painter.state == "fast"
    fake.graphed = lambda: painter._paint
    ws = generator.map(torch.ones(1, 8, device=device))
    exact = generator.synthesize(ws)
    assert (painter(ws) - exact).abs().mean() <= typical_error(HALF_ROUNDINGS, exact.std(), torch.float16)
    painter.close()


def record_on_the_cpu(init):
    def patched(self, generator):
        init(self, SimpleNamespace(map=generator.map, synthesize=generator.synthesize, z_dim=8, device="cpu"))

    return patched


def test_stylegan3_is_previewed_in_float32(monkeypatch):
    monkeypatch.setattr(painting, "has_native_bfloat16", lambda: True)
    assert preview_dtype(StyleGAN2(StyleGAN2Config(8, 8, (4, 4), 1))) == torch.bfloat16
    alias_free = StyleGAN3(StyleGAN3Config(4, 4, 16, channel_base=64, channel_max=3))
    assert preview_dtype(alias_free) == torch.float32


def test_where_nothing_can_be_compiled_previews_are_the_generator_s_own(tmp_path):
    """As on a Mac's GPU, which these tests have never met."""

    class Elsewhere:
        device = torch.device("mps")

        def synthesize(self, ws):
            return ws

    painter = PreviewPainter(Elsewhere(), tmp_path / "generator.safetensors", "")
    assert painter(torch.ones(1)).item() == 1
    assert (painter.state, painter.is_exact) == ("plain", True)
    painter.close()
