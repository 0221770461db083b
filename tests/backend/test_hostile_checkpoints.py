# SPDX-License-Identifier: Apache-2.0
"""Nothing in a file is executed, and a file without a network is refused with one clear error."""

from __future__ import annotations

import io
import os
import pickle
import random
import zipfile
from contextlib import suppress

import pytest
import torch

from effigy.generators import GeneratorFileError, convert_generator, load_generator
from effigy.generators.networks.configs import StyleGAN2Config, StyleGAN3Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2
from effigy.generators.networks.stylegan3 import StyleGAN3

from .checkpoint_files import (
    Call,
    Persistent,
    assert_official,
    foreign_module,
    nvidia,
    one_tensor,
    parity,
    rosinality,
    tensorflow,
)


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
        b"\x80\x04\x8b\x00\x00\x20\x00" + bytes(1 << 21) + b".",  # a number of two million digits
        b"\x80\x04]\x94h\x00a.",  # a list that holds itself
        b"\x80\x04})\x94\x86\x94s.",
        b"PK\x03\x04",
        b"\x80\x04" + b"(" * 100_000 + b".",
        b"\x80\x04" + b")\x85" + b"\x85" * 100_000 + b".",
        b"\x80\x04}" + b")" + b"2\x86" * 64 + b"Ns.",  # hashing this key would never end
        b"\x80\x04)" + b"2\x86" * 64 + b"2\x93.",  # nor would converting it to text
        b"\x80\x04ccollections\nOrderedDict\n])" + b"2\x86" * 64 + b"N\x86a\x85R.",
        b"<html>404</html>",
    ],
)
def test_short_nonsense_gives_one_clear_error(tmp_path, content):
    path = tmp_path / "nonsense.pkl"
    path.write_bytes(content)
    with pytest.raises(GeneratorFileError, match=r"nonsense\.pkl"):
        load_generator(path, "cpu")


def small_files(folder):
    """Writes one file of each format, small enough to be damaged thousands of times."""
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
    for _ in range(200):
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
        for round_number in range(65):
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
    """Pickles tuples that contain the one before twice, ``depth`` deep: hashing or printing takes 2^depth steps."""
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


def test_a_compressed_archive_is_refused(tmp_path):
    _, state, _ = parity("sg2-32")
    source, bomb = rosinality(tmp_path / "g.pt", state), tmp_path / "bomb.pt"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    with pytest.raises(GeneratorFileError, match="compressed"):
        load_generator(bomb, "cpu")
