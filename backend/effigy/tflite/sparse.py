# SPDX-License-Identifier: Apache-2.0
"""Sparse weights as TensorFlow Lite stores them, in the format of the TACO compiler.

Kjolstad et al., *The Tensor Algebra Compiler*, OOPSLA 2017: a tree with one level per dimension, dense or compressed
(segments and indices, as in CSR). A tensor may be cut into blocks, whose dimensions are levels of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .flatbuffer import Table, TFLiteError

_LEVELS = 10  # a dimension and a block's for each of 5
_DENSE, _COMPRESSED = 0, 1
_INDICES: dict[int, Any] = {1: np.int32, 2: np.uint16, 3: np.uint8}  # of the union SparseIndexVector


def densify(values: NDArray[Any], shape: tuple[int, ...], sparsity: Table) -> NDArray[Any]:
    """Returns the dense tensor of ``shape`` whose stored ``values`` [n] are placed by ``sparsity``. Raises TFLiteError.

    It allocates the whole ``shape``, so the caller must bound it.
    """
    rank = len(shape)
    order = sparsity.array(0, np.int32, _LEVELS).tolist()
    block_map = sparsity.array(1, np.int32, _LEVELS).tolist()
    levels = sparsity.tables(2, _LEVELS)
    if sorted(order) != list(range(rank + len(block_map))) or len(levels) != len(order):
        raise TFLiteError("it is damaged: sparse weights whose dimensions do not add up")
    if len(set(block_map)) != len(block_map) or not set(block_map) <= set(range(rank)):
        raise TFLiteError("it is damaged: sparse weights in blocks of dimensions that they have not")
    extents = _extents(shape, order, block_map, levels)
    most = max(int(np.prod(shape, dtype=object)), 1)
    index = np.zeros((1, rank), np.int64)  # of every node of the level that was read last
    for dimension, level, extent in zip(order, levels, extents, strict=True):
        parents, places = _children(level, extent, len(index), most)
        index = index[parents]
        if dimension < rank:
            index[:, dimension] += places * _block(dimension, order, block_map, extents)
        else:
            index[:, block_map[dimension - rank]] += places
    if len(index) != len(values):
        raise TFLiteError(f"it is damaged: {len(values)} sparse weights for {len(index)} places")
    dense = np.zeros(shape, values.dtype)
    dense[tuple(index.T)] = values
    return dense


def _extents(shape: tuple[int, ...], order: list[int], block_map: list[int], levels: list[Table]) -> list[int]:
    """Returns how many entries each level has, in the order of the levels."""
    rank = len(shape)
    blocks = {block_map[d - rank]: level.scalar(1, "i") for d, level in zip(order, levels, strict=True) if d >= rank}
    if any(size < 1 or shape[dimension] % size for dimension, size in blocks.items()):
        raise TFLiteError(f"it is damaged: sparse weights of shape {list(shape)} in blocks of {list(blocks.values())}")
    return [blocks[block_map[d - rank]] if d >= rank else shape[d] // blocks.get(d, 1) for d in order]


def _block(dimension: int, order: list[int], block_map: list[int], extents: list[int]) -> int:
    """Returns the size of a block along ``dimension``."""
    if dimension not in block_map:
        return 1
    rank = len(order) - len(block_map)
    return extents[order.index(rank + block_map.index(dimension))]


def _children(level: Table, extent: int, nodes: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns for each node of a level which node of the level above it belongs to, and its position there."""
    kind = level.scalar(0, "b")
    if kind == _DENSE:
        if nodes * extent > most:
            raise TFLiteError("it is damaged: sparse weights of more places than their tensor has")
        return np.repeat(np.arange(nodes), extent), np.tile(np.arange(extent), nodes)
    if kind != _COMPRESSED:
        raise TFLiteError(f"it has sparse weights of kind {kind}, which is not read")
    segments, indices = _numbers(level, 2, nodes + 1), _numbers(level, 4, most)
    counts = np.diff(segments)
    if len(segments) != nodes + 1 or segments[0] != 0 or segments[-1] != len(indices) or (counts < 0).any():
        raise TFLiteError("it is damaged: sparse weights whose segments do not add up")
    if len(indices) and not 0 <= indices.min() <= indices.max() < extent:
        raise TFLiteError("it is damaged: sparse weights outside of their tensor")
    return np.repeat(np.arange(nodes), counts), indices


def _numbers(level: Table, field: int, most: int) -> NDArray[np.int64]:
    """Returns the vector of a union whose type is in ``field`` and whose value is in the next field."""
    dtype, table = _INDICES.get(level.scalar(field, "B")), level.table(field + 1)
    if dtype is None or table is None:
        raise TFLiteError("it is damaged: sparse weights without their indices")
    return table.array(0, dtype, most).astype(np.int64)
