# SPDX-License-Identifier: Apache-2.0
"""The page's layout in Gradio: six tabs over one studio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..generators import PictureError
from ..painting import PaintingError
from . import markup
from .basis import basis_of
from .methods import compare
from .person_tab import person_tab
from .photographs import PhotographError, read_photograph, taken_over
from .studio import Studio
from .view import PageView

_CLAY = gr.themes.Color(
    name="clay", c50="#fbf3ef", c100="#f6e3da", c200="#ecc7b6", c300="#e1a88d", c400="#d68963", c500="#c05a35",
    c600="#a9471f", c700="#8a3a1a", c800="#6d2f17", c900="#532513", c950="#2f140a",
)  # fmt: skip


def theme() -> gr.themes.Base:
    """Fonts of the machine itself: a font of the web would be a request beyond it."""
    return gr.themes.Base(
        primary_hue=_CLAY,
        secondary_hue=_CLAY,
        neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "Segoe UI", "Helvetica Neue", "DejaVu Sans", "sans-serif"],
        font_mono=["ui-monospace", "DejaVu Sans Mono", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    ).set(
        body_background_fill="#faf8f5",
        body_background_fill_dark="#161412",
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="*background_fill_primary",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_500",
    )


def build(studio: Studio, first: dict[str, Any]) -> gr.Blocks:
    """Returns the page, which begins with ``first``, what ``studio`` showed of seed 0."""
    with gr.Blocks(title="Effigy", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(markup.heading(studio.model), js_on_load=None)
        with gr.Tabs(overflow_behavior="wrap") as tabs:  # none behind a menu, however narrow the window
            with gr.Tab("Pose", id="pose"):
                rig = _studio(studio, first)
            with gr.Tab("Methods", id="methods"):
                _methods(studio, rig)
            with gr.Tab("Photo", id="photograph"):
                _photograph(studio, rig, tabs)
            with gr.Tab("Person", id="person"):
                person_tab(studio)
            with gr.Tab("Basis", id="basis"):
                gr.HTML(
                    basis_of(studio.model), html_template=markup.basis_markup(), apply_default_css=False,
                    js_on_load=markup.static("basis.js"),
                )  # fmt: skip
            with gr.Tab("Fit", id="fit"):
                _fit(studio)
    return blocks


def _studio(studio: Studio, first: dict[str, Any]) -> gr.HTML:
    def look(sent: Any) -> dict[str, Any]:
        return studio.look(sent)

    def chance(sent: Any) -> int:
        return studio.chance(sent)

    return gr.HTML(
        PageView().as_sent(), html_template=markup.studio_markup(studio.model), apply_default_css=False,
        js_on_load=markup.static("studio.js"), server_functions=[look, chance], first=first, elem_id="studio",
    )  # fmt: skip


def _methods(studio: Studio, rig: gr.HTML) -> None:
    _lead("The edit of the Pose tab by each inverse: Effigy's own (newton), and those of Haas et al. 2023.")
    button = gr.Button("Compare the methods", variant="primary", elem_classes="narrow")
    shown = gr.HTML(js_on_load=None, apply_default_css=False)

    def run(sent: Any) -> str:
        try:
            asked = PageView.read(studio.model, sent)
            with studio.lock:
                person = studio.person(asked.seed, asked.truncation)
                yaw, pitch = asked.moment.turn(person.pose)
                compared = compare(studio.model, studio.detector, person, yaw, pitch, dict(asked.moment.controls))
            return markup.methods_markup(compared, asked.words(yaw, pitch))
        except (PaintingError, PictureError) as error:
            return markup.problem_markup(str(error))

    button.click(run, rig, shown, api_visibility="private")


def _photograph(studio: Studio, rig: gr.HTML, tabs: gr.Tabs) -> None:
    _lead(
        "A photograph, or a still of the camera: how the face in it is turned, and what it expresses. "
        "It stays on this machine."
    )
    source = gr.Image(
        label="Photograph", type="filepath", sources=["upload", "webcam", "clipboard"], height=300,
        webcam_options=gr.WebcamOptions(mirror=False), elem_id="source",
    )  # fmt: skip
    shown = gr.HTML(js_on_load=None, apply_default_css=False)
    take = gr.Button("Pose the person like this", variant="primary", visible=False, elem_classes="narrow")
    read = gr.State()

    def run(path: str | None) -> tuple[Any, ...]:
        if path is None:
            return None, "", gr.update(visible=False)
        try:
            photograph = read_photograph(studio, Path(path))
        except PhotographError as error:
            return None, markup.problem_markup(str(error)), gr.update(visible=False)
        return photograph.reading, markup.photograph_markup(photograph, studio.model), gr.update(visible=True)

    def take_over(sent: Any, reading: Any) -> tuple[Any, ...]:
        return taken_over(studio, PageView.read(studio.model, sent), reading).as_sent(), gr.update(selected="pose")

    source.change(run, source, [read, shown, take], api_visibility="private")
    take.click(take_over, [rig, read], [rig, tabs], api_visibility="private")


def _fit(studio: Studio) -> None:
    from ..faces.header import fit_figures

    _lead("What the fit said of itself, and what its pictures show: measured now, on people that no fit has seen.")
    gr.HTML(markup.fit_markup(fit_figures(studio.folder)), js_on_load=None, apply_default_css=False)
    button = gr.Button("Measure the fit", variant="primary", elem_classes="narrow")
    shown = gr.HTML(js_on_load=None, apply_default_css=False)

    def run() -> str:
        from . import curves  # brings matplotlib, which takes a while

        with studio.lock:
            return curves.measure_and_draw(studio.model, studio.detector)

    button.click(run, None, shown, api_visibility="private")


def _lead(text: str) -> None:
    gr.HTML(f'<p class="lead">{text}</p>', js_on_load=None, apply_default_css=False)
