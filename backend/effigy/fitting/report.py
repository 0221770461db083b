# SPDX-License-Identifier: Apache-2.0
"""Writes the report of a fit, a page with pictures.

``report.md`` shows ``reprojection.png`` (error of every sample), ``basis.png`` (the deformations from the front and the
side), ``controls.png`` (turns and controls on unseen people) and ``calibration.png`` (turns asked against turns
measured in the pictures).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from imageio.v3 import imwrite
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..faces.face import FaceModel
from ..faces.identity import Identity
from ..geometry import angles, infer
from ..geometry.camera import Array
from ..landmarks import Detector
from .evaluation import FIRST_SEED, seen
from .fit import FitReport

_PEOPLE = 3  # unseen identities on the sheet
_STEPS = 5  # pictures of a strip
_SHAPES = 6  # deformations shown
_SIGMA = 2.5  # standard deviations that they are shown at
_CALIBRATED = 8  # identities of the calibration
_ANGLES = 9
_MARGIN, _TITLE = 4, 16  # pixels


def write_report(
    model: FaceModel,  # what was fitted
    detector: Detector,  # measures its pictures
    report: FitReport,  # what the fit said
    folder: Path,  # where the pages go
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Writes report.md and its pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _reprojection(report, folder / "reprojection.png")
    progress(1, 4)
    _basis(model, folder / "basis.png")
    progress(2, 4)
    imwrite(folder / "controls.png", control_sheet(model, [FIRST_SEED + i for i in range(_PEOPLE)]))
    progress(3, 4)
    slopes = _calibration(model, detector, folder / "calibration.png")
    (folder / "report.md").write_text(_page(model, report, slopes), encoding="utf-8")
    progress(4, 4)


def control_sheet(model: FaceModel, seeds: list[int], truncation: float = 0.7) -> NDArray[np.uint8]:
    """Paints a sheet, uint8 [H, W, 3]: a strip for each turn and control of each identity, growing to the right."""
    strips: list[tuple[str, list[dict[str, float]]]] = []
    for axis, reach in zip(("yaw", "pitch"), model.pose_range, strict=True):
        strips.append((axis, [{axis: float(a)} for a in np.linspace(-reach, reach, _STEPS)]))
    for control in model.controls.values():
        strips.append(
            (control.name, [{control.name: float(v)} for v in np.linspace(control.low, control.high, _STEPS)])
        )
    people = [model.open_seed(seed, truncation) for seed in seeds]
    rows = [_title_row(model, name, len(people)) for name, _ in strips]
    sheet = []
    for (_, asked), title in zip(strips, rows, strict=True):
        pictures = [np.concatenate([_picture(model, person, ask) for ask in asked], axis=1) for person in people]
        gap = np.full((len(pictures[0]), _MARGIN, 3), 255, np.uint8)
        joined = [part for picture in pictures for part in (picture, gap)][:-1]
        sheet += [title, np.concatenate(joined, axis=1)]
    return np.concatenate(sheet)


def _picture(model: FaceModel, person: Identity, ask: dict[str, float]) -> NDArray[np.uint8]:
    controls = {name: value for name, value in ask.items() if name in model.controls}
    edit = model.edit(person, ask.get("yaw", 0.0), ask.get("pitch", 0.0), controls)
    return model.paint(edit.ws[None])[0, ..., :3]


def _title_row(model: FaceModel, title: str, people: int) -> NDArray[np.uint8]:
    width = people * (_STEPS * model.generator.resolution[1] + _MARGIN) - _MARGIN
    row = Image.new("RGB", (width, _TITLE), "white")
    ImageDraw.Draw(row).text((_MARGIN, 2), title, fill="black")
    return np.asarray(row)


def _reprojection(report: FitReport, path: Path) -> None:
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.hist(report.shape_nme, bins=80, color="0.4")
    axes.axvline(report.shape_nme_percent, color="C1", label=f"mean {report.shape_nme_percent:.2f} %")
    axes.set(xlabel="distance of the shape model to the landmarks, % of the outer-eye distance", ylabel="samples")
    axes.legend()
    figure.savefig(path)


def _basis(model: FaceModel, path: Path) -> None:
    size = np.sqrt((model.shape.basis**2).sum(axis=1).mean(axis=1))
    largest = np.argsort(-size)[:_SHAPES]
    figure = Figure(figsize=(2.2 * len(largest), 5), layout="constrained")
    grid = figure.subplots(2, len(largest), squeeze=False)
    for column, number in enumerate(largest):
        for sign, colour in ((-_SIGMA, "C0"), (_SIGMA, "C1")):
            X = model.shape.mean + sign * model.shape.basis[number]
            _wire(grid[0, column], X[0], X[1], model.triangles, colour)
            _wire(grid[1, column], X[2], X[1], model.triangles, colour)
        grid[0, column].set_title(f"shape {number}", fontsize=9)
    figure.suptitle(f"deformations at −{_SIGMA} (blue) and +{_SIGMA} (orange) standard deviations: front and side")
    figure.savefig(path)


def _wire(axes: Axes, x: Array, y: Array, triangles: NDArray[np.int64], colour: str) -> None:
    if len(triangles):
        axes.triplot(x, y, triangles, color=colour, linewidth=0.4)
    else:
        axes.plot(x, y, ".", color=colour, markersize=2)
    axes.set_aspect("equal")
    axes.axis("off")


def _calibration(model: FaceModel, detector: Detector, path: Path) -> tuple[float, float]:
    """Draws yaw and pitch, asked against measured; returns their slopes."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    slopes = []
    for axis, (axes, reach) in enumerate(zip(figure.subplots(1, 2), model.pose_range, strict=True)):
        asked = np.linspace(-0.9 * reach, 0.9 * reach, _ANGLES)
        found = np.stack([measured_turns(model, detector, FIRST_SEED + i, asked, axis) for i in range(_CALIBRATED)])
        slopes.append(float(np.polyfit(np.tile(asked, _CALIBRATED), found.ravel(), 1)[0]))
        axes.plot(asked, asked, color="0.7")
        axes.plot(asked, found.T, ".", color="C0", markersize=4)
        name = ("yaw", "pitch")[axis]
        axes.set(xlabel=f"{name} asked, °", ylabel="measured on the picture, °", title=f"slope {slopes[-1]:.3f}")
        axes.set_aspect("equal")
    figure.savefig(path)
    return slopes[0], slopes[1]


def measured_turns(model: FaceModel, detector: Detector, seed: int, asked: Array, axis: int) -> Array:
    """Measures yaw (axis 0) or pitch (axis 1) in degrees in pictures of one identity, for each angle in ``asked``."""
    person = model.open_seed(seed)
    poses = [(float(a), 0.0) if axis == 0 else (0.0, float(a)) for a in asked]
    images = seen(model, torch.stack([model.edit(person, *pose, {}).ws for pose in poses]))
    views = infer(model.shape, detector.detect(images).cpu().double().numpy())
    return np.degrees(angles(views.camera.R)[axis])


def _page(model: FaceModel, report: FitReport, slopes: tuple[float, float]) -> str:
    paper = (
        ""
        if report.paper_nme_percent is None
        else f"| the paper's regressor, unseen | {report.paper_nme_percent:.2f} % |\n"
    )
    controls = "\n".join(f"| {c.name} | {c.group} | {c.low:.2f} … {c.high:.2f} |" for c in model.controls.values())
    hidden = "".join(
        f"| {name} | | left out: pictures show {share:.2f} of it |\n" for name, share in report.unshown.items()
    )
    height, width = model.generator.resolution
    looks = "nothing: these landmarks are not a face's" if report.looks is None else str(report.looks)
    edits = f"{report.corrected.edits_before:.2f} %, {report.corrected.edits:.2f} %"
    return f"""# {model.name}

Fitted on {report.samples} sampled pictures of {width} × {height} pixels, {model.topology.name} landmarks.
Errors are mean landmark distances in percent of the outer-eye distance.

| | |
|---|---|
| shape model, on its samples | {report.shape_nme_percent:.2f} % |
| regressor, unseen latents | {report.regressor_nme_percent:.2f} % |
| – unseen edits, before and after others were learnt from | {edits} |
{paper}| yaw, measured over asked | {slopes[0]:.3f}, to ±{model.pose_range[0]:.0f}° |
| pitch | {slopes[1]:.3f}, to ±{model.pose_range[1]:.0f}° |
| edits hold | {looks} |

| control | group | range |
|---|---|---|
{controls}
{hidden}
![Error of every sample](reprojection.png)
![Deformations](basis.png)
![Turns asked and measured](calibration.png)
![Turns and controls on unseen people; requested values grow to the right](controls.png)
"""
