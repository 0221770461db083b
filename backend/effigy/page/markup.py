# SPDX-License-Identifier: Apache-2.0
"""The page's own HTML: what Gradio's components do not offer, with names for the keyboard and for screen readers."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from effigy_protocol.transfer import RELIABLE

from ..faces import FaceModel
from ..faces.attributes import GROUP
from ..geometry.camera import Array
from ..painting.shots import over_white
from ..service.encode import png
from .methods import Compared
from .photographs import Photograph
from .portraits import shown
from .studio import as_source
from .view import HEAD, PICTURE, SHOWS

_STATIC = Path(__file__).parent / "static"
_TITLES = {PICTURE: "Picture", HEAD: "Head", "normal": "Normals", "depth": "Depth"}


def static(name: str) -> str:
    """Returns the text of a file of ``static/``."""
    return (_STATIC / name).read_text(encoding="utf-8")


def heading(model: FaceModel) -> str:
    height, width = model.generator.resolution
    about = f"{model.name} · {width} × {height} · {model.topology.name} · {len(model.controls)} controls"
    return f'<header class="masthead"><h1>Effigy</h1><p>{escape(about)}</p></header>'


def studio_markup(model: FaceModel) -> str:
    """Returns picture, person, pose pad and controls, as HTML; ``static/studio.js`` makes them work."""
    yaw, pitch = model.pose_range
    groups: dict[str, list[str]] = {}
    for control in model.controls.values():
        row = _range(control.name, control.name, control.low, control.high, "any")
        groups.setdefault(control.group, []).append(row)
    looks = [_range(each.name, each.name, each.low, each.high, "any") for each in model.attributes.values()]
    groups[GROUP] = [_range("keep", "Likeness", 0.0, 1.0, 0.01), *looks]
    controls = "".join(
        f'<fieldset class="{escape(group)}"><legend>{escape(group.capitalize())}</legend>{"".join(rows)}</fieldset>'
        for group, rows in groups.items()
    )
    return f"""
<div class="studio">
  <figure class="stage">
    <img class="face" alt="No picture yet">
    {_passes()}
    <figcaption><span class="note" role="status" aria-live="polite"></span>
      <a class="save" download="face.png" href="#">Save PNG</a></figcaption>
  </figure>
  <form class="rig" aria-label="Person, pose and expression" onsubmit="return false">
    <fieldset class="person"><legend>Person</legend>
      <div class="row">
        <label class="seed">Seed <input name="seed" type="number" min="0" max="4294967295" step="1" value="0"></label>
        <button name="chance" type="button">Another person</button>
      </div>
      {_range("truncation", "Variety", 0.0, 1.2, 0.01)}
    </fieldset>
    <fieldset class="pose"><legend>Pose</legend>
      <div class="pad" role="slider" tabindex="0" aria-label="Pose pad: arrow keys turn the head"
        aria-valuemin="{-yaw:.1f}" aria-valuemax="{yaw:.1f}" aria-valuenow="0" data-yaw="{yaw:.3f}"
        data-pitch="{pitch:.3f}"><span class="puck"></span></div>
      <div class="turns">{_range("yaw", "Yaw", -yaw, yaw, 0.1)}{_range("pitch", "Pitch", -pitch, pitch, 0.1)}</div>
    </fieldset>
    <div class="controls">{controls}</div>
    <div class="row"><button name="neutral" type="button">Neutral</button></div>
  </form>
</div>"""


def basis_markup() -> str:
    return """
<div class="basis">
  <figure class="stage"><canvas tabindex="0" role="img" aria-label="The mean face, turning"></canvas>
    <figcaption><span class="note" role="status">Drag, or press arrow keys, to turn the mesh.</span></figcaption>
  </figure>
  <form class="rig" aria-label="Raw coefficients of the shape model" onsubmit="return false">
    <div class="row"><button name="mean" type="button">Mean face</button><button name="draw" type="button">Draw
      one</button><button name="turning" type="button" aria-pressed="true">Turning</button></div>
    <div class="coefficients"></div>
  </form>
</div>"""


def methods_markup(compared: list[Compared], asked: str) -> str:
    """Returns a card for each method, with its figures, as HTML; ``asked`` describes the edit in words."""
    cards = "".join(_card(each) for each in compared)
    legend = (
        f'<div class="legend"><span class="asked">asked for: {escape(asked)}</span>'
        '<span class="read">read in the picture</span>'
        '<label class="toggle"><input type="checkbox" checked>Landmarks</label></div>'
    )
    note = "" if any(each.read for each in compared) else (
        '<p class="problem">Nothing can be read in these pictures: no detector finds this model\'s landmarks in them. '
        "Start the page with --landmarks and the detector of the fit.</p>"
    )  # fmt: skip
    return f'<div class="methods">{legend}<div class="cards">{cards}</div>{note}</div>'


def photograph_markup(photograph: Photograph, model: FaceModel) -> str:
    """Returns the photograph with its landmarks, and what was read in it, as HTML."""
    reading = photograph.reading
    height, width, _ = photograph.picture.shape
    known = {} if model.photo_map is None else model.photo_map.correlations
    rows = [(name, f"{getattr(reading, name):+.1f}°", known.get(name)) for name in ("yaw", "pitch", "roll")]
    rows += [(name, f"{value:+.2f}", known.get(name)) for name, value in reading.controls.items()]
    body = "".join(
        f'<tr{_weak(trust)}><th scope="row">{escape(name)}</th><td>{value}</td>'
        f"<td>{'' if trust is None else f'{trust:.2f}'}</td></tr>"
        for name, value, trust in rows
    )
    several = f" It shows {len(reading.boxes)} faces; this is the largest." if len(reading.boxes) > 1 else ""
    return f"""
<div class="photograph">
  <figure class="stage"><div class="layers" style="aspect-ratio:{width}/{height}">
    <img alt="The photograph" src="{as_source(photograph.small(), "image/jpeg")}">
    {_points(reading.points, "read", "The landmarks that are read in it", width / height)}</div></figure>
  <table class="figures"><caption>What is read in it.{several}</caption>
    <thead><tr><th scope="col">what</th><th scope="col">value</th><th scope="col"
      title="Correlation with the truth, of people that no fit has seen">trust</th></tr></thead>
    <tbody>{body}</tbody></table>
</div>"""


def picture_markup(picture: NDArray[np.uint8], words: str) -> str:
    """Returns the HTML of a picture [h, w, 3], with what it shows in words."""
    source = as_source(shown(picture), "image/png")
    return f'<figure class="portrait"><img src="{source}" alt="{escape(words)}"></figure>'


def progress_markup(share: float, picture: NDArray[np.uint8] | None, done: str = "") -> str:
    """Returns the HTML of how far making a person of a photograph is: ``share`` from 0 to 1, or ``done``, the result.

    ``picture`` is the photograph's face beside the person painted of it, [h, 2 h, 3].
    """
    seen = "" if picture is None else picture_markup(picture, "the photograph's face, and the person painted of it")
    if done:
        return f'{seen}<p class="lead" role="status">Photograph and person: {escape(done)}.</p>'
    percent = round(100 * share)
    return f'{seen}<p class="lead"><progress max="100" value="{percent}">{percent} %</progress> {percent} %</p>'


def problem_markup(text: str) -> str:
    return f'<p class="problem" role="alert">{escape(text[:1].upper() + text[1:])}.</p>'


def curves_markup(figures: Iterable[tuple[str, str, str]]) -> str:
    """Returns figures as HTML; each is a title, a description in words, and an SVG."""
    parts = (
        f'<section><h2>{escape(title)}</h2><div class="plot" role="img" aria-label="{escape(words)}">{svg}</div>'
        f"<p>{escape(words)}</p></section>"
        for title, words, svg in figures
    )
    return f'<div class="curves">{"".join(parts)}</div>'


def fit_markup(report: dict[str, object]) -> str:
    """Returns what the fit reported, as a list in HTML."""
    items = "".join(
        f"<div><dt>{escape(name.replace('_', ' ').replace(' percent', ', %'))}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in report.items()
        if isinstance(value, (int, float, str))
    )
    return f'<dl class="report">{items}</dl>' if items else ""


def _passes() -> str:
    """Returns the buttons that choose what is shown."""
    choices = "".join(
        f'<label><input type="radio" name="show" value="{name}"{" checked" if name == PICTURE else ""}>'
        f"<span>{_TITLES[name]}</span></label>"
        for name in SHOWS
    )
    return f'<div class="passes" role="radiogroup" aria-label="What is shown">{choices}</div>'


def _range(name: str, label: str, low: float, high: float, step: float | Literal["any"]) -> str:
    name, label = escape(name, quote=True), escape(label)
    return (
        f'<label class="range"><span>{label}</span><input type="range" name="{name}" min="{low:.3f}" '
        f'max="{high:.3f}" step="{step}" value="0"><span class="value" aria-hidden="true">0</span></label>'
    )


def _card(each: Compared) -> str:
    picture = as_source(png(over_white(each.picture)), "image/png")
    points = _points(each.asked, "asked", "Landmarks asked for")
    figures = [("time", f"{each.milliseconds:.0f} ms")]
    if each.read is not None:
        points += _points(each.read.points, "read", "Landmarks read in the picture")
        figures = [
            ("landmarks", f"{each.read.error:.1f} %"), ("yaw", f"{each.read.yaw:+.1f}°"),
            ("pitch", f"{each.read.pitch:+.1f}°"), *figures,
        ]  # fmt: skip
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)
    height, width = each.picture.shape[:2]
    return f"""<article aria-label="{each.method}"><h3>{each.method}</h3>
<div class="layers" style="aspect-ratio:{width}/{height}">
<img alt="The edit by {each.method}" src="{picture}">{points}</div><dl>{rows}</dl></article>"""


def _points(points: Array, kind: str, title: str, aspect: float = 1.0) -> str:
    """Points [2, L] in [0, 1] as a layer over their picture of width / height ``aspect``."""
    radius = 0.9 if points.shape[1] < 200 else 0.35
    dots = "".join(f'<circle cx="{100 * x * aspect:.2f}" cy="{100 * y:.2f}" r="{radius}"/>' for x, y in points.T)
    return (
        f'<svg class="points {kind}" viewBox="0 0 {100 * aspect:.3f} 100" role="img" aria-label="{title}" '
        f'preserveAspectRatio="none">{dots}</svg>'
    )


def _weak(trust: float | None) -> str:
    return "" if trust is None or trust >= RELIABLE else ' class="weak"'


def turn_words(name: str, slope: float, error: float, asked: Array) -> str:
    """Describes a calibration in words."""
    return f"{name} to ±{np.abs(asked).max():.0f}°: slope {slope:.3f}, mean error {error:.2f}°"
