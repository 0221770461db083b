# SPDX-License-Identifier: Apache-2.0
"""Reads NumPy's .npy files and .npz archives; memory stays in proportion to the file's size."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from effigy_protocol.files import file_problem

from .zip_files import LongDirectoryError, open_zip

_RATIO = 32  # bytes in memory for one in the file: numbers of measurements compress to half at best
_FREE = 64 << 20  # bytes that every file may take
_DIRECTORY = 1 << 16  # bytes of an archive's directory: some thousand arrays
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # as NumPy does; others may ask for gigabytes to unpack a byte


_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # of zipfile, for what is encrypted or of another version; RecursionError, of a header
    SyntaxError,
    TypeError,
    tokenize.TokenError,
)


def read_array(path: Path) -> NDArray[Any]:
    """Reads the array in ``path``, as numpy.save writes it. Raises ValueError that says what is wrong."""
    if problem := file_problem(path):
        raise ValueError(problem)
    try:
        with path.open("rb") as file:
            return _read(file, path.name)
    except MemoryError:
        raise ValueError(f"{path} does not fit into the memory that is free: free some") from None
    except _DAMAGED as error:
        raise ValueError(f"{path} is not an .npy file of an array, or damaged ({str(error)[:100]})") from None


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Reads the arrays in ``path``, as numpy.savez writes them. Raises ValueError that says what is wrong."""
    if problem := file_problem(path):
        raise ValueError(problem)
    left = _FREE + _RATIO * path.stat().st_size
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with path.open("rb") as file, open_zip(file, _DIRECTORY) as archive:
            for member in archive.infolist():
                if not member.filename.endswith(".npy"):
                    raise ValueError(f"{path} holds {member.filename[:80]!r}, which is no array")
                if member.compress_type not in _PACKED:
                    raise ValueError(f"{path} holds {member.filename[:80]!r}, packed as numpy.savez never does")
                left -= member.file_size
                if left < 0:
                    raise ValueError(f"{path} would take {_FREE + _RATIO * path.stat().st_size - left} bytes of memory")
                with archive.open(member) as stream:
                    arrays[member.filename.removesuffix(".npy")] = _read(stream, member.filename)
    except MemoryError:
        raise ValueError(f"{path} does not fit into the memory that is free: free some") from None
    except LongDirectoryError as error:
        raise ValueError(f"{path} holds more files than an .npz archive of arrays: {error}") from None
    except _DAMAGED as error:
        raise ValueError(f"{path} is not an .npz archive of arrays, or damaged ({str(error)[:100]})") from None
    return arrays


def _read(stream: IO[bytes], name: str) -> NDArray[Any]:
    """Reads the array in ``stream``. Its size is checked against its header first, because NumPy would allocate that
    much.
    """
    version = npy.read_magic(stream)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"{name[:80]!r} has a header of version {version}, which plain arrays have not")
    shape, is_fortran, dtype = read_header(stream)
    data = stream.read()
    if dtype.hasobject or np.prod(shape, dtype=object) * dtype.itemsize != len(data):
        raise ValueError(f"{name[:80]!r} holds {len(data)} bytes, where its header says otherwise")
    return np.ndarray(shape, dtype, bytearray(data), order="F" if is_fortran else "C")
