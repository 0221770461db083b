# SPDX-License-Identifier: Apache-2.0
"""Measures how good the fit is: turns requested and read, errors of unseen people, steps of an inverse."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..editing import InverseOptions
from ..editing.parameters import ALPHA, Parameters
from ..faces import FaceModel
from ..fitting.evaluation import FIRST_SEED, seen
from ..fitting.report import measured_turns
from ..geometry import infer, project
from ..geometry.camera import Array
from ..landmarks import Detector
from .markup import curves_markup, turn_words

_PEOPLE = 3  # of the calibration
_ANGLES = 7
_REACH = 0.9  # of the pose range
_FACES = 24  # of the error curve
_DESCENTS = (1, 3, 6, 12, 25, 60)
_STEPS = (1, 2, 3, 4, 6)

# The lines' colours: told apart by the colour-blind (Okabe and Ito), and seen on light and dark.
_COLOURS = {"newton": "#d55e00", "linear": "#0072b2", "alternating": "#009e73", "gradient": "#cc79a7"}
_INK = "#857c73"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns requested [n] and read in the pictures of unseen people [people, n], degrees; by axis."""

    asked: Array
    read: Array

    @property
    def slope(self) -> float:
        return float(np.polyfit(np.tile(self.asked, len(self.read)), self.read.ravel(), 1)[0])

    @property
    def error(self) -> float:
        """Mean absolute error, degrees."""
        return float(np.abs(self.read - self.asked).mean())


def calibrate(model: FaceModel, detector: Detector, people: int = _PEOPLE, angles: int = _ANGLES) -> list[Calibration]:
    """Measures the turns in pictures of requested turns; returns the calibrations of yaw and of pitch."""
    found = []
    for axis, reach in enumerate(model.pose_range):
        asked = np.linspace(-_REACH * reach, _REACH * reach, angles)
        rows = [measured_turns(model, detector, FIRST_SEED + number, asked, axis) for number in range(people)]
        found.append(Calibration(asked, np.stack(rows)))
    return found


def unseen_errors(model: FaceModel, detector: Detector, faces: int = _FACES) -> tuple[Array, Array]:
    """Measures landmark errors on people that no fit has sampled, in percent of the outer-eye distance.

    Returns those of the shape model, fitted to each picture, and those of the regressor φ, which only knows the latent;
    both are sorted, [n].
    """
    people = [model.open_seed(FIRST_SEED + number) for number in range(faces)]
    points = detector.detect(seen(model, torch.stack([person.ws for person in people]))).cpu().double().numpy()
    kept = np.isfinite(points).all(axis=(1, 2))
    views = infer(model.shape, points[kept])
    fitted = project(model.shape.shape(views.alpha), views.camera)
    of_shape = _distance(fitted - points[kept], views.camera.s)
    q = np.stack([person.q for person in people])[kept]
    of_latent = project(model.shape.shape(q[:, ALPHA]), Parameters.from_vector(q).camera)
    return np.sort(of_shape), np.sort(_distance(of_latent - points[kept], views.camera.s))


def approach(model: FaceModel, seed: int = FIRST_SEED) -> dict[str, list[tuple[int, float]]]:
    """Measures how far each inverse is from a large turn after each number of steps, in degrees by φ, by method."""
    person = model.open_seed(seed)
    yaw, pitch = (0.7 * reach for reach in model.pose_range)
    whole = float(np.hypot(yaw - person.pose.yaw, pitch - person.pose.pitch))

    def left(options: InverseOptions) -> float:
        residual = model.edit(person, yaw, pitch, {}, options).residual
        return float(np.hypot(residual["yaw"], residual["pitch"]))

    start = [(0, whole)]
    return {
        "newton": start + [(n, left(InverseOptions("newton", steps=n))) for n in _STEPS],
        "linear": [*start, (1, left(InverseOptions("linear")))],
        "alternating": start + [(n, left(InverseOptions("alternating", steps=n))) for n in _STEPS],
        "gradient": start + [(n, left(InverseOptions("gradient", descents=n))) for n in _DESCENTS],
    }


def measure_and_draw(model: FaceModel, detector: Detector | None) -> str:
    """Measures and draws all curves, as HTML. It takes as long as painting about 70 pictures."""
    figures = [
        (
            "The way of an inverse",
            "What is left of a turn of seven tenths of the range, after so many steps: fewer and lower is better",
            draw_approach(approach(model)),
        )
    ]
    if detector is not None:
        of_shape, of_phi = unseen_errors(model, detector)
        turns = calibrate(model, detector)
        words = "; ".join(
            turn_words(name, turn.slope, turn.error, turn.asked)
            for name, turn in zip(("yaw", "pitch"), turns, strict=True)
        )
        means = f"mean error {of_shape.mean():.2f} % of the shape model, {of_phi.mean():.2f} % of the regressor"
        figures = [
            ("Calibration of turns", words, draw_calibration(turns)),
            ("Errors of unseen people", means, draw_errors(of_shape, of_phi)),
            *figures,
        ]
    return curves_markup(figures)


def draw_calibration(found: list[Calibration]) -> str:
    """Draws turns requested against turns measured, as SVG."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    for axes, name, turn in zip(figure.subplots(1, 2), ("yaw", "pitch"), found, strict=True):
        axes.plot(turn.asked, turn.asked, color=_INK, linewidth=0.8)
        axes.plot(turn.asked, turn.read.T, "o", color=_COLOURS["newton"], markersize=4, alpha=0.8)
        axes.set_title(f"{name}: slope {turn.slope:.3f}, error {turn.error:.2f}°")
        _name(axes, "asked, °", "read in the picture, °")
    return _svg(figure)


def draw_errors(of_shape: Array, of_phi: Array) -> str:
    """Draws the sorted landmark errors, as SVG."""
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for values, name, colour in (
        (of_shape, "shape model, fitted to the picture", _COLOURS["linear"]),
        (of_phi, "regressor φ, from the latent alone", _COLOURS["newton"]),
    ):
        share = 100 * (np.arange(len(values)) + 1) / max(len(values), 1)
        axes.step(values, share, where="post", color=colour, label=name)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 102)
    _name(axes, "landmark error, % of the outer-eye distance", "share of unseen people, %")
    axes.legend(frameon=False, labelcolor=_INK, loc="lower right")
    return _svg(figure)


def draw_approach(found: dict[str, list[tuple[int, float]]]) -> str:
    """Draws how fast each inverse converges, as SVG."""
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots()
    for method, points in found.items():
        axes.plot(*zip(*points, strict=True), "o-", color=_COLOURS[method], markersize=3.5, label=method)
    axes.set_xscale("symlog")
    axes.set_yscale("log")
    axes.set_xticks([0, 1, 2, 4, 10, 25, 60], ["0", "1", "2", "4", "10", "25", "60"])
    _name(axes, "steps", "left of the turn, °, as φ reads it")
    axes.legend(frameon=False, labelcolor=_INK)
    return _svg(figure)


def _distance(apart: Array, scale: Array) -> Array:
    return 100 * np.linalg.norm(apart, axis=1).mean(axis=1) / scale


def _name(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.title.set_color(_INK)
    axes.title.set_fontsize(10)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]  # without the XML declaration, which HTML has no place for
