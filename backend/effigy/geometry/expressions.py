# SPDX-License-Identifier: Apache-2.0
"""Named expressions (jawOpen, mouthSmile, …): for each, a direction of the shape model that performs this one action of
the face.

Each action has a template: a linear measure of the shape in the face frame, m(X) = Σ weight · X[axis, landmark], such
as the gap between the inner lips. The template's direction correlates with other actions, so the independent component
of the data that is nearest to it is searched by a fixed-point iteration (FastICA, one unit, deflation: Hyvärinen, *Fast
and Robust Fixed-Point Algorithms for Independent Component Analysis*, 1999). The idea is that people move by
independent actions, most of which are at rest most of the time. If the component found correlates too little with the
template, the template's own direction is kept. An action that the data hardly shows, or only as a part of others, is
left out.

Left and right become two expressions if they move separately in the data. Expressions are uncorrelated with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .camera import Array
from .factorize import GeometryError
from .shape import ShapeModel
from .topology import Terms, Topology

_LOW, _HIGH = 2.0, 98.0  # percentiles of the data that bound a control
_SAME = 0.75  # least correlation of a component with its template
_TOGETHER = 0.6  # correlation above which left and right are one action
# Least length of a unit template orthogonal to earlier actions: half of its variance is its own. Where an independent
# component of the data is found there, a quarter is enough: a pucker narrows a mouth as less of a smile does.
_OWN, _OWN_AND_INDEPENDENT = 0.5**0.5, 0.5
# Least standard deviation of a measure, in the topology's unit (a face's: the outer-eye distance): what moves less
# cannot be told from the detector's errors.
_SEEN = 0.01
_ROUNDS = 200
# Pictures of edits show at least this share of what is read in them; less is noise.
LEAST_SHOWN = 0.5
_WITHIN = 0.5  # least share of a direction's variance that people's own moves make
REST = "Basis"  # in Blender the name of a mesh at rest, among its shape keys: no control can be called so
# What a face is asked for besides controls: columns of keys, options and fields of a page.
ASKED_BESIDES = frozenset({"yaw", "pitch", "roll", "frame", "keep", "seed", "truncation"})
_LEFT, _RIGHT = "Left", "Right"  # the face's own, in the names of expressions of one side


@dataclass(frozen=True, slots=True)
class Expression:
    """A named direction in α. The value 0 leaves a face as it is; 1 is the 98th percentile of the data."""

    name: str
    group: str
    direction: Array  # [K]
    reading: Array  # [K]: reading · α is the value (up to a constant) that a face shows
    low: float
    high: float
    shown: float = 1.0  # of what a regressor reads in an edit of it, the share that pictures show, up to 1


def name_expressions(
    model: ShapeModel, alpha: Array, topology: Topology, people: NDArray[np.integer] | None = None
) -> list[Expression]:
    """Finds the topology's actions in the data ``alpha`` [N, K], as directions of ``model`` that are scaled to that
    data.

    With ``people`` [N], the number of the person whom each row shows, actions are looked for in the differences between
    rows of one person. So high brows, which some people have, are not taken for raised ones.
    """
    whitener, white = _whiten(alpha)
    if people is not None:
        alpha = departures(alpha, people)
        moves, white = _whiten(alpha @ whitener, _WITHIN)
        whitener = whitener @ moves
    colour = np.linalg.pinv(whitener)
    expressions, taken = [], np.zeros((0, white.shape[1]))
    for name, group, measure in _actions(model, alpha, topology):
        if (alpha @ measure).std() < _SEEN:
            continue
        template = _apart(_unit(colour @ measure), taken)
        own = np.linalg.norm(template)
        if own < _OWN_AND_INDEPENDENT:
            continue
        template = _unit(template)
        component = max((_independent(white, template, taken, c) for c in _CONTRASTS), key=template.dot)
        is_independent = component @ template >= _SAME
        if own < _OWN and not is_independent:
            continue  # the data shows this action only as a part of the others
        unmixing = component if is_independent else template
        taken = np.vstack([taken, unmixing])
        values = white @ unmixing
        low, middle, high = np.percentile(values, [_LOW, 50.0, _HIGH])
        unit = high - middle
        expressions.append(
            Expression(
                name, group, direction=unit * colour.T @ unmixing, reading=whitener @ unmixing / unit,
                low=float((low - middle) / unit), high=1.0,
            )
        )  # fmt: skip
    return expressions


@dataclass(frozen=True, slots=True)
class Twin:
    """The expression that a mirror image shows instead of another one, with opposite sign if ``is_odd``."""

    name: str
    is_odd: bool


def check_control_names(names: Collection[object]) -> None:
    """Raises GeometryError where one of the ``names`` cannot be a control's."""
    for name in names:
        if not isinstance(name, str) or not name:
            raise GeometryError(f"a control is called {str(name)[:60]!r}, which is no name: give it one")
    if taken := next((name for name in names if name in ASKED_BESIDES), None):
        raise GeometryError(f"no control can be called {taken!r}, as a face is asked for that already: rename it")
    if REST in names:
        raise GeometryError(
            f"no control can be called {REST!r}, as Blender calls a mesh at rest among its shape keys: "
            "give it another name"
        )
    if twice := next((name for name, count in Counter(list(names)).items() if count > 1), None):
        raise GeometryError(f"two controls are called {str(twice)[:60]!r}: give one another name")


def mirror_twins(topology: Topology, names: Collection[str]) -> dict[str, Twin]:
    """Returns the twin of each of ``names``: the other side's expression if it is among them, else the expression
    itself.

    Signs follow from the templates. If the mirrored measure of one side is minus the measure of the other, as for a jaw
    that moves sideways, the values have opposite signs too.
    """
    twins = {}
    for name, action in topology.actions.items():
        whole = action.left + action.right
        twins[name] = Twin(name, _is_odd(topology, whole, whole))
        if action.has_sides:
            twins[name + _LEFT] = Twin(name + _RIGHT, _is_odd(topology, action.left, action.right))
            twins[name + _RIGHT] = Twin(name + _LEFT, _is_odd(topology, action.right, action.left))
    known = {name: twins.get(name, Twin(name, False)) for name in names}
    return {name: twin if twin.name in known else Twin(name, False) for name, twin in known.items()}


def _is_odd(topology: Topology, terms: Terms, others: Terms) -> bool:
    """Returns whether a mirrored face measures by ``terms`` minus what the face itself measures by ``others``."""
    mirrored = _weights(topology, terms)[:, topology.mirror] * [[-1.0], [1.0], [1.0]]
    return np.allclose(mirrored, -_weights(topology, others))


def _weights(topology: Topology, terms: Terms) -> Array:
    """Returns the weights [3, L] of the coordinates in the measure."""
    weights = np.zeros((3, topology.count))
    for landmark, axis, weight in terms:
        weights[axis, landmark] += weight
    return weights


def _actions(model: ShapeModel, alpha: Array, topology: Topology) -> Iterator[tuple[str, str, Array]]:
    """Yields name, group and measure [K] of each action, and of its two sides where the data moves them apart."""
    for name, action in topology.actions.items():
        if action.has_sides:
            left, right = _measure(model.basis, action.left), _measure(model.basis, action.right)
            if np.corrcoef(alpha @ left, alpha @ right)[0, 1] < _TOGETHER:
                yield name + _LEFT, action.group, left
                yield name + _RIGHT, action.group, right
                continue
        yield name, action.group, _measure(model.basis, action.left + action.right)


def _measure(basis: Array, terms: Terms) -> Array:
    """Returns what each basis shape adds to the measure, [K]."""
    return np.asarray(sum(weight * basis[:, axis, landmark] for landmark, axis, weight in terms))


def _whiten(alpha: Array, least: float = -np.inf) -> tuple[Array, Array]:
    """Returns the A [K, k] that makes the coefficients uncorrelated and of unit variance, and those coefficients.

    Directions whose variance is below ``least`` are left out, but never the widest.
    """
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(alpha.T)))  # of one coefficient, cov is a number
    kept = values >= min(least, values[-1])
    whitener = vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-12))
    return whitener, (alpha - alpha.mean(axis=0)) @ whitener


def departures(alpha: Array, people: NDArray[np.integer]) -> Array:
    """Returns how far the rows of ``alpha`` [N, K] depart from the mean of their person (``people`` [N]).

    They are multiplied by √(n / (n − 1)) for a person of n rows, so that their variance does not depend on n (Bessel).
    """
    _, person, count = np.unique(people, return_inverse=True, return_counts=True)
    sums = np.zeros((len(count), alpha.shape[1]))
    np.add.at(sums, person, alpha)
    bessel = np.sqrt(count / np.maximum(count - 1, 1))
    return np.asarray((alpha - (sums / count[:, None])[person]) * bessel[person, None])


def _tails(white: Array, w: Array) -> Array:
    """Takes the FastICA step of the contrast log cosh, E[v tanh(wᵀv)] − E[1 − tanh²(wᵀv)] w: towards heavy tails on
    both sides, such as a smile, which most faces show a little of.
    """
    slope = np.tanh(white @ w)
    return np.asarray((white * slope[:, None]).mean(axis=0) - (1 - slope**2).mean() * w)


def _skewness(white: Array, w: Array) -> Array:
    """Takes the FastICA step of the contrast s³, E[v (wᵀv)²]: towards one long tail. A lid that is mostly open, or
    mostly closed, has no excess kurtosis, so symmetric contrasts miss it.
    """
    return np.asarray((white * np.square(white @ w)[:, None]).mean(axis=0))


_CONTRASTS = (_tails, _skewness)  # of what each finds, what is nearest to the template counts


def _independent(white: Array, start: Array, taken: Array, contrast: Callable[[Array, Array], Array]) -> Array:
    """Iterates ``contrast`` from ``start`` to a unit vector that is orthogonal to those ``taken``."""
    w = start
    for _ in range(_ROUNDS):
        step = _unit(_apart(contrast(white, w), taken))
        step *= np.sign(step @ w) or 1.0
        if step @ w > 1 - 1e-10:
            break
        w = step
    return w


def _apart(vector: Array, taken: Array) -> Array:
    return vector - (vector @ taken.T) @ taken


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector)
