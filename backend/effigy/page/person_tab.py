# SPDX-License-Identifier: Apache-2.0
"""The tab that makes a person of a photograph: progress, both faces side by side, and sliders for the result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..people import Made
from . import markup
from .portraits import FAILURES, PortraitMaker, save
from .studio import Studio

_TURN, _NOD = 30, 15  # degrees to either side


def person_tab(studio: Studio) -> None:
    """Builds it into the tab that is open."""
    maker, model = PortraitMaker(studio), studio.model
    if model.encoder is None:
        gr.HTML(
            '<p class="lead">This model has not learnt to make people of photographs: run '
            "<code>effigy bundle learn-people</code> on it once.</p>",
            js_on_load=None, apply_default_css=False,
        )  # fmt: skip
        return
    gr.HTML(
        '<p class="lead">A photograph becomes somebody whom you can pose. Only of people who agreed; it stays on this '
        "machine, and is gone when the page ends.</p>",
        js_on_load=None, apply_default_css=False,
    )  # fmt: skip
    source = gr.Image(
        label="Photograph of a person", type="filepath", sources=["upload", "webcam", "clipboard"], height=300,
        webcam_options=gr.WebcamOptions(mirror=False), elem_id="person-source",
    )  # fmt: skip
    faces = gr.HTML(js_on_load=None, apply_default_css=False)
    which = gr.Radio(choices=[1], value=1, label="Whose face", visible=False)
    tune = gr.Checkbox(
        label="Tune", info="Changes the generator for this person: comes much nearer to a photograph, takes minutes."
    )
    with gr.Row():
        make = gr.Button("Make a person", variant="primary", interactive=False, elem_classes="narrow")
        stop = gr.Button("Stop", visible=False, elem_classes="narrow")
    look = gr.HTML(js_on_load=None, apply_default_css=False)
    taken = gr.DownloadButton("Save the person (.person)", visible=False, elem_classes="narrow")
    person = gr.State()
    with gr.Group(visible=False) as rig:
        yaw = gr.Slider(-_TURN, _TURN, 0, step=1, label="Turn")
        pitch = gr.Slider(-_NOD, _NOD, 0, step=1, label="Nod")
        sliders = [
            gr.Slider(round(each.low, 2), round(each.high, 2), 0, step=0.01, label=name)
            for name, each in model.controls.items()
        ]
    posed = gr.HTML(js_on_load=None, apply_default_css=False)

    def count(path: str | None) -> tuple[Any, ...]:
        """Shows the faces' numbers where there are several."""
        nothing = "", gr.update(visible=False, choices=[1], value=1), gr.update(interactive=False)
        if path is None:
            return nothing
        try:
            picture, found = maker.faces(Path(path))
        except FAILURES as error:
            return markup.problem_markup(_message(error, path)), *nothing[1:]
        several = found > 1
        shown = markup.picture_markup(picture, f"{found} faces, numbered by size") if several else ""
        choices = gr.update(visible=several, choices=list(range(1, found + 1)), value=1)
        return shown, choices, gr.update(interactive=True)

    def run(path: str | None, face: int, tuned: bool) -> Iterator[tuple[Any, ...]]:
        hidden = gr.update(visible=False)
        if path is None:
            yield "", None, hidden, hidden, hidden, ""
            return
        yield markup.progress_markup(0.0, None), None, gr.update(visible=True), hidden, hidden, ""
        try:
            for seen in maker.make(Path(path), int(face or 1), tuned=bool(tuned)):
                if seen.made is None:
                    yield markup.progress_markup(seen.share, seen.picture), None, *[gr.skip()] * 4
                    continue
                made, folder = seen.made, Path(tempfile.mkdtemp(dir=Path(path).parent))
                shown = markup.progress_markup(1.0, seen.picture, _words(made))
                file = gr.update(value=str(save(made, folder)), visible=True)
                yield shown, made, hidden, file, gr.update(visible=True), ""
        except (*FAILURES, OSError) as error:
            yield markup.problem_markup(_message(error, path)), None, hidden, hidden, hidden, ""

    def pose(made: Made | None, turn: float, nod: float, *values: float) -> str:
        if made is None:
            return ""
        try:
            controls = dict(zip(model.controls, map(float, values), strict=True))
            picture = maker.pose(made.identity, float(turn), float(nod), controls)
            return markup.picture_markup(picture, "the person, posed")
        except FAILURES as error:
            return markup.problem_markup(str(error))

    source.change(count, source, [faces, which, make], api_visibility="private")
    making = make.click(
        run, [source, which, tune], [look, person, stop, taken, rig, posed], api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip
    stop.click(lambda: (markup.problem_markup("stopped"), gr.update(visible=False)), None, [look, stop],
               cancels=[making], api_visibility="private")  # fmt: skip
    for slider in (yaw, pitch, *sliders):
        slider.change(
            pose, [person, yaw, pitch, *sliders], posed, api_visibility="private", show_progress="hidden",
            trigger_mode="always_last",
        )  # fmt: skip


def _words(made: Made) -> str:
    """Describes how closely the person's picture is matched, in the command line's words."""
    figures = made.figures
    where = "the face" if "psnr_face" in figures else "the picture"
    met = figures.get("tuned_psnr_face", figures.get("psnr_face", figures["psnr"]))
    return f"{where} is met to {met:.1f} dB"


def _message(error: Exception, path: str) -> str:
    return str(error).replace(path, "the picture")
