# SPDX-License-Identifier: Apache-2.0
"""Tensors in PyTorch files and pickled NumPy arrays: located, checked against the file's size, and read on demand."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ...zip_files import LongDirectoryError, open_zip
from ..errors import MalformedError
from .unpickle import Blob, Global, LongText, Object, unpickle
from .window import Budget, Window

_MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before its zip files
_DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_DIMENSIONS = 8
_DIRECTORY = 1 << 20  # bytes of a zip file's directory: more than 10 000 tensors
_LARGEST = 1 << 48
_NUMPY = {"f2": torch.float16, "f4": torch.float32, "f8": torch.float64, "i4": torch.int32, "i8": torch.int64}
_NUMPY |= {"u1": torch.uint8, "b1": torch.bool}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies in a file."""

    file: BinaryIO
    budget: Budget
    data: Blob
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0  # elements

    def __post_init__(self) -> None:
        sizes = (*self.shape, *self.stride, self.offset)
        if len(self.shape) != len(self.stride) or len(self.shape) > _DIMENSIONS or not all(map(_is_size, sizes)):
            raise MalformedError("a tensor in it has an impossible shape")
        stored = self.data.length // self.dtype.itemsize
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        count = math.prod(self.shape)
        if count > stored or (count and last >= stored):
            raise MalformedError(f"a tensor {list(self.shape)} is announced where {stored} values are stored")

    def read(self) -> Tensor:
        """Reads the tensor as float32."""
        return self.stored().float()

    def stored(self) -> Tensor:
        """Reads the tensor in the file's own type."""
        span = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        span = span if math.prod(self.shape) else 0
        self.file.seek(self.data.start + self.offset * self.dtype.itemsize)
        self.budget.copy(span * self.dtype.itemsize)
        buffer = bytearray(span * self.dtype.itemsize)
        if self.file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise MalformedError("the file breaks off")
        if not buffer:
            return torch.zeros(self.shape, dtype=self.dtype)
        flat = torch.frombuffer(buffer, dtype=self.dtype)
        return flat.as_strided(self.shape, self.stride).contiguous()


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


Storage = tuple[torch.dtype, BinaryIO, Blob]


class TensorFile:
    """An open file whose pickles hold tensors."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self._budget = Budget(self.size)
        self._blobs: dict[str, Blob] = {}  # of the storages that the file's own pickle names
        self._nested: dict[tuple[int, Blob], Storage] = {}
        self._decoded: dict[int, tuple[Object, io.BytesIO]] = {}

    def load_pickle(self) -> Any:
        """Reads the object of a bare pickle, as Python and NVIDIA write them."""
        return unpickle(Window(self._file, 0, self.size), self._budget)

    def load_stream(self) -> Any:
        """Reads the object in a file that torch.save wrote before PyTorch 1.6."""
        root, self._blobs = self._stream(self._file, 0, self.size)
        return root

    def _stream(self, file: BinaryIO, start: int, end: int) -> tuple[Any, dict[str, Blob]]:
        """Reads five pickles and the numbers behind them; returns the fourth's object, and where its storages lie."""
        window = Window(file, start, end)
        if unpickle(window, self._budget) != _MAGIC or unpickle(window, self._budget) != 1001:
            raise MalformedError("it is not a file of torch.save")
        unpickle(window, self._budget)  # what system wrote it
        root, keys = unpickle(window, self._budget), unpickle(window, self._budget)
        if not isinstance(keys, list):
            raise MalformedError("its list of tensors is damaged")
        blobs: dict[str, Blob] = {}
        sizes = _item_sizes(root)
        for key in keys:
            (count,) = struct.unpack("<q", window.read(8))
            if not isinstance(key, str) or key not in sizes:
                raise MalformedError("its list of tensors is damaged")
            length = count * sizes[key]
            if not 0 <= length <= window.remaining():
                raise MalformedError(f"{length} bytes are announced where {window.remaining()} are left")
            blobs[key] = Blob(window.tell(), length)
            window.skip(length)
        return root, blobs

    def load_zip(self) -> Any:
        """Reads the object in a zip file of torch.save."""
        try:
            with open_zip(self._file, _DIRECTORY) as archive:
                entries = {i.filename.partition("/")[2]: self._entry(i) for i in archive.infolist()}
        except LongDirectoryError as error:
            raise MalformedError(str(error)) from None
        # NotImplementedError: zipfile's word for what torch.save never writes, and damage can ask for.
        except (zipfile.BadZipFile, NotImplementedError, struct.error, UnicodeDecodeError) as error:
            raise MalformedError(f"its zip archive is damaged ({error})") from None
        if "data.pkl" not in entries:
            raise MalformedError("it is a zip archive, but not one of torch.save")
        self._blobs = {name.removeprefix("data/"): blob for name, blob in entries.items() if name.startswith("data/")}
        start, length = entries["data.pkl"]
        return unpickle(Window(self._file, start, start + length), self._budget)

    def _entry(self, info: zipfile.ZipInfo) -> Blob:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise MalformedError("its zip archive is compressed, which torch.save never does")
        self._file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", self._file.read(4))
        start = info.header_offset + 30 + name + extra
        if start + info.file_size > self.size:
            raise MalformedError("it breaks off")
        return Blob(start, info.file_size)

    def tensor(self, value: Any) -> StoredTensor | None:
        """Returns the tensor or array that ``value`` describes; None if it describes something else."""
        match value:
            case Object(name="torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state"):
                return self._rebuilt(value.args[0])
        return self._rebuilt(value)

    def _rebuilt(self, value: Any) -> StoredTensor | None:
        match value:
            case Object(name="torch._utils._rebuild_tensor_v2", args=(storage, offset, tuple(size), tuple(stride), *_)):
                dtype, file, blob = self._storage(storage)
                return StoredTensor(file, self._budget, blob, dtype, size, stride, offset)
            case Object(state=(_, tuple(shape), dtype, fortran, data)) if value.name.endswith(
                ".multiarray._reconstruct"
            ):
                return self._array(shape, _numpy_dtype(dtype), data, fortran=bool(fortran))
            case Object(args=(dtype, data)) if value.name.endswith(".multiarray.scalar"):
                return self._array((), _numpy_dtype(dtype), data, fortran=False)
        return None

    def number(self, value: Any) -> Any:
        """Converts a number of NumPy to a plain one; returns any other ``value`` as it is."""
        match value:
            case Object(args=(Object(args=(str(kind), *_)), _)) if value.name.endswith(".scalar") and kind in _NUMPY:
                stored = self._rebuilt(value)
                return value if stored is None else stored.stored().item()
        return value

    def _storage(self, value: Any) -> Storage:
        match value:
            case Object(name="torch.storage._load_from_bytes", args=(stream,)):
                file, blob = self._bytes(stream)
                key = id(file), blob
                if key not in self._nested:  # tensors may share it
                    root, blobs = self._stream(file, blob.start, blob.start + blob.length)
                    self._nested[key] = _persistent(root, file, blobs)
                return self._nested[key]
        return _persistent(value, self._file, self._blobs)

    def _bytes(self, value: Any) -> tuple[BinaryIO, Blob]:
        """Returns where the bytes of ``value`` lie: a file, and a part of it. Pickles of protocol 2 and before hold
        bytes as text, one character for each.
        """
        match value:
            case Blob():
                return self._file, value
            case Object(name="_codecs.encode", args=(str() | LongText() as text, "latin1" | "latin-1")):
                if id(value) not in self._decoded:
                    self._decoded[id(value)] = value, io.BytesIO(self._decode(text))
                stream = self._decoded[id(value)][1]
                return stream, Blob(0, stream.getbuffer().nbytes)
        raise MalformedError("a tensor's numbers are missing")

    def _decode(self, text: str | LongText) -> bytes:
        if isinstance(text, LongText):
            self._budget.copy(text.length)
            self._file.seek(text.start)
            text = self._file.read(text.length).decode("utf-8")
        else:
            self._budget.copy(len(text))
        return text.encode("latin1")

    def _array(self, shape: tuple[int, ...], dtype: torch.dtype, data: Any, *, fortran: bool) -> StoredTensor:
        if len(shape) > _DIMENSIONS or not all(map(_is_size, shape)):
            raise MalformedError("an array in it has an impossible shape")
        order = shape if fortran else shape[::-1]
        strides = [math.prod(order[:i]) for i in range(len(order))]
        file, blob = self._bytes(data)
        return StoredTensor(file, self._budget, blob, dtype, shape, tuple(strides if fortran else strides[::-1]))


def _persistent(value: Any, file: BinaryIO, blobs: dict[str, Blob]) -> Storage:
    dtype, key, count = _storage_key(value)
    blob = blobs.get(key)
    if blob is None or blob.length != count * dtype.itemsize:
        raise MalformedError(f"a tensor of {count} values is announced, and others are stored")
    return dtype, file, blob


def _storage_key(value: Any) -> tuple[torch.dtype, str, int]:
    match value:
        case Object(name="persistent", args=(("storage", Global(kind), str(key), _, int(count), *view),)):
            dtype = _DTYPES.get(kind.removeprefix("torch.").removesuffix("Storage"))
            if dtype is not None and count >= 0 and view in ([], [None]):
                return dtype, key, count
    raise MalformedError("a tensor's storage is of an unknown kind")


def _item_sizes(root: Any) -> dict[str, int]:
    """Returns the bytes per value of each storage in ``root``, by key: a stream counts values, not bytes."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    queue = [root]
    while queue:
        value = queue.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        match value:
            case Object(name="persistent"):
                dtype, key, _ = _storage_key(value)
                sizes[key] = dtype.itemsize
            case Object():
                queue += [value.args, value.state, value.items]
            case dict():
                queue += value.values()
            case list() | tuple():
                queue += value
    return sizes


def _numpy_dtype(value: Any) -> torch.dtype:
    match value:
        case Object(name="numpy.dtype", args=(str(kind), *_), state=(_, "<" | "|" | "=", *_)) if kind in _NUMPY:
            return _NUMPY[kind]
    raise MalformedError("an array is of an unknown kind")
