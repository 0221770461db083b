# SPDX-License-Identifier: Apache-2.0
"""Figures as tables for people."""

from __future__ import annotations

from rich.table import Table

from ..fitting.evaluation import LookScore, Scores


def scores_table(scores: dict[str, Scores]) -> Table:
    """Makes a table with a column for each method of the inverse and a row for each figure."""
    table = Table("", *scores)
    columns = [_figures(score) for score in scores.values()]
    for title in columns[0]:
        table.add_row(title, *(column[title] for column in columns))
    return table


def drift_table(title: str, looks: LookScore) -> Table:
    """Makes a table with a row for each control and a column for each place."""
    table = Table(title, *next(iter(looks.drift.values())))
    for name, places in looks.drift.items():
        table.add_row(name, *(f"{value:.1f}" for value in places.values()))
    return table


def _figures(score: Scores) -> dict[str, str]:
    controls = {
        f"{name} gain / leakage": f"{control.gain:.2f} / {control.leakage:.2f}"
        for name, control in score.controls.items()
    }
    return {
        "yaw slope / MAE °": f"{score.yaw.slope:.3f} / {score.yaw.mae_deg:.2f}",
        "pitch slope / MAE °": f"{score.pitch.slope:.3f} / {score.pitch.mae_deg:.2f}",
        **controls,
        "landmark NME %": f"{score.landmark_nme_percent:.2f}",
        "identity similarity": _similarity(score.identity_similarity),
        **_looks("full controls", score.looks),
        **_looks("full controls, turned", score.looks_turned),
        "clamped %": f"{100 * score.clamped_share:.0f}",
        "inverse ms": f"{score.ms:.1f}",
    }


def _looks(title: str, looks: LookScore | None) -> dict[str, str]:
    if looks is None:
        return {}
    most, name, place = max((value, name, place) for name, row in looks.drift.items() for place, value in row.items())
    return {
        f"{title}: identity": _similarity(looks.identity_similarity),
        f"{title}: drift of 255, mean": f"{looks.mean_drift:.2f}",
        f"{title}: drift of 255, most": f"{most:.1f} ({name}, {place})",
    }


def _similarity(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
