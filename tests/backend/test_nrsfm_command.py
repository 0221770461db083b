# SPDX-License-Identifier: Apache-2.0
"""``effigy nrsfm``: what it reads, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from effigy.cli import app

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture()
def run():
    return lambda *arguments: CliRunner(env={"COLUMNS": "200"}).invoke(app, ["nrsfm", *map(str, arguments)])


@pytest.fixture(scope="module")
def views():
    return load(FIXTURES / "faces_clean.npz")


def load(path):
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_a_fit_has_every_array_in_the_documented_convention(run, views, tmp_path):
    tracks, out = save(tmp_path / "tracks.npz", W=views["W"][:200]), tmp_path / "deep" / "fit.npz"
    ran = run(tracks, "--basis", 6, "--mode", "linear", "--sweeps", 12, "--out", out)
    assert ran.exit_code == 0, ran.output
    fitted = load(out)
    shapes = {name: array.shape for name, array in fitted.items()}
    assert shapes["R"] == (200, 3, 3)
    assert shapes["s"] == (200,)
    assert shapes["t"] == (200, 2)
    assert shapes["X"] == (200, 3, 68)
    assert shapes["mean"] == (3, 68)
    assert shapes["basis"] == (6, 3, 68)
    assert shapes["alpha"] == (200, 6)
    assert shapes["reprojection"] == (200, 2, 68)
    # Camera x right, y down, z away: the first two rows of s R X + t are the picture.
    shown = fitted["s"][:, None, None] * (fitted["R"] @ fitted["X"])[:, :2] + fitted["t"][:, :, None]
    np.testing.assert_allclose(shown, fitted["reprojection"], atol=1e-9)
    np.testing.assert_allclose(fitted["X"], fitted["mean"] + np.tensordot(fitted["alpha"], fitted["basis"], 1))
    names = json.loads(bytes(fitted["diagnostics"]))["controls"]
    assert shapes["activation"] == (200, len(names))
    np.testing.assert_allclose(np.median(fitted["activation"], axis=0), 0, atol=1e-9)
    assert fitted["R"][:, 2, 2].mean() < -0.8, "the face looks at the camera, whose z points away"
    assert not list(out.parent.glob("*.part"))


def test_new_views_are_explained_with_the_basis_held_fixed(run, views, tmp_path):
    out = tmp_path / "fit.npz"
    run(save(tmp_path / "a.npz", W=views["W"][:200]), "--basis", 6, "--sweeps", 12, "--out", out)
    ran = run(save(tmp_path / "b.npz", W=views["W"][200:240]), "--infer", out, "--out", tmp_path / "new.npz")
    assert ran.exit_code == 0, ran.output
    fitted, new = load(out), load(tmp_path / "new.npz")
    np.testing.assert_array_equal(new["basis"], fitted["basis"])
    assert new["R"].shape == (40, 3, 3)


def test_visibility_may_be_packed_or_plain(run, tmp_path):
    hard = load(FIXTURES / "faces_hard.npz")
    W, packed = hard["W"][:160], hard["vis"][:160]
    plain = np.unpackbits(packed, axis=1)[:, :68].astype(bool)
    for number, vis in enumerate((packed, plain)):
        ran = run(
            save(tmp_path / f"{number}.npz", W=W, vis=vis),
            "--basis",
            4,
            "--sweeps",
            6,
            "--out",
            tmp_path / f"{number}f.npz",
        )
        assert ran.exit_code == 0, ran.output
    a, b = (load(tmp_path / f"{number}f.npz") for number in (0, 1))
    np.testing.assert_array_equal(a["R"], b["R"])


def test_missing_points_may_be_nan_when_they_are_invisible(run, views, tmp_path):
    W, vis = views["W"][:160].copy(), np.ones((160, 68), bool)
    vis[::3, 5] = False
    W.transpose(0, 2, 1)[~vis] = np.nan
    ran = run(save(tmp_path / "t.npz", W=W, vis=vis), "--basis", 4, "--sweeps", 6, "--out", tmp_path / "f.npz")
    assert ran.exit_code == 0, ran.output
    assert np.isfinite(load(tmp_path / "f.npz")["X"]).all()


@pytest.mark.parametrize("arguments", [(), ("--plain",), ("--mode", "rankone"), ("--mode", "rankone-paper")])
def test_the_least_of_every_option_is_a_fit_too(run, views, tmp_path, arguments):
    out = tmp_path / "fit.npz"
    tracks = save(tmp_path / "tracks.npz", W=views["W"][:4])
    ran = run(tracks, "--basis", 1, "--sweeps", 1, "--out", out, *arguments)
    assert ran.exit_code == 0, ran.output
    fitted = load(out)
    assert fitted["basis"].shape == (1, 3, 68)
    assert fitted["activation"].shape == (4, len(json.loads(bytes(fitted["diagnostics"]))["controls"]))
    assert all(np.isfinite(fitted[name]).all() for name in ("R", "s", "t", "X", "alpha", "activation"))


MIRRORED = {
    "y runs upwards": [[1, 0], [0, -1]],
    "x runs to the left": [[-1, 0], [0, 1]],
    "x and y have changed places)": [[0, 1], [1, 0]],
    "x and y have changed places, and both are reversed": [[0, -1], [-1, 0]],
}


@pytest.mark.parametrize(("said", "axes"), MIRRORED.items())
def test_mirrored_tracks_are_laid_right_and_explained_in_their_own_axes(run, views, tmp_path, said, axes):
    D, few, new = np.array(axes, float), views["W"][:160], views["W"][160:200]
    found = {}
    for name, turn in (("right", np.eye(2)), ("mirrored", D)):
        out, seen = tmp_path / f"{name}.npz", tmp_path / f"{name}-new.npz"
        ran = run(save(tmp_path / "t.npz", W=turn @ few), "--basis", 4, "--sweeps", 6, "--out", out)
        assert ran.exit_code == 0, ran.output
        assert ("are mirrored" in ran.output) == (name == "mirrored")
        ran = run(save(tmp_path / "t.npz", W=turn @ new), "--infer", out, "--out", seen)
        found[name] = load(out), load(seen)
    assert said in ran.output
    for right, mirrored in zip(found["right"], found["mirrored"], strict=True):
        np.testing.assert_allclose(mirrored["mean"], right["mean"], atol=1e-6)
        np.testing.assert_allclose(mirrored["alpha"], right["alpha"], atol=1e-5)
        np.testing.assert_allclose(mirrored["reprojection"], D @ right["reprojection"], atol=1e-6)
        shown = mirrored["s"][:, None, None] * (mirrored["R"] @ mirrored["X"])[:, :2] + mirrored["t"][:, :, None]
        np.testing.assert_allclose(shown, mirrored["reprojection"], atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(mirrored["R"]), 1.0)


def test_pictures_that_are_upside_down_are_told_and_not_turned(run, views, tmp_path):
    out = tmp_path / "fit.npz"
    ran = run(save(tmp_path / "t.npz", W=-views["W"][:160]), "--basis", 4, "--sweeps", 6, "--out", out)
    assert ran.exit_code == 0, ran.output
    assert "most views show the face upside down" in ran.output
    mean = load(out)["mean"]
    assert mean[1, 8] < mean[1, 33] < mean[1, 27], "chin, nose and its root"
    assert mean[2, 30] > mean[2, 0], "the nose is in front of the ears"


def still(W, jitter):
    """Returns one view repeated, with only a detector's noise as difference."""
    return np.repeat(W[:1], 200, axis=0) + jitter * np.random.default_rng(0).normal(size=(200, 2, 68))


# The order of a public set of real tracks: brows from right to left, eyes, then the nose.
OTHER_ORDER = np.r_[0:17, 26:16:-1, 36:48, 27:36, 48:68]


def nan(W):
    W = W.copy()
    W[3, 0, 7] = np.nan
    return W


@pytest.mark.parametrize(
    ("arrays", "arguments", "said"),
    [
        (lambda W: {"W": nan(W)}, (), "view 3, landmark 7: give the file an array vis"),
        (lambda W: {"W": nan(W), "vis": np.ones((700, 68), bool)}, (), "in view 3, landmark 7"),
        (lambda W: {"W": W, "vis": np.full((700, 68), -1)}, (), "0 where a point is missing and else positive"),
        (lambda W: {"W": W, "vis": np.full((700, 68), np.nan)}, (), "must be booleans, or numbers"),
        (lambda W: {"W": W[:20]}, (), "20 views are too few"),
        (lambda W: {"W": W.transpose(0, 2, 1)}, (), "must be real numbers [N, 2, L]"),
        (lambda W: {"W": W[:, :, :50]}, (), "no known landmark set has 50 landmarks"),
        (lambda W: {"X": W}, (), "no array W"),
        (lambda W: {"W": W, "vis": np.ones((3, 68), bool)}, (), "vis in"),
        (lambda W: {"W": np.array([["a"]])}, (), "must be real numbers"),
        (lambda W: {"W": W}, ("--mode", "magic"), "unknown mode 'magic'"),
        (lambda W: {"W": W}, ("--topology", "magic"), "unknown landmark topology 'magic'"),
        (lambda W: {"W": W}, ("--infer", "/nowhere.npz"), "there is no file /nowhere.npz"),
        (lambda W: {"W": np.repeat(W[:1], 200, axis=0)}, (), "not observable"),
        (lambda W: {"W": still(W, 0.003)}, (), "not observable"),
        (lambda W: {"W": still(W, 0.01)}, (), "not observable"),
        (lambda W: {"W": W[:, :, OTHER_ORDER]}, (), "not in the order of ibug68"),
        (lambda W: {"W": W[:, :, ::-1]}, (), "not in the order of ibug68"),
        (lambda W: {"W": np.random.default_rng(0).normal(size=W.shape)}, (), "not observable"),
        (lambda W: {"W": np.zeros((200, 2, 68))}, (), "all points of view 0 lie on one spot"),
    ],
)
def test_unusable_input_is_refused_with_a_reason(run, views, tmp_path, arrays, arguments, said):
    tracks, out = save(tmp_path / "tracks.npz", **arrays(views["W"])), tmp_path / "fit.npz"
    ran = run(tracks, "--sweeps", 3, "--out", out, *arguments)
    assert ran.exit_code == 2, ran.output
    assert said in ran.output
    assert "Traceback" not in ran.output
    assert not out.exists()


def test_points_that_a_shape_cannot_explain_are_told(run, views, tmp_path):
    W = views["W"][:200].copy()
    W += 0.04 * np.random.default_rng(0).normal(size=W.shape)
    ran = run(save(tmp_path / "tracks.npz", W=W), "--basis", 2, "--sweeps", 3, "--out", tmp_path / "fit.npz")
    assert "explains the points badly" in ran.output


@pytest.mark.parametrize("missing", [np.s_[3, 2:], np.s_[3]])
def test_new_views_that_show_too_little_are_refused(run, views, tmp_path, missing):
    out, vis = tmp_path / "fit.npz", np.ones((40, 68), bool)
    run(save(tmp_path / "a.npz", W=views["W"][:100]), "--basis", 2, "--sweeps", 3, "--out", out)
    vis[missing] = False
    ran = run(save(tmp_path / "b.npz", W=views["W"][:40], vis=vis), "--infer", out, "--out", tmp_path / "new.npz")
    assert ran.exit_code == 2, ran.output
    assert "view 3 has fewer than four visible points" in ran.output
    ran = run(save(tmp_path / "b.npz", W=nan(views["W"][:40])), "--infer", out, "--out", tmp_path / "new.npz")
    assert ran.exit_code == 2, ran.output
    assert "view 3, landmark 7" in ran.output


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04broken"])
def test_a_file_that_is_no_archive_is_refused(run, tmp_path, content):
    path = tmp_path / "tracks.npz"
    path.write_bytes(content)
    ran = run(path, "--out", tmp_path / "fit.npz")
    assert ran.exit_code == 2
    assert "not an .npz archive" in ran.output


def test_objects_in_an_archive_are_never_unpickled(run, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "tracks.npz"
    np.savez(path, W=np.array([Trap()], dtype=object))
    (tmp_path / "sprung").unlink(missing_ok=True)
    ran = run(path, "--out", tmp_path / "fit.npz")
    assert ran.exit_code == 2
    assert not (tmp_path / "sprung").exists()
