# SPDX-License-Identifier: Apache-2.0
"""The reader of .tflite files: against TensorFlow's own runtime, against loops in numpy, and against hostile files."""

from __future__ import annotations

import math
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from effigy.landmarks import DetectorError
from effigy.landmarks.photo import weights
from effigy.landmarks.photo.weights import NETWORKS, load_networks
from effigy.tflite import TFLiteError, TFLiteNetwork
from recipes.photo.hostile import damaged

from .tflite_files import Builder, Scalar, convolution

REFERENCES = Path(__file__).parents[1] / "fixtures" / "photo" / "networks.npz"
PARITY = 1e-4  # of the largest number; what is computed in another order differs by 4e-6


@pytest.fixture(scope="module")
def references():
    return np.load(REFERENCES)


@pytest.fixture(scope="module")
def networks():
    return dict(zip(NETWORKS, load_networks(tuple(NETWORKS), "cpu"), strict=True))


def inputs(references) -> dict[str, torch.Tensor]:
    """As recipes/photo/record_references.py makes them."""
    face = torch.from_numpy(references["face"]).float()
    close = face[12:140, 62:190].repeat_interleave(2, 0).repeat_interleave(2, 1)
    return {
        "near": face[None, ::2, ::2] / 127.5 - 1,
        "far": face[None, 32:224, 32:224] / 127.5 - 1,
        "mesh": close[None] / 255,
        "scores": torch.from_numpy(references["points"]),
        "matte": face[None] / 255,
    }


@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_what_tensorflow_lite_computes(name, networks, references):
    every = {"near": 8, "far": 16, "matte": 16}.get(name, 1)
    for number, found in enumerate(networks[name](inputs(references)[name])):
        kept = found[:, ::every, ::every] if name == "matte" else found[:, ::every] if every > 1 else found
        wanted = references[f"{name}{number}"]
        assert np.abs(kept.numpy().reshape(wanted.shape) - wanted).max() <= PARITY * np.abs(wanted).max()


@torch.inference_mode()
@pytest.mark.parametrize("name", NETWORKS)
def test_pictures_of_a_batch_do_not_meet(name, networks, references):
    one = inputs(references)[name]
    several = torch.cat([one.flip(1), one, one * 0.5])
    together, alone = networks[name](several), networks[name](one)
    for batch, single in zip(together, alone, strict=True):
        assert len(batch) == 3
        torch.testing.assert_close(batch[1:2], single, atol=PARITY * float(single.abs().max()), rtol=0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.inference_mode()
def test_a_gpu_computes_the_same(references):
    for name, network in zip(NETWORKS, load_networks(tuple(NETWORKS), "cuda"), strict=True):
        for number, found in enumerate(network(inputs(references)[name].cuda())):
            every = {"near": 8, "far": 16, "matte": 16}.get(name, 1)
            kept = found[:, ::every, ::every] if name == "matte" else found[:, ::every] if every > 1 else found
            wanted = references[f"{name}{number}"]
            assert np.abs(kept.cpu().numpy().reshape(wanted.shape) - wanted).max() <= 1e-2 * np.abs(wanted).max()


def loops(x: np.ndarray, w: np.ndarray, stride: int, *, same: bool, depthwise: bool) -> np.ndarray:
    """A convolution as TensorFlow defines it, of x [H, W, C], with a bias of 0.5 and a ReLU."""
    size, taps = len(x), w.shape[1]
    out = -(-size // stride) if same else (size - taps) // stride + 1
    before = max((out - 1) * stride + taps - size, 0) // 2 if same else 0
    padded = np.zeros((size + 2 * taps, size + 2 * taps, x.shape[2]))
    padded[before : before + size, before : before + size] = x
    result = np.zeros((out, out, x.shape[2] if depthwise else len(w)))
    for i in range(out):
        for j in range(out):
            patch = padded[i * stride : i * stride + taps, j * stride : j * stride + taps]
            result[i, j] = (patch * w[0]).sum((0, 1)) if depthwise else np.einsum("hwc,ohwc->o", patch, w)
    return np.maximum(result + 0.5, 0)


CONVOLUTIONS = [(8, 3, 2, True), (7, 3, 2, True), (9, 2, 2, True), (8, 3, 1, True), (8, 3, 2, False), (6, 1, 1, False)]


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("size", "taps", "stride", "same"), CONVOLUTIONS)
def test_convolutions_pad_as_tensorflow_does(size, taps, stride, same, depthwise):
    random = np.random.default_rng(0)
    w = random.normal(size=(1 if depthwise else 5, taps, taps, 3)).astype(np.float32)
    x = random.normal(size=(size, size, 3)).astype(np.float32)
    network = TFLiteNetwork(convolution(size, w, stride, same=same, depthwise=depthwise))
    (found,) = network(torch.from_numpy(x)[None])
    np.testing.assert_allclose(found[0].numpy(), loops(x, w, stride, same=same, depthwise=depthwise), atol=1e-4)


def test_sparse_weights_in_blocks_are_spread_out():
    dense = np.zeros((4, 1, 1, 4), np.float16)
    dense[0, 0, 0, 2:4], dense[3, 0, 0, 0:2] = [1, 2], [3, 4]
    level = {0: Scalar("b", 0)}
    columns = {0: Scalar("b", 1), 2: Scalar("B", 1), 3: {0: np.array([0, 1, 1, 1, 2], np.int32)},
               4: Scalar("B", 3), 5: {0: np.array([1, 0], np.uint8)}}  # fmt: skip
    sparsity = {
        0: np.array([0, 1, 2, 3, 4], np.int32),  # the order of its levels: the last is within blocks
        1: np.array([3], np.int32),  # which cut the last dimension
        2: [level | {1: Scalar("i", 4)}, level | {1: Scalar("i", 1)}, level | {1: Scalar("i", 1)}, columns,
            level | {1: Scalar("i", 2)}],
    }  # fmt: skip
    b = Builder()
    x = b.tensor(1, 1, 1, 4)
    packed = b.constant(np.array([1, 2, 3, 4], np.float16), (4, 1, 1, 4), sparsity)
    unpacked = b.add("DENSIFY", [packed], b.tensor(4, 1, 1, 4, dtype="float16"))
    w = b.add("DEQUANTIZE", [unpacked], b.tensor(4, 1, 1, 4))
    options = {0: Scalar("b", 1), 1: Scalar("i", 1), 2: Scalar("i", 1)}
    y = b.add("CONV_2D", [x, w], b.tensor(1, 1, 1, 4), options)
    (found,) = TFLiteNetwork(b.file(x, [y]))(torch.eye(4)[:, None, None])
    np.testing.assert_array_equal(found[:, 0, 0].numpy(), dense[:, 0, 0].T)


def small_network() -> bytes:
    """A file with a part of everything that a reader has to believe."""
    b = Builder()
    x = b.tensor(1, 8, 8, 2)
    w = b.add("DEQUANTIZE", [b.constant(np.ones((3, 3, 3, 2), np.float16))], b.tensor(3, 3, 3, 2))
    options = {0: Scalar("b", 0), 1: Scalar("i", 2), 2: Scalar("i", 2), 3: Scalar("b", 1)}
    y = b.add("CONV_2D", [x, w], b.tensor(1, 4, 4, 3), options)
    widths = b.constant(np.array([[0, 0], [0, 0], [0, 0], [0, 1]], np.int32))
    y = b.add("PAD", [y, widths], b.tensor(1, 4, 4, 4))
    pool = {0: Scalar("b", 1), 1: Scalar("i", 2), 2: Scalar("i", 2), 3: Scalar("i", 2), 4: Scalar("i", 2)}
    y = b.add("MAX_POOL_2D", [y], b.tensor(1, 2, 2, 4), pool)
    y = b.add("CONCATENATION", [y, y], b.tensor(1, 2, 2, 8), {0: Scalar("i", 3)})
    y = b.add("ADD", [y, b.constant(np.ones(8, np.float32))], b.tensor(1, 2, 2, 8), {0: Scalar("b", 0)})
    y = b.add("MEAN", [y, b.constant(np.array([1, 2], np.int32))], b.tensor(1, 8))
    cut = [b.constant(np.array(v, np.int32)) for v in ([0, 0], [0, 6], [1, 2])]
    y = b.add("STRIDED_SLICE", [y, *cut], b.tensor(3), {1: Scalar("i", 1), 4: Scalar("i", 1)})
    return b.file(x, [y])


def test_the_pictures_axis_stays_where_one_picture_is_taken():
    (found,) = TFLiteNetwork(small_network())(torch.rand(5, 8, 8, 2))
    assert found.shape == (5, 3)


def hostile(intact: bytes, count: int, seed: int):
    """``count`` files that differ from an intact one by bytes, numbers of extreme size, or their end."""
    random = np.random.default_rng(seed)
    for number in range(count):
        yield damaged(intact, random, number % 4)


@torch.inference_mode()
def read_hostile(intact: bytes, count: int, seed: int) -> int:
    """How many of them are refused; the others run, and give finite sizes. Anything else is raised."""
    refused = 0
    for data in hostile(intact, count, seed):
        try:
            network = TFLiteNetwork(data)
        except TFLiteError:
            refused += 1
            continue
        for found in network(torch.zeros(2, *network.input_shape[1:])):
            assert len(found) == 2
            assert math.prod(found.shape[1:]) < 1 << 25
    return refused


def peak() -> int:
    """Bytes that this process has had at once."""
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_hostile_files_are_refused_with_one_error_and_little_memory():
    before = peak()
    assert read_hostile(small_network(), 600, 1) > 400
    archive = zipfile.ZipFile(weights._FOLDER / "face_landmarker.task")
    assert read_hostile(archive.read("face_detector.tflite"), 40, 2) > 10
    assert read_hostile((weights._FOLDER / "face_detection_full_range_sparse.tflite").read_bytes(), 20, 3) > 5
    assert peak() - before < 1 << 30


@pytest.mark.parametrize("repeated", ["buffer", "unpacked"])
def test_weights_that_many_tensors_share_are_counted_each_time(repeated):
    b = Builder()
    x = b.tensor(1, 1, 1, 1)
    first = b.constant(np.ones(1 << 18, np.float32))
    for _ in range(64):
        if repeated == "buffer":
            b.tensor(1 << 18, buffer=1)
        else:
            b.add("DEQUANTIZE", [first], b.tensor(1 << 18))
    b.add("ADD", [x, b.constant(np.ones(1, np.float32))], y := b.tensor(1, 1, 1, 1))
    if repeated == "buffer":
        with pytest.raises(TFLiteError, match="times the file's size"):
            TFLiteNetwork(b.file(x, [y]))
    else:
        network = TFLiteNetwork(b.file(x, [y]))
        assert sum(values.numel() for values in network.buffers()) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not begin"),
        (b"\0\0\0\0TFL3", "0 graphs"),
        (b"\xff\xff\xff\xffTFL3" + bytes(64), "refers to byte"),
        (b"PK\3\4" + bytes(100), "does not begin"),
    ],
)
def test_what_is_no_network_is_told_so(data, reason):
    with pytest.raises(TFLiteError, match=reason):
        TFLiteNetwork(data)


def test_pictures_of_another_size_are_refused(networks):
    with pytest.raises(ValueError, match=r"takes \[N, 128, 128, 3\]"):
        networks["near"](torch.zeros(1, 64, 64, 3))


def test_files_that_are_not_ours_are_refused(tmp_path):
    with pytest.raises(DetectorError, match="there is no file.*install Effigy again"):
        load_networks(("matte",), "cpu", tmp_path)
    path = tmp_path / "selfie_segmentation.tflite"
    path.write_bytes((weights._FOLDER / path.name).read_bytes()[:-1] + b"\1")
    with pytest.raises(DetectorError, match="not the file that comes with Effigy"):
        load_networks(("matte",), "cpu", tmp_path)
    np.savez(tmp_path / "straightening.npz", turn=np.zeros((1440, 2)), bend=np.zeros((6, 1434)))
    with pytest.raises(DetectorError, match=r"straightening\.npz is not the file that comes with Effigy"):
        weights.read_shipped("straightening.npz", tmp_path)
