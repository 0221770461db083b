# SPDX-License-Identifier: Apache-2.0
"""Every format of weights is read as the official network; nothing in a file is executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from contextlib import suppress

import pytest
import torch

from backend.generators import GeneratorFileError, convert_generator, load_generator
from backend.generators.checkpoints import write_own
from backend.generators.checkpoints.nvidia import _tensors
from backend.generators.checkpoints.tensors import TensorFile
from backend.generators.mapping import initialize
from backend.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from backend.generators.stylegan3 import StyleGAN3, StyleGAN3Config

from .checkpoint_files import NAMES, Persistent, foreign_module, nvidia, parity, rosinality, tensorflow


def assert_official(path, data, clamped=True):
    """The generator in ``path`` computes what the official one computed."""
    generator = load_generator(path, "cpu")
    with torch.no_grad():
        torch.testing.assert_close(generator.map(data["z"]), data["w"], atol=1e-5, rtol=0)
        for latents, picture in (("w", "img_w"), ("w_trunc", "img_wtrunc"), ("wp", "img_wp")):
            made = generator.synthesize(data[latents])
            assert (made - data[picture]).abs().max() <= 1e-4 * data[picture].std()
    return generator


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_nvidias_snapshots_are_read(tmp_path, name, protocol):
    kwargs, state, data = parity(name)
    generator = assert_official(nvidia(tmp_path / "g.pkl", kwargs, state, protocol), data)
    assert generator.resolution == tuple(data["img_w"].shape[2:])


def test_a_snapshot_that_has_no_arguments_is_read_from_its_layers(tmp_path):
    _, state, data = parity("sg2-32")
    path = nvidia(tmp_path / "g.pkl", {"c_dim": 0, "conv_clamp": 256}, state)
    assert_official(path, data)


@pytest.mark.parametrize("protocol", [3, 4])
def test_the_tensorflow_tuple_is_read(tmp_path, protocol):
    kwargs, state, data = parity("sg2-32")
    assert_official(tensorflow(tmp_path / "g.pkl", kwargs, state, protocol), data)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_rosinalitys_files_are_read(tmp_path, zipped, training):
    _, state, data = parity("sg2-32")
    path = rosinality(tmp_path / "g.pt", state, zipped=zipped, training=training)
    if not training:
        assert_official(path, data)
        return
    generator = load_generator(path, "cpu")
    made = generator.synthesize(data["w"])
    assert (made - data["img_w"]).abs().max() <= 1e-4 * data["img_w"].std()
    mean = generator.map(torch.randn(5000, 64))[:, 0].mean(dim=0)
    assert (generator.w_avg - mean).norm() < 0.15 * mean.norm(), "w_avg is the mean of w"


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_file_paints_the_same_bits(tmp_path, name):
    kwargs, state, data = parity(name)
    source = nvidia(tmp_path / "g.pkl", kwargs, state)
    convert_generator(source, tmp_path / "g.safetensors")
    with torch.no_grad():
        pictures = [load_generator(p, "cpu").synthesize(data["w"]) for p in (source, tmp_path / "g.safetensors")]
    assert torch.equal(*pictures)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"img_channels": 1}, "1 channels"),
        ({"c_dim": 10}, "conditional"),
        ({"architecture": "resnet"}, "resnet"),
        ({"activation": "relu"}, "activation"),
    ],
)
def test_a_network_that_effigy_has_not_is_named(tmp_path, change, reason):
    kwargs, state, _ = parity("sg2-32")
    path = nvidia(tmp_path / "g.pkl", kwargs | change, state)
    with pytest.raises(GeneratorFileError, match=reason):
        load_generator(path, "cpu")


@pytest.fixture()
def traced():
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def one_tensor(path, tensor):
    """A snapshot whose generator has nothing but ``tensor``."""
    with foreign_module("torch_utils.persistence", _reconstruct_persistent_obj=lambda meta: None):
        module = Persistent("G", {"_parameters": {"x": tensor}, "_buffers": {}, "_modules": {}})
        path.write_bytes(pickle.dumps({"G_ema": module}))


def rebuilt(stream, shape, stride):
    """A tensor over the storage in ``stream``."""
    storage = Call(torch.storage._load_from_bytes, stream)
    return Call(torch._utils._rebuild_tensor_v2, storage, 0, shape, stride, False, {})


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (eval, "open({!r}, 'w')"),
        (getattr, "os", "system"),
        (torch.hub.load, "{}", "x"),
        (exec, "1"),
    ],
    ids=lambda call: call[0].__name__,
)
@pytest.mark.parametrize("place", ["top", "beside", "within", "tensor"])
def test_what_a_file_wants_to_run_is_refused(tmp_path, call, place):
    mark = tmp_path / "mark"
    function, *arguments = call
    evil = Call(function, *(a.format(str(mark)) for a in arguments))
    path = tmp_path / "evil.pkl"
    kwargs, state, _ = parity("sg2-32")
    if place == "top":
        path.write_bytes(pickle.dumps(evil))
    elif place == "beside":
        nvidia(path, kwargs, state, training_set_kwargs=evil)
    elif place == "within":
        nvidia(path, kwargs | {"conv_clamp": evil}, state)
    else:
        stream = io.BytesIO()
        torch.save(evil, stream, _use_new_zipfile_serialization=False)
        tensor = Call(
            torch._utils._rebuild_tensor_v2,
            Call(torch.storage._load_from_bytes, stream.getvalue()),
            0,
            (3,),
            (1,),
            False,
            {},
        )
        one_tensor(path, tensor)
    with pytest.raises(GeneratorFileError, match=r"evil\.pkl.*asks to run"):
        load_generator(path, "cpu")
    assert not mark.exists()


@pytest.mark.parametrize("container", ["zip", "legacy", "tensorflow", "own"])
def test_what_other_formats_want_to_run_is_refused(tmp_path, container):
    mark, path = tmp_path / "mark", tmp_path / "evil.pt"
    evil = Call(os.system, f"touch {mark}")
    kwargs, state, _ = parity("sg2-32")
    if container == "tensorflow":
        tensorflow(path, kwargs, state, truncation_psi=evil)
    elif container == "own":
        path.write_bytes(pickle.dumps(evil))
        path = path.rename(tmp_path / "evil.safetensors")
    else:
        torch.save({"g_ema": {}, "args": evil}, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(GeneratorFileError, match=r"evil\.(pt|safetensors)"):
        load_generator(path, "cpu")
    assert not mark.exists()


def test_embedded_source_is_never_run(tmp_path):
    kwargs, state, data = parity("sg2-32")
    mark = tmp_path / "mark"
    path = nvidia(tmp_path / "g.pkl", kwargs, state, source=f"open({str(mark)!r}, 'w')")
    assert_official(path, data)
    assert not mark.exists()


def storage_stream(count, data=b"\0" * 12):
    """torch.save's old stream of one storage that announces ``count`` floats."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", torch.FloatStorage, "0", "cpu", count, None) if value is Ellipsis else None

    stream = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(value, stream, protocol=2)
    Pickler(stream, protocol=2).dump(Ellipsis)
    pickle.dump(["0"], stream, protocol=2)
    return stream.getvalue() + struct.pack("<q", count) + data


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
    tensor = Call(
        torch._utils._rebuild_tensor_v2,
        Call(torch.storage._load_from_bytes, storage_stream(count)),
        0,
        shape,
        stride,
        False,
        {},
    )
    path = tmp_path / "large.pkl"
    one_tensor(path, tensor)
    with pytest.raises(GeneratorFileError, match=r"large\.pkl.*(announced|impossible|unknown kind)"):
        load_generator(path, "cpu")
    assert traced() < 2e6


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04N.",
        b"\x80\x04(.",
        b"\x80\x04B\xff\xff\xff\xff.",  # four gigabytes of bytes that are not there
        b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        b"\x80\x04]\x94h\x00a.",  # a list that holds itself
        b"\x80\x04})\x94\x86\x94s.",
        b"PK\x03\x04",
        b"\x80\x04" + b"(" * 100_000 + b".",
        b"\x80\x04" + b")\x85" + b"\x85" * 100_000 + b".",
        b"\x80\x04}" + b")" + b"2\x86" * 64 + b"Ns.",  # hashing this key would take for ever
        b"\x80\x04)" + b"2\x86" * 64 + b"2\x93.",  # so would making a name of it
        b"\x80\x04ccollections\nOrderedDict\n])" + b"2\x86" * 64 + b"N\x86a\x85R.",
        b"<html>404</html>",
    ],
)
def test_short_nonsense_gives_one_clear_error(tmp_path, content):
    path = tmp_path / "nonsense.pkl"
    path.write_bytes(content)
    with pytest.raises(GeneratorFileError, match=r"nonsense\.pkl"):
        load_generator(path, "cpu")


# Loads what it is told, and says by how many MiB the process grew at most.
GROWTH = """
import sys
from backend.generators import GeneratorFileError, load_generator
def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
load_generator(sys.argv[1], "cpu")  # what is imported and allocated once
before = peak()
try:
    load_generator(sys.argv[2], "cpu")
    print(peak() - before, "loaded")
except GeneratorFileError as error:
    print(peak() - before, error)
"""


def growth(valid, path):
    """Peak memory (MiB) of loading ``path`` after ``valid``, and what came of it."""
    command = [sys.executable, "-c", GROWTH, str(valid), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.split()[0]), said


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
def test_files_cost_no_more_memory_than_they_explain(tmp_path):
    small = StyleGAN3(StyleGAN3Config(4, 4, 16, channel_base=64, channel_max=3))
    initialize(small)
    write_own(tmp_path / "small.safetensors", small.config, small.state_dict())

    tensor = rebuilt(storage_stream(2**40), (2**40,), (1,))
    one_tensor(tmp_path / "announced.pkl", tensor)

    # Filters grow with the ratio of sampling rates: of a file whose rates fall they would fill gigabytes.
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

    # A mapping from 8192 numbers to one is a small file; ten thousand latents of it are not.
    wide = StyleGAN2(StyleGAN2Config(8192, 1, (1, 1, 1), 1))
    initialize(wide)
    rosinality(tmp_path / "average.pt", wide.state_dict(), training=True)

    # The allocator's share differs from run to run (18 to 65 MiB for the average); its latents at once were 312 MiB.
    for name in ("announced.pkl", "filters.safetensors", "average.pt"):
        grown, said = growth(tmp_path / "small.safetensors", tmp_path / name)
        assert grown < 150, said


def small_files(folder):
    """One file of each format, small enough to be damaged thousands of times."""
    network = StyleGAN2(StyleGAN2Config(4, 4, (3, 3, 3, 3), 4))
    initialize(network)
    kwargs, state = {"mapping_kwargs": {"num_layers": 4}}, network.state_dict()
    yield nvidia(folder / "ada.pkl", kwargs, state, 3)
    alias_free = StyleGAN3(StyleGAN3Config(4, 4, 16, channel_base=64, channel_max=3))
    initialize(alias_free)
    kwargs3 = {"img_resolution": 16, "channel_base": 64, "channel_max": 3}
    yield nvidia(folder / "sg3.pkl", kwargs3, alias_free.state_dict(), 4)
    yield tensorflow(folder / "tf.pkl", kwargs, state)
    yield rosinality(folder / "zip.pt", state)
    yield rosinality(folder / "legacy.pt", state, zipped=False, training=True)
    convert_generator(folder / "ada.pkl", folder / "own.safetensors")
    yield folder / "own.safetensors"


def test_random_damage_never_raises_anything_else_nor_runs_anything(tmp_path):
    dice = random.Random(0)
    path, mark = tmp_path / "damaged", tmp_path / "mark"
    hostile = tmp_path / "hostile.pkl"
    kwargs, _, _ = parity("sg2-32")
    nvidia(hostile, kwargs, {}, training_set_kwargs=Call(os.system, f"touch {mark}"))
    good = hostile.read_bytes()
    for _ in range(1000):
        bad = bytearray(good)
        for _ in range(dice.choice((1, 3))):
            bad[dice.randrange(len(bad))] ^= dice.randrange(1, 256)
        path.write_bytes(bad)
        with pytest.raises(GeneratorFileError, match="damaged"):
            load_generator(path, "cpu")
    assert not mark.exists()
    for source in list(small_files(tmp_path)):
        load_generator(source, "cpu")
        good = source.read_bytes()
        for round_number in range(340):
            bad = bytearray(good)
            if round_number % 5 == 0:
                bad = bad[: dice.randrange(len(bad))]
            else:
                for _ in range(dice.choice((1, 1, 3, 30))):
                    bad[dice.randrange(len(bad))] ^= dice.randrange(1, 256)
            path.write_bytes(bad)
            try:
                load_generator(path, "cpu")
            except GeneratorFileError as error:
                assert str(path) in str(error)  # noqa: PT017  it may load as well


def nested(depth):
    """A tuple that holds itself twice, so many times: hashing or printing it takes 2^depth steps."""
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


def test_values_that_take_for_ever_are_not_looked_into(tmp_path):
    kwargs, state, _ = parity("sg2-32")
    for name in ("architecture", "activation", "img_channels", "conv_clamp"):
        with suppress(GeneratorFileError):
            load_generator(nvidia(tmp_path / "g.pkl", kwargs | {name: nested(64)}, state), "cpu")


def test_modules_that_share_modules_are_refused(tmp_path):
    path = tmp_path / "g.pkl"
    with foreign_module("torch_utils.persistence", _reconstruct_persistent_obj=lambda meta: None):
        module = Persistent("G", {"_modules": {}})
        for _ in range(64):
            module = Persistent("G", {"_modules": {"a": module, "b": module}})
        path.write_bytes(pickle.dumps({"G_ema": module}))
    with pytest.raises(GeneratorFileError, match="contain each other"):
        load_generator(path, "cpu")


def test_a_network_larger_than_its_file_takes_no_memory(tmp_path, traced):
    kwargs, state, _ = parity("sg3r-32")
    path = nvidia(tmp_path / "g.pkl", kwargs | {"channel_base": 10**15, "channel_max": 10**9}, state)
    with pytest.raises(GeneratorFileError, match=r"g\.pkl"):
        load_generator(path, "cpu")
    assert traced() < 1e7


def test_copies_of_one_list_are_refused(tmp_path, traced):
    # What a pickler writes for many dictionaries of the same pairs: two bytes a piece, and each would be as large.
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
    with pytest.raises(GeneratorFileError, match=r"g\.pt announces \d+ weights"):
        load_generator(path, "cpu")


def test_a_compressed_archive_is_refused(tmp_path):
    _, state, _ = parity("sg2-32")
    source, bomb = rosinality(tmp_path / "g.pt", state), tmp_path / "bomb.pt"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(GeneratorFileError, match="compressed"):
        load_generator(bomb, "cpu")


def test_networks_that_are_not_wanted_are_not_read(tmp_path, traced):
    kwargs, state, _ = parity("sg2-32")
    path = nvidia(tmp_path / "g.pkl", kwargs, {**state, "ballast": torch.zeros(4_000_000)})
    with path.open("rb") as file:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        names = [name for name, _ in _tensors(TensorFile(file).load_pickle()["G_ema"])]
        assert "ballast" in names
        assert traced() - before < 4e6, "48 MB of ballast stay in the file"
