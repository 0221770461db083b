# SPDX-License-Identifier: Apache-2.0
"""Reads directions of attributes: from the generator's own weights, files of directions, or labels.

| written as | what |
|---|---|
| ``sefa:N`` | component N of SeFa (Shen & Zhou, CVPR 2021), in closed form from the layers that read styles |
| ``FILE.npy`` | a boundary or direction as InterFaceGAN writes them, [1, w_dim] or a row for each layer |
| ``FILE.npz:N``, ``FILE.pt:N`` | component N, from 0, of GANSpace's (``lat_comp`` or ``comp``, …) |
| ``FILE.csv``, ``FILE.csv:COLUMN`` | labels of people by ``seed``, in the column ``value`` or another |
| ``FILE.npz`` with ``latents`` and ``values`` | labels of latents |

``@FIRST-LAST`` behind any of them keeps to these rows of w+, from 0. All are read as data; nothing in a file is called.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from effigy_protocol.files import file_problem

from ..array_files import read_array, read_arrays
from ..faces import FaceModel
from ..generators import Generator
from ..generators.checkpoints.loose import read_loose_tensors
from ..geometry.camera import Array

_PARTS = re.compile(r"(?P<what>.+?)(?::(?P<part>[^:@/\\]+))?(?:@(?P<first>\d{1,6})-(?P<last>\d{1,6}))?")
_COMPONENTS = ("lat_comp", "comp", "components", "act_comp")  # in GANSpace's files, the best first
_LARGEST = 256 << 20  # bytes of a file
_LARGEST_TABLE = 8 << 20
_FEWEST, _MOST = 20, 100_000  # people with a label
_TOGETHER = 1024  # of whom latents are made
_COMPONENT = re.compile(r"\d{1,6}")
_TRUNCATION = 0.7  # ψ of labelled people, where a table does not say
_LEAST = 0.2  # correlation of predictions with the labels of people left out: less is chance
_RIDGES = np.geomspace(1e-3, 1e2, 11)  # times the number of people


class SourceError(Exception):
    """A source of an attribute that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of whitened latents [num_ws, M], of any length, and the rows of w+ it may use: [num_ws, 1], 0 or 1."""

    v: Tensor
    rows: Tensor
    note: str = ""  # for people: how well it is known


def read_step(model: FaceModel, source: str, held: Tensor) -> Step:
    """Reads the step that ``source`` (see above) describes. SeFa's are orthogonal to the gradients ``held`` [P, M].

    Raises SourceError, or GeneratorFileError for a file that would run something.
    """
    found = _PARTS.fullmatch(source)
    if found is None:
        raise SourceError(f"{source[:100]!r} is no source of an attribute: see 'effigy bundle learn-attributes --help'")
    what, part = found["what"], found["part"]
    rows = _rows(model, found["first"], found["last"])
    if what == "sefa":
        return Step(_spread(model, _sefa(model, _number(part, source), rows, held)), rows)
    try:
        path = Path(what).expanduser()
    except RuntimeError:
        raise SourceError(f"there is no home of {what[:100]!r}: give the file's whole path") from None
    if problem := file_problem(path, "source of an attribute"):
        raise SourceError(problem)
    if path.stat().st_size > (most := _LARGEST_TABLE if path.suffix.lower() == ".csv" else _LARGEST):
        raise SourceError(f"{path} has more than {most >> 20} MiB, which no directions or labels need")
    try:
        match path.suffix.lower():
            case ".csv":
                v, note = _labelled(*_table(model, path, part or "value"))
                return Step(_spread(model, v), rows, note)
            case ".npz" if {"latents", "values"} <= (arrays := read_arrays(path)).keys():
                v, note = _labelled(_whitened(model, arrays["latents"]), _values(arrays["values"]))
                return Step(_spread(model, v), rows, note)
            case ".npz":
                tensors = {name: torch.from_numpy(_floats(arrays[name])) for name in _COMPONENTS if name in arrays}
                return Step(_spread(model, _component(model, tensors, part, source)), rows)
            case ".npy":
                return Step(_boundary(model, torch.from_numpy(_floats(read_array(path)))), rows)
            case ".pt" | ".pth" | ".pkl":
                tensors = {name: values.double() for name, values in read_loose_tensors(path).items()}
                if part is None:
                    return Step(_boundary(model, next(iter(tensors.values()))), rows)
                return Step(_spread(model, _component(model, tensors, part, source)), rows)
    except (ValueError, OSError, csv.Error) as error:
        raise SourceError(f"{path} cannot be used: {error}") from None
    raise SourceError(f"{path} is no .npy, .npz, .pt, .pkl or .csv: see 'effigy bundle learn-attributes --help'")


def _rows(model: FaceModel, first: str | None, last: str | None) -> Tensor:
    """Returns the mask [num_ws, 1]: 1 for the rows from ``first`` to ``last``, or for all without them."""
    count = model.generator.num_ws
    if first is None or last is None:
        return torch.ones(count, 1, dtype=torch.float64)
    if not int(first) <= int(last) < count:
        raise SourceError(f"there are no rows {first} to {last}: this generator's latents have rows 0 to {count - 1}")
    number = torch.arange(count)[:, None]
    return ((number >= int(first)) & (number <= int(last))).double()


def _spread(model: FaceModel, v: Tensor) -> Tensor:
    """Repeats one row [M] for all of w+, [num_ws, M]."""
    return v.expand(model.generator.num_ws, -1)


def _number(part: str | None, source: str) -> int:
    if part is None or not _COMPONENT.fullmatch(part):
        raise SourceError(f"{source[:100]!r} names no component: write its number behind a colon")
    return int(part)


def _sefa(model: FaceModel, number: int, rows: Tensor, held: Tensor) -> Tensor:
    """Returns component ``number``, from 1, of the steps orthogonal to ``held`` [P, M] that change the styles most,
    [M].

    SeFa takes the eigenvectors of AᵀA, A the weights by which layers read their styles from w, each style scaled alike.
    Here steps are of whitened latents, so a style counts by how much people differ in it, and what the slopes
    ``held`` see is left out before.
    """
    generator, basis = model.generator, model.regressor.whitening.basis.double()
    if not generator.has_styles:
        raise SourceError(
            "SeFa needs a generator such as a StyleGAN, whose layers read styles from w: give a file or labels instead"
        )
    steps = torch.cat([torch.zeros_like(basis[:1]), basis]).float().to(generator.device)  # [1 + M, w_dim]
    ws = model.open_seed(0, truncation=0.0).ws.to(generator.device) + steps[:, None] * rows.float().to(generator.device)
    with torch.inference_mode():
        styles = torch.cat([style.reshape(len(ws), -1) for style in generator.styles(ws)], dim=1).double().cpu()
    A = (styles[1:] - styles[0]).T  # [S, M]
    size = A.norm(dim=1, keepdim=True)
    A = A / size.clamp_min(1e-6 * float(size.max()))
    free = torch.linalg.svd(held, full_matrices=True)[2][len(held) :]  # [M − P, M]
    if not 1 <= number <= len(free):
        raise SourceError(f"there is no component {number} of SeFa: they run from 1 to {len(free)}")
    found = torch.linalg.eigh(free @ A.T @ A @ free.T)[1].flip(1)[:, number - 1] @ free
    # Of the two signs, which mean the same, always one.
    return found * found[found.abs().argmax()].sign()


def _boundary(model: FaceModel, normal: Tensor) -> Tensor:
    """Converts the normal of a boundary in w, [w_dim] or a row for each layer, to a step of v [num_ws, M].

    A classifier's score is n · w. The most probable step that raises it is Σ n, with Σ the covariance of w. In whitened
    latents v, with w = w̄ + v · B, that step is B n.
    """
    count, width = model.generator.num_ws, model.generator.w_dim
    if normal.numel() not in (width, count * width):
        raise ValueError(f"it holds {list(normal.shape)} numbers, where a direction of this generator has {width}")
    return normal.reshape(-1, width).expand(count, -1) @ model.regressor.whitening.basis.double().T


def _component(model: FaceModel, tensors: dict[str, Tensor], part: str | None, source: str) -> Tensor:
    """Returns a principal component of w as a step of v [M]."""
    number, width = _number(part, source), model.generator.w_dim
    found = next((tensors[name] for name in (*_COMPONENTS, "") if name in tensors), None)
    if found is None:
        raise ValueError(f"it holds no components, which would be called {' or '.join(_COMPONENTS)}")
    if found.ndim == 0 or found.shape[-1] != width:
        raise ValueError(f"its components are {list(found.shape)}, where this generator's latents have {width} numbers")
    components = found.reshape(-1, width)
    if number >= len(components):
        raise ValueError(f"there is no component {number}: they run from 0 to {len(components) - 1}")
    return components[number] @ model.regressor.whitening.inverse.double()


def _whitened(model: FaceModel, latents: Array) -> Tensor:
    """Whitens latents [N, w_dim] or [N, num_ws, w_dim]: v [N, M]. Raises ValueError."""
    w = torch.from_numpy(_floats(latents))
    if w.ndim == 3:
        w = w.mean(dim=1)
    if w.ndim != 2 or w.shape[1] != model.generator.w_dim:
        raise ValueError(f"its latents are {list(latents.shape)}, not [N, {model.generator.w_dim}]")
    whitened: Tensor = model.regressor.whitening(w)
    return whitened


def _table(model: FaceModel, path: Path, column: str) -> tuple[Tensor, Array]:
    """Reads the people of a table as v [N, M], and their labels [N]. People with an empty cell are left out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        if missing := [name for name in ("seed", column) if name not in names]:
            raise ValueError(
                f"its first line names no column {missing[0]!r}, but {', '.join(names)[:200] or 'nothing'}"
            )
        if twice := [name for name in ("seed", "truncation", column) if names.count(name) > 1]:
            raise ValueError(f"its first line names the column {twice[0]!r} twice: rename one")
        seeds: list[int] = []
        truncations: list[float] = []
        values: list[float] = []
        for row in reader:
            if (cell := (row[column] or "").strip()) == "":
                continue
            try:
                seed, value = int(row["seed"]), float(cell)
                truncation = float(row.get("truncation") or _TRUNCATION)
            except (TypeError, ValueError):
                raise ValueError(f"line {reader.line_num} holds no seed and number: {str(row)[:100]}") from None
            if not 0 <= seed < 2**32 or not 0 <= truncation <= 2 or not np.isfinite(value):
                raise ValueError(f"line {reader.line_num} is out of range: {str(row)[:100]}")
            if len(seeds) == _MOST:
                raise ValueError(f"it labels more than {_MOST} people: some thousand are enough")
            seeds.append(seed)
            truncations.append(truncation)
            values.append(value)
    if not seeds:
        raise ValueError(f"its column {column} holds no labels")
    return model.regressor.whitening(_mapped(model.generator, seeds, truncations)), np.array(values)


def _mapped(generator: Generator, seeds: list[int], truncations: list[float]) -> Tensor:
    """Maps people by seed and truncation to w [N, w_dim], some at a time."""
    found = []
    with torch.no_grad():
        mean = generator.map(torch.zeros(1, generator.z_dim, device=generator.device), 0.0)[:, 0].cpu().double()
        for start in range(0, len(seeds), _TOGETHER):
            some = slice(start, start + _TOGETHER)
            z = np.stack([np.random.RandomState(seed).randn(generator.z_dim) for seed in seeds[some]])
            w = generator.map(torch.from_numpy(z).float().to(generator.device))[:, 0].cpu().double()
            found.append(mean + torch.tensor(truncations[some], dtype=torch.float64)[:, None] * (w - mean))
    return torch.cat(found)


@np.errstate(all="ignore")  # what overflows predicts nothing, and is refused
def _labelled(v: Tensor, values: Array) -> tuple[Tensor, str]:
    """Returns the step [M] of v along which labels grow, by ridge regression, and the correlation of its predictions.

    The penalty is the one with the best predictions of people who are left out, one at a time.
    """
    if len(v) != len(values) or len(v) < _FEWEST:
        raise ValueError(
            f"it labels {len(values)} of {len(v)} people: at least {_FEWEST} are needed, each with one label"
        )
    if np.ptp(values) == 0:
        raise ValueError("all its labels are the same")
    X, y = (v - v.mean(dim=0)).numpy(), (values - values.mean()) / values.std()
    U, sizes, Vt = np.linalg.svd(X, full_matrices=False)
    best, step = -1.0, np.zeros(X.shape[1])
    for ridge in _RIDGES * len(X):
        shrunk = sizes**2 / (sizes**2 + ridge)
        told = U @ (shrunk * (U.T @ y))
        leverage = (U**2 * shrunk).sum(axis=1) + 1 / len(X)  # 1/N: of the mean
        others = y - (y - told) / np.maximum(1 - leverage, 1e-6)
        correlation = float(np.corrcoef(others, y)[0, 1]) if np.ptp(others) > 0 else 0.0
        if correlation > best:
            best, step = correlation, Vt.T @ (sizes / (sizes**2 + ridge) * (U.T @ y))
    if best < _LEAST:
        raise ValueError(
            f"its labels cannot be predicted from latents (correlation {best:.2f} for people left out): label more"
        )
    return torch.from_numpy(step), f"{len(X)} labels, correlation {best:.2f}"


def _values(values: Array) -> Array:
    return _floats(values).reshape(-1)


def _floats(values: np.ndarray) -> Array:
    """Converts ``values`` to float64 and checks that they are finite. Raises ValueError."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"it holds {values.dtype}, and no numbers")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("it holds NaN or infinite values")
    return numbers
