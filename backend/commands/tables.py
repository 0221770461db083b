# SPDX-License-Identifier: Apache-2.0
"""Figures as tables for people."""

from __future__ import annotations

from rich.table import Table

from ..models.evaluation import Scores


def scores_table(scores: dict[str, Scores]) -> Table:
    """One column per method of the inverse, one row per figure."""
    table = Table("", *scores)
    columns = [_figures(score) for score in scores.values()]
    for title in columns[0]:
        table.add_row(title, *(column[title] for column in columns))
    return table


def _figures(score: Scores) -> dict[str, str]:
    controls = {
        f"{name} gain / leakage": f"{control.gain:.2f} / {control.leakage:.2f}"
        for name, control in score.controls.items()
    }
    similarity = "–" if score.identity_similarity is None else f"{score.identity_similarity:.3f}"
    return {
        "yaw slope / MAE °": f"{score.yaw.slope:.3f} / {score.yaw.mae_deg:.2f}",
        "pitch slope / MAE °": f"{score.pitch.slope:.3f} / {score.pitch.mae_deg:.2f}",
        **controls,
        "landmark NME %": f"{score.landmark_nme_percent:.2f}",
        "identity similarity": similarity,
        "clamped %": f"{100 * score.clamped_share:.0f}",
        "inverse ms": f"{score.ms:.1f}",
    }
