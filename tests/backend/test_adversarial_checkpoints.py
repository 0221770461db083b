# SPDX-License-Identifier: Apache-2.0
"""The cost of reading a file is bounded by its size, whatever is nested, shared or repeated in it.

Structures are built operation by operation: nesting × sharing × width. Their cost is counted in executed lines of our
code and in allocated bytes, never timed.
"""

from __future__ import annotations

import io
import struct
import sys
import tracemalloc

import pytest
import torch

from effigy.generators import GeneratorFileError
from effigy.generators.checkpoints import open_checkpoint
from effigy.generators.checkpoints.tensors import TensorFile
from effigy.generators.errors import MalformedError

from .checkpoint_files import storage_stream

LINES = 40  # of our code, at most, for each additional byte of a file
BYTES = 40  # allocated for each byte of a file; the lists that pickles can make take more
FREE = 500_000  # bytes that any file may cost


def read(path):
    """Reads a whole file; returns how it was refused."""
    try:
        with open_checkpoint(path) as checkpoint:
            for weight in checkpoint.tensors.values():
                weight.read()
    except GeneratorFileError as error:
        return str(error)
    return ""


def memory(path):
    """Returns the peak of bytes that reading ``path`` allocates, and how it was refused."""
    tracemalloc.start()
    try:
        said = read(path)
        return tracemalloc.get_traced_memory()[1], said
    finally:
        tracemalloc.stop()


def work(path):
    """Counts the lines of the reader that are executed for ``path``."""
    lines = 0

    def count(frame, event, _):
        nonlocal lines
        if "checkpoints" not in frame.f_code.co_filename:
            return None
        lines += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        read(path)
    finally:
        sys.settrace(before)
    return lines


# --- pickles, operation by operation ------------------------------------------------------------


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def put(number):
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


def mapping(items):
    return b"}(" + b"".join(text(key) + value for key, value in items) + b"u"


TORCH_HEAD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."  # torch.save, up to the object
MODULE, NETWORK, TENSOR, SHARED = range(4)  # the memo
HEAD = (
    b"\x80\x04ctorch_utils.persistence\n_reconstruct_persistent_obj\n" + put(MODULE) + b"0"
    b"cdnnlib.tflib.network\nNetwork\n" + put(NETWORK) + b"0"
)


def one_tensor():
    """Builds a tensor of three numbers and memoises it."""
    stream = storage_stream(3)
    storage = b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(stream)) + stream + b"\x85R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x03\x85K\x01\x85\x89}tR" + put(TENSOR)


def module(parameters=b"}", modules=b"}"):
    state = mapping([("_parameters", parameters), ("_buffers", b"}"), ("_modules", modules)])
    return get(MODULE) + mapping([("state", state)]) + b"\x85R"


def network(variables=b"]", components=b"}"):
    return get(NETWORK) + b")R" + mapping([("variables", variables), ("components", components)]) + b"b"


def nvidia_structure(depth, width, shared):
    """Builds a chain of modules, each with ``width`` parameters and siblings of the next; or they share them."""
    parameters = mapping([(f"parameter{i}", get(TENSOR)) for i in range(width)])
    leaves = [(f"module{i}", module(parameters if shared == "names" else b"}")) for i in range(width)]
    if shared == "containers":
        leaves = [(f"module{i}", module(get(SHARED))) for i in range(width)]
    if shared == "modules":
        leaves = [(f"module{i}", get(SHARED + 1)) for i in range(width)]
    inner = module(parameters, mapping(leaves))
    for level in range(depth):
        inner = module(mapping([("x", get(TENSOR))]), mapping([(f"level{level}", inner)]))
    first = one_tensor() + b"0" + parameters + put(SHARED) + b"0" + module(get(SHARED)) + put(SHARED + 1) + b"0"
    return HEAD + first + mapping([("G_ema", inner)]) + b"."


def tensorflow_structure(depth, width, shared):
    """Builds the same from TensorFlow's networks and lists of variables."""
    variables = b"](" + b"".join(text(f"variable{i}") + get(TENSOR) + b"\x86" for i in range(width)) + b"e"
    part = network(get(SHARED) if shared == "containers" else variables if shared == "names" else b"]")
    parts = [(f"part{i}", get(SHARED + 1) if shared == "modules" else part) for i in range(width)]
    inner = network(variables, mapping(parts))
    for level in range(depth):
        inner = network(b"](" + text("x") + get(TENSOR) + b"\x86e", mapping([(f"level{level}", inner)]))
    first = one_tensor() + b"0" + variables + put(SHARED) + b"0" + network(get(SHARED)) + put(SHARED + 1) + b"0"
    return HEAD + first + inner + b"\x85."


def state_dict_structure(depth, width, shared):
    """Builds nested checkpoints with many names for one tensor, in rosinality's names or NVIDIA's."""
    name = {"names": "convs.%d.conv.blur.kernel", "modules": "synthesis.b%d.resample_filter"}.get(
        shared, "style.%d.bias"
    )
    state = mapping([(name % i, get(TENSOR)) for i in range(width)] + [("input.input", get(TENSOR))])
    if shared == "modules":
        state = mapping([(name % i, get(TENSOR)) for i in range(width)] + [("synthesis.b4.const", get(TENSOR))])
    if shared == "containers":
        state = mapping([(f"copy{i}", get(SHARED)) for i in range(width)])
    for level in range(depth):
        state = mapping([("module." * min(level, 20) + "g_ema", state)])
    first = one_tensor() + b"0" + mapping([(f"a{i}", get(TENSOR)) for i in range(width)]) + put(SHARED) + b"0"
    return TORCH_HEAD + HEAD + first + mapping([("g_ema", state)]) + b".\x80\x02]."


def bare_structure(depth, width, shared):
    """Lists in tuples in lists, of as many references to each other."""
    fill = {"names": text("name"), "containers": get(SHARED), "modules": b"]"}.get(shared, b"N")
    inner = b"](" + fill * width + b"e"
    for _ in range(depth):
        inner = b"(" + inner + fill + b"t"
    return b"\x80\x04]" + put(SHARED) + b"0" + inner + b"."


BUILDERS = (nvidia_structure, tensorflow_structure, state_dict_structure, bare_structure)
SHARING = ("none", "names", "containers", "modules")


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("shared", SHARING)
def test_no_structure_takes_more_memory_than_its_size_explains(tmp_path, build, shared):
    path = tmp_path / "structure"
    for depth, width in [(0, 2000), (2000, 0), (40, 200)]:
        repeated = shared == "names" and build is not bare_structure  # width × width of them
        path.write_bytes(build(depth, min(width, 40) if repeated else width, shared))
        peak, said = memory(path)
        assert peak <= BYTES * path.stat().st_size + FREE, (depth, width, said)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("shared", SHARING)
def test_what_is_added_to_a_structure_costs_what_the_file_grows_by(tmp_path, build, shared):
    for small, large in [((0, 200), (0, 400)), ((100, 0), (200, 0)), ((20, 20), (40, 20)), ((20, 20), (20, 40))]:
        lines, sizes = [], []
        for depth, width in (small, large):
            path = tmp_path / "structure"
            path.write_bytes(build(depth, min(width, 40) if shared == "names" else width, shared))
            lines.append(work(path))
            sizes.append(path.stat().st_size)
        assert lines[1] - lines[0] <= LINES * (sizes[1] - sizes[0]) + 2000, (small, large)


@pytest.mark.parametrize("operations", [b"]0" * 200_000, b"}\x94" * 200_000], ids=["thrown away", "remembered"])
def test_long_pickles_of_legal_operations_are_refused(tmp_path, operations):
    path = tmp_path / "long.pkl"
    path.write_bytes(b"\x80\x04" + operations + b".")
    peak, said = memory(path)
    assert "more operations than weights need" in said
    assert peak < 60e6


@pytest.mark.parametrize("pairs", [False, True], ids=["set", "called"])
def test_a_long_name_in_many_dictionaries_is_refused(tmp_path, pairs):
    """Each dictionary would be searched for prefixes of a generator's names."""
    name = text("module." * 30_000 + "x.input.input")
    one = b"ccollections\nOrderedDict\n](" + get(0) + b"N\x86e\x85R" if pairs else b"}" + get(0) + b"Ns"
    content = mapping([(f"state{number}", one) for number in range(30)])
    path = tmp_path / "names.pt"
    path.write_bytes(TORCH_HEAD + b"\x80\x02" + name + put(0) + b"0" + content + b".\x80\x02].")
    assert "characters, which no name has" in read(path)


def test_operations_are_counted_over_all_pickles_of_a_file(tmp_path):
    """Each tensor of a snapshot is an embedded file of five pickles."""
    file = TensorFile(io.BytesIO(b"\x80\x04](" + 4 * one_tensor() + b"e."))
    first, *others = file.load_pickle()
    left = file._budget.steps
    file.tensor(first)
    each = left - file._budget.steps
    assert each > 10
    file._budget.steps = 3 * each - 1
    with pytest.raises(MalformedError, match="more operations"):
        _ = [file.tensor(value) for value in others]


def test_a_zip_archive_of_many_entries_is_refused_before_its_directory_is_read(tmp_path):
    name = b"a/data/0"
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
    directory = entry * 60_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 60_000, 60_000, len(directory), 4, 0)
    path = tmp_path / "many.pt"
    path.write_bytes(b"PK\x03\x04" + directory + end)
    peak, said = memory(path)
    assert "directory of" in said
    assert peak < FREE


def key(number):
    raw = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def test_numbers_that_all_hash_alike_cost_no_more_than_others(tmp_path, monkeypatch):
    """A dictionary compares all keys of the same hash, so keys must be of types whose hash cannot be chosen."""
    hashed = []
    monkeypatch.setattr("effigy.generators.checkpoints.open.read_nvidia", lambda _, root: hashed.extend(root))
    path = tmp_path / "alike.pkl"
    path.write_bytes(b"\x80\x04}(" + b"".join(key(i * (2**61 - 1)) + b"N" for i in range(1, 50)) + b"u.")
    read(path)
    assert len({hash(name) for name in hashed}) == 49
    torch.save({"optimizer": {0: torch.zeros(3), 1: torch.ones(3)}}, tmp_path / "numbers.pt")
    with (tmp_path / "numbers.pt").open("rb") as stream:
        file = TensorFile(stream)
        optimizer = file.load_zip()["optimizer"]
    assert list(optimizer) == ["0", "1"]


@pytest.mark.parametrize("mark", [b"input.input", b"other"])
@pytest.mark.parametrize("part", [b"/StyleMod/", b"ToRGB_lod1/", b"decoder.", b"iwt.", b"from_rgb", b"encoder."])
def test_long_names_cost_no_more_than_their_length(tmp_path, mark, part):
    """A pattern that is tried at every position of a name has quadratic cost: here more than ten minutes."""
    names = text((part * 90_000).decode() + "\n"), text(mark.decode())
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
    path = tmp_path / "long.pt"
    path.write_bytes(magic + b"\x80\x04}(" + b"".join(name + b"N" for name in names) + b"u.\x80\x02].")
    assert read(path)


def test_a_refusal_is_short_however_long_what_is_damaged_is(tmp_path):
    for operation in (b"F", b"I", b"L", b"S", b"c", b"p"):
        (tmp_path / "damaged.pkl").write_bytes(b"\x80\x04" + operation + b"x" * 100_000 + b"\n.")
        assert 0 < len(read(tmp_path / "damaged.pkl")) < 500 + len(str(tmp_path))


def test_numbers_that_are_read_again_and_again_are_refused(tmp_path):
    """Strided tensors of few numbers that are far apart: each would read the whole file."""
    tensor = torch.zeros(300_000)
    torch.save([tensor.as_strided((4, 4), (75_000, 20_000)) for _ in range(12)], tmp_path / "far.pt")
    with (tmp_path / "far.pt").open("rb") as stream:
        file = TensorFile(stream)
        tensors = [file.tensor(value) for value in file.load_zip()]
        with pytest.raises(MalformedError, match="larger than the file"):
            _ = [stored.read() for stored in tensors]
