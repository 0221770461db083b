# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite's operators as functions of PyTorch's tensors.

Pictures are [N, height, width, channels], as in the files. Those are written for one picture; here the first axis is
that of N pictures, which no operator may mix. For each operator a function checks its ``Node``, which is one as the
file has it, and returns what runs it and the shape that it gives for one picture. Nothing is computed before all
shapes are known. Fields of options are numbered as in TensorFlow's schema.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .node import ACTIVATIONS, Made, Node, Window


def _nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _conv_2d(node: Node) -> Made:
    (_, height, width, channels), (filters, *kernel, depth) = node.shape(0, 4), node.shape(1, 4)
    window = Window((kernel[0], kernel[1]), node.pair(1), node.pair(4, 1), node.option(0, "b"))
    act = node.activation(3)
    if depth != channels or (len(node.shapes) > 2 and node.shapes[2] not in (None, (filters,))):
        raise node.refuse(f"has weights {list(node.shape(1))} for {channels} channels")
    shape = (1, *window.size(node, height, width), filters)
    if window.kernel == (1, 1) and window.stride == (1, 1):  # twice as fast as a convolution in PyTorch
        return lambda x, weights, bias=None: act(F.linear(x, weights.flatten(1), bias)), shape

    convolve = window.convolve(height, width, 1)
    return lambda x, weights, bias=None: act(_nhwc(convolve(_nchw(x), _nchw(weights), bias))), shape


def _depthwise_conv_2d(node: Node) -> Made:
    (_, height, width, channels), (_, *kernel, filters) = node.shape(0, 4), node.shape(1, 4)
    window = Window((kernel[0], kernel[1]), node.pair(1), node.pair(5, 1), node.option(0, "b"))
    act = node.activation(4)
    if (
        node.shape(1)[0] != 1
        or filters != channels
        or (len(node.shapes) > 2 and node.shapes[2] not in (None, (filters,)))
    ):
        raise node.refuse(f"has weights {list(node.shape(1))} for {channels} channels")

    convolve = window.convolve(height, width, channels)
    shape = (1, *window.size(node, height, width), channels)
    return lambda x, weights, bias=None: act(_nhwc(convolve(_nchw(x), weights.permute(3, 0, 1, 2), bias))), shape


def _transposed_convolution(node: Node) -> Made:
    """MediaPipe's own operator: a transposed convolution whose kernels tile the result, and a bias."""
    (_, height, width, channels), (filters, *kernel, depth) = node.shape(0, 4), node.shape(1, 4)
    stride = struct.unpack_from("<3i", node.custom)[:0:-1] if len(node.custom) >= 12 else ()
    if tuple(kernel) != stride or depth != channels or node.shape(2) != (filters,):
        raise node.refuse(f"has weights {list(node.shape(1))} for {channels} channels, and strides {stride}")

    def run(x: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        return _nhwc(F.conv_transpose2d(_nchw(x), weights.permute(3, 0, 1, 2), bias, stride))

    return run, (1, height * stride[0], width * stride[1], filters)


def _pool(node: Node) -> Window:
    if node.option(5, "b"):
        raise node.refuse("ends in an activation, which is not read")
    return Window(node.pair(3), node.pair(1), (1, 1), node.option(0, "b"))


def _max_pool_2d(node: Node) -> Made:
    _, height, width, channels = node.shape(0, 4)
    window = _pool(node)
    size, pads = window.size(node, height, width), window.pads(height, width)

    def run(x: Tensor) -> Tensor:
        x = F.pad(_nchw(x), pads, value=float("-inf")) if any(pads) else _nchw(x)
        return _nhwc(F.max_pool2d(x, window.kernel, window.stride))

    return run, (1, *size, channels)


def _average_pool_2d(node: Node) -> Made:
    _, height, width, channels = node.shape(0, 4)
    window = _pool(node)
    size = window.size(node, height, width)
    if any(window.pads(height, width)):
        raise node.refuse("averages over a padded edge, which is not read")
    return lambda x: _nhwc(F.avg_pool2d(_nchw(x), window.kernel, window.stride)), (1, *size, channels)


def _prelu(node: Node) -> Made:
    *_, channels = node.shape(0, 4)
    if node.shape(1) not in ((channels,), (1, 1, channels)):
        raise node.refuse(f"has slopes {list(node.shape(1))} for {channels} channels")
    return lambda x, slopes: _nhwc(F.prelu(_nchw(x), slopes.flatten())), node.shape(0)


def _binary(function: Callable[[Tensor, Tensor], Tensor], *, activates: bool = True) -> Callable[[Node], Made]:
    def make(node: Node) -> Made:
        act = node.activation(0) if activates else ACTIVATIONS[0]
        return lambda a, b: act(function(a, b)), np.broadcast_shapes(node.shape(0), node.shape(1))

    return make


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[[Node], Made]:
    return lambda node: (function, node.shape(0))


def _reduce(function: Callable[..., Tensor]) -> Callable[[Node], Made]:
    def make(node: Node) -> Made:
        axes, keep = node.axes(1), bool(node.option(0, "b"))
        sizes = (1 if axis in axes else size for axis, size in enumerate(node.shape(0)) if keep or axis not in axes)
        return lambda x: function(x, dim=axes, keepdim=keep), tuple(sizes)

    return make


def _pad(node: Node) -> Made:
    shape, widths = node.shape(0), node.values(1)
    if len(widths) != 2 * len(shape) or min(widths) < 0 or any(widths[:2]):
        raise node.refuse(f"widens {list(shape)} by {list(widths)}")
    before, after = widths[::2], widths[1::2]
    flat = [width for pair in zip(before[::-1], after[::-1], strict=True) for width in pair]
    return lambda x: F.pad(x, flat), tuple(sum(sizes) for sizes in zip(shape, before, after, strict=True))


def _reshape(node: Node) -> Made:
    shape = node.declared
    if np.prod(node.shape(0), dtype=object) != np.prod(shape, dtype=object):
        raise node.refuse(f"makes {list(shape)} of {list(node.shape(0))}")
    return lambda x: x.reshape(len(x), *shape[1:]), shape


def _transpose(node: Node) -> Made:
    shape, order = node.shape(0), node.values(1)
    if sorted(order) != list(range(len(shape))) or order[0] != 0:
        raise node.refuse(f"puts the axes of {list(shape)} into the order {list(order)}")
    return lambda x: x.permute(order), tuple(shape[axis] for axis in order)


def _concatenation(node: Node) -> Made:
    shapes = [node.shape(i) for i in range(len(node.shapes))]
    rank, axis, act = len(node.shape(0)), node.option(0, "i"), node.activation(1)
    axis += rank if axis < 0 else 0
    if not 0 < axis < rank or len({(*shape[:axis], -1, *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise node.refuse(f"joins {[list(shape) for shape in shapes]} along axis {axis}")

    def run(*parts: Tensor) -> Tensor:
        count = max(len(part) for part in parts)  # a constant is there once, for all pictures
        return act(torch.cat([p.expand(count, *p.shape[1:]) if len(p) == 1 else p for p in parts], axis))

    first = shapes[0]
    return run, (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def _strided_slice(node: Node) -> Made:
    """Slices all axes but that of the pictures: a slice that takes the first of one picture here takes all N."""
    shape, begin, end, stride = node.shape(0), node.values(1), node.values(2), node.values(3)
    begins, ends, ellipsis, new, shrinks = (node.option(field, "i") for field in range(5))
    if not len(begin) == len(end) == len(stride) == len(shape) or ellipsis or new or min(stride) < 1:
        raise node.refuse("cuts in a way that is not read")
    if begin[0] != 0 and not begins & 1:
        raise node.refuse("cuts the pictures' axis")
    index: list[slice | int] = [slice(None)]
    for axis in range(1, len(shape)):
        first, last = (None if mask >> axis & 1 else values[axis] for mask, values in ((begins, begin), (ends, end)))
        index.append(begin[axis] if shrinks >> axis & 1 else slice(first, last, stride[axis]))
    cut = tuple(index)
    return lambda x: x[cut], np.broadcast_to(np.float32(0), shape)[cut].shape


def _resize_bilinear(node: Node) -> Made:
    if node.option(2, "b") or not node.option(3, "b"):
        raise node.refuse("has corners aligned, or no half-pixel centres: that is not read")
    size = tuple(node.values(1))
    if len(size) != 2 or min(size) < 1:
        raise node.refuse(f"resizes to {list(size)}")
    batch, _, _, channels = node.shape(0, 4)
    shape = (batch, *size, channels)
    return lambda x: _nhwc(F.interpolate(_nchw(x), size, mode="bilinear", align_corners=False)), shape


def _depth_to_space(node: Node) -> Made:
    block = node.option(0, "i")
    _, height, width, channels = node.shape(0, 4)
    if block < 1 or channels % block**2:
        raise node.refuse(f"makes blocks of {block} of {channels} channels")
    left = channels // block**2

    def run(x: Tensor) -> Tensor:
        cut = x.reshape(-1, height, width, block, block, left).permute(0, 1, 3, 2, 4, 5)
        return cut.reshape(-1, height * block, width * block, left)

    return run, (1, height * block, width * block, left)


OPERATORS: dict[str, Callable[[Node], Made]] = {
    "ADD": _binary(torch.add),
    "AVERAGE_POOL_2D": _average_pool_2d,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv_2d,
    "Convolution2DTransposeBias": _transposed_convolution,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "DEPTH_TO_SPACE": _depth_to_space,
    "DIV": _binary(torch.div),
    "HARD_SWISH": _unary(F.hardswish),
    "LOGISTIC": _unary(torch.sigmoid),
    "MAX_POOL_2D": _max_pool_2d,
    "MEAN": _reduce(torch.mean),
    "MUL": _binary(torch.mul),
    "NEG": _unary(torch.neg),
    "PAD": _pad,
    "PRELU": _prelu,
    "RELU": _unary(F.relu),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RSQRT": _unary(torch.rsqrt),
    "SQRT": _unary(torch.sqrt),
    "SQUARED_DIFFERENCE": _binary(lambda a, b: torch.square(a - b), activates=False),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _binary(torch.sub),
    "SUM": _reduce(torch.sum),
    "TRANSPOSE": _transpose,
}
