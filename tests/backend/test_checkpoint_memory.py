# SPDX-License-Identifier: Apache-2.0
"""The memory that a file costs is bounded by its size."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import tracemalloc

import pytest
import torch

from effigy.generators import GeneratorFileError, load_generator
from effigy.generators.checkpoints import write_own
from effigy.generators.checkpoints.nvidia import _tensors
from effigy.generators.checkpoints.tensors import TensorFile
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.generators.networks.stylegan3 import StyleGAN3

from .checkpoint_files import (
    nvidia,
    one_tensor,
    parity,
    rebuilt,
    rosinality,
    storage_stream,
)


@pytest.fixture()
def traced():
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("count", "shape", "stride"),
    [
        (2**40, (2**40,), (1,)),
        (3, (2**40,), (1,)),
        (3, (2**20, 2**20), (0, 0)),
        (3, (3,), (2**40,)),
        (3, (-3,), (1,)),
        (-1, (3,), (1,)),
        (3, (4,), (1,)),
        (2**62, (3,), (1,)),
    ],
)
def test_a_tensor_larger_than_its_file_costs_no_memory(tmp_path, traced, count, shape, stride):
    path = tmp_path / "large.pkl"
    one_tensor(path, rebuilt(storage_stream(count), shape, stride))
    with pytest.raises(GeneratorFileError, match=r"large\.pkl.*(announced|impossible|unknown kind)"):
        load_generator(path, "cpu")
    assert traced() < 2e6


# Loads the given files and prints for each the peak growth of the process in MiB.
GROWTH = """
import sys
from effigy.generators import GeneratorFileError, load_generator
def resident(name):
    [line] = [line for line in open("/proc/self/status") if line.startswith(name)]
    return int(line.split()[1]) / 1024
load_generator(sys.argv[1], "cpu")  # what is imported and allocated once
for path in sys.argv[2:]:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before, said = resident("VmRSS"), "loaded"
    try:
        load_generator(path, "cpu")
    except GeneratorFileError as error:
        said = str(error)
    print(resident("VmHWM") - before, said)
"""


def growths(valid, paths):
    """Returns peak memory (MiB) of loading each of ``paths`` after ``valid``, and the outcome."""
    command = [sys.executable, "-c", GROWTH, str(valid), *map(str, paths)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [(float(line.split()[0]), line) for line in said]


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
def test_files_cost_no_more_memory_than_they_explain(tmp_path):
    small = StyleGAN3(StyleGAN3Config(4, 4, 16, channel_base=64, channel_max=3))
    initialize(small)
    write_own(tmp_path / "small.safetensors", small.config, small.state_dict())

    tensor = rebuilt(storage_stream(2**40), (2**40,), (1,))
    one_tensor(tmp_path / "announced.pkl", tensor)

    # Filters grow with the ratio of sampling rates: for a file with falling rates they would fill gigabytes.
    content = (tmp_path / "small.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    config = json.loads(header["__metadata__"]["stylegan3"]) | {
        "img_resolution": 8192, "first_cutoff": 4096.0, "first_stopband": 8192.0, "last_stopband_rel": 2**-11,
        "use_radial_filters": True, "filter_size": 16, "num_layers": 2, "num_critical": 0,
    }  # fmt: skip
    header["__metadata__"]["stylegan3"] = json.dumps(config)
    text = json.dumps(header).encode()
    (tmp_path / "filters.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])

    # A mapping from 8192 numbers to one is a small file, but ten thousand of its latents are large.
    wide = StyleGAN2(StyleGAN2Config(8192, 1, (1, 1, 1), 1))
    initialize(wide)
    rosinality(tmp_path / "average.pt", wide.state_dict(), training=True)

    # The allocator's share varies (18 to 65 MiB for the average); with all latents at once it was 312 MiB.
    files = [tmp_path / name for name in ("announced.pkl", "filters.safetensors", "average.pt")]
    found = growths(tmp_path / "small.safetensors", files)
    assert len(found) == len(files)
    for grown, said in found:
        assert grown < 150, said


def test_a_network_larger_than_its_file_takes_no_memory(tmp_path, traced):
    kwargs, state, _ = parity("sg3r-32")
    path = nvidia(tmp_path / "g.pkl", kwargs | {"channel_base": 10**15, "channel_max": 10**9}, state)
    with pytest.raises(GeneratorFileError, match=r"g\.pkl"):
        load_generator(path, "cpu")
    assert traced() < 1e7


def test_copies_of_one_list_are_refused(tmp_path, traced):
    # What a pickler writes for many dictionaries of the same pairs: two bytes each, but each is as large.
    pairs = b"]\x94(" + b"".join(b"X\x05\0\0\0" + b"%05d" % number + b"N\x86" for number in range(10_000)) + b"e"
    path = tmp_path / "copies.pkl"
    path.write_bytes(b"\x80\x04ccollections\nOrderedDict\n\x94" + pairs + b"(" + b"h\0h\1\x85R" * 20_000 + b"l.")
    with pytest.raises(GeneratorFileError, match=r"copies\.pkl.*again and again"):
        load_generator(path, "cpu")
    assert traced() < 2e7


def test_weights_that_share_their_numbers_are_refused(tmp_path):
    network = StyleGAN2(StyleGAN2Config(64, 64, (3, 3, 3, 3), 40))
    initialize(network)
    path = rosinality(tmp_path / "g.pt", network.state_dict())
    load_generator(path, "cpu")
    file = torch.load(path, weights_only=True)
    shared = torch.zeros(64, 64, dtype=torch.uint8)
    state = {n: shared if re.fullmatch(r"style\.\d+\.weight", n) else v for n, v in file["g_ema"].items()}
    torch.save(file | {"g_ema": state}, path)
    with pytest.raises(GeneratorFileError, match=r"g\.pt .*announces \d+ weights"):
        load_generator(path, "cpu")


def test_networks_that_are_not_wanted_are_not_read(tmp_path, traced):
    kwargs, state, _ = parity("sg2-32")
    path = nvidia(tmp_path / "g.pkl", kwargs, {**state, "ballast": torch.zeros(4_000_000)})
    with path.open("rb") as file:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        names = [name for name, _ in _tensors(TensorFile(file).load_pickle()["G_ema"])]
        assert "ballast" in names
        assert traced() - before < 4e6, "48 MB of ballast stay in the file"


def test_who_writes_into_a_generator_file_does_not_change_its_pictures(tmp_path):
    path = tmp_path / "g.safetensors"
    network = StyleGAN2(StyleGAN2Config(z_dim=8, w_dim=8, mapping_layers=2, channels=(8, 8)))
    initialize(network)
    write_own(path, network.config, network.state_dict())
    generator = load_generator(path, "cpu")
    ws = generator.map(torch.ones(1, 8))
    before = generator.synthesize(ws)
    (start,) = struct.unpack("<Q", path.read_bytes()[:8])
    with path.open("r+b") as file:
        file.seek(8 + start)
        file.write(bytes(path.stat().st_size - 8 - start))
    assert torch.equal(generator.synthesize(ws), before)
