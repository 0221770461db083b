# SPDX-License-Identifier: Apache-2.0
"""Where directions of attributes come from: SeFa, files of InterFaceGAN and GANSpace, and labels."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from effigy.faces import DEFAULT_BUNDLE, load_face_model
from effigy.faces.attributes import check_name
from effigy.fitting.attribute_learning import held_slopes, learn
from effigy.fitting.attribute_sources import SourceError, read_step
from effigy.generators import GeneratorFileError
from tests.closeness import assert_same


@pytest.fixture(scope="module")
def held(default_model):
    return held_slopes(default_model)


def direction(model, source):
    return learn(quiet(model), {"a": str(source)})[0].attribute.direction.double()


def quiet(model):
    """The model as one that reads no photographs."""
    other = model.with_attributes([])
    other.photo_map = None
    return other


def test_no_direction_moves_pose_or_controls_on_average(default_model, held, tmp_path):
    np.save(tmp_path / "any.npy", np.random.default_rng(0).standard_normal((1, default_model.generator.w_dim)))
    for source in ("sefa:1", "sefa:5", tmp_path / "any.npy"):
        v = direction(default_model, source) @ default_model.regressor.whitening.inverse.double()
        assert float(((held @ v[0]) / held.norm(dim=1)).abs().max()) < 1e-4
        assert float(v.norm()) == pytest.approx(1, abs=1e-4)


def test_sefas_components_are_orthogonal_and_the_first_changes_styles_most(default_model, held):
    steps = [read_step(default_model, f"sefa:{number}", held).v[0] for number in (1, 2, 9)]
    assert float((torch.stack(steps) @ torch.stack(steps).T - torch.eye(3)).abs().max()) < 1e-9
    generator, basis = default_model.generator, default_model.regressor.whitening.basis.double()
    changes = []
    for step in steps:
        ws = person_at(default_model) + torch.stack([torch.zeros_like(step), step]).float() @ basis.float()
        styles = torch.cat(generator.styles(ws[:, None].expand(-1, generator.num_ws, -1)), dim=1)
        changes.append(float((styles[1] - styles[0]).norm()))
    assert changes[0] > changes[2]


def person_at(model):
    return model.open_seed(0, truncation=0.0).ws[:1]


def test_a_boundary_is_turned_into_the_likeliest_step(default_model, held, tmp_path):
    whitening = default_model.regressor.whitening
    normal = np.random.default_rng(1).standard_normal(default_model.generator.w_dim).astype(np.float32)
    np.save(tmp_path / "age.npy", normal[None])
    torch.save(torch.from_numpy(normal[None]), tmp_path / "age.pt")
    rows = np.broadcast_to(normal, (default_model.generator.num_ws, len(normal)))
    np.save(tmp_path / "rows.npy", rows)
    steps = [read_step(default_model, str(tmp_path / name), held).v for name in ("age.npy", "age.pt", "rows.npy")]
    assert_same(steps[0][0], torch.from_numpy(normal).double() @ whitening.basis.double().T, 1000, torch.float64)
    assert torch.equal(steps[0], steps[1])
    assert torch.equal(steps[0], steps[2])


def test_components_of_ganspace_are_read_by_number_and_rows(default_model, held, tmp_path):
    width = default_model.generator.w_dim
    components = np.random.default_rng(2).standard_normal((3, 1, width)).astype(np.float32)
    np.savez(tmp_path / "pca.npz", lat_comp=components, lat_mean=np.zeros((1, width)))
    torch.save({"comp": torch.from_numpy(components[:, 0]), "mean": torch.zeros(width)}, tmp_path / "pca.pt")
    first, second = (read_step(default_model, f"{tmp_path / name}:2@1-3", held) for name in ("pca.npz", "pca.pt"))
    assert torch.equal(first.v, second.v)
    assert first.rows[:, 0].tolist() == [0, 1, 1, 1] + [0] * (default_model.generator.num_ws - 4)
    found = direction(default_model, f"{tmp_path / 'pca.npz'}:2@1-3")
    assert not found[[0, *range(4, len(found))]].any()
    assert found[1].any()


def test_where_scenes_are_known_no_expression_moves():
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    (found,) = learn(model, {"look": "sefa:2"}, people=2, knows_scenes=True)
    attribute, whitening = found.attribute, model.regressor.whitening
    moves = model.regressor.typical * model.regressor.q_scale
    along = (attribute.direction.double() @ whitening.inverse) @ moves
    assert float(along.abs().max()) < 1e-5 * float(moves.norm())
    assert not attribute.shown.any()
    assert not attribute.seen.any()
    assert 0 < found.pose < 1
    assert 0 < found.controls < 0.3, "what a reader makes of somebody else's bones"


def test_where_nothing_moved_within_scenes_all_directions_may_be_learnt(default_model):
    model = default_model.with_regressor(copy.deepcopy(default_model.regressor), default_model.appearance)
    model.regressor.typical.zero_()
    model.photo_map = None
    (found,) = learn(model, {"look": "sefa:1"}, knows_scenes=True)
    assert torch.isfinite(found.attribute.direction).all()


def test_labels_show_the_way(default_model, held, tmp_path):
    generator, whitening = default_model.generator, default_model.regressor.whitening
    seeds = range(400)
    z = np.concatenate([np.random.RandomState(seed).randn(1, generator.z_dim) for seed in seeds])
    v = whitening(generator.map(torch.from_numpy(z).float(), 0.7)[:, 0].double())
    truth = torch.zeros(v.shape[1], dtype=torch.float64)
    truth[3] = 1.0
    lines = [f"{seed},{float(row @ truth)},{'' if seed % 2 else 5}" for seed, row in zip(seeds, v, strict=True)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["seed,value,same", *lines]))
    step = read_step(default_model, str(table), held)
    assert "400 labels" in step.note
    assert float(step.v[0] @ truth / step.v[0].norm()) > 0.99
    np.savez(tmp_path / "labels.npz", latents=generator.map(torch.from_numpy(z).float(), 0.7).numpy(), values=v[:, 3])
    other = read_step(default_model, str(tmp_path / "labels.npz"), held).v[0]
    assert float(other @ step.v[0] / other.norm() / step.v[0].norm()) > 0.9999
    with pytest.raises(SourceError, match="the same"):
        read_step(default_model, f"{table}:same", held)
    table.write_text("seed,value,value\n1,1,2\n")
    with pytest.raises(SourceError, match="names the column 'value' twice"):
        read_step(default_model, str(table), held)
    noise = np.random.default_rng(0).standard_normal(400)
    table.write_text("\n".join(["seed,value", *(f"{seed},{noise[seed]}" for seed in seeds)]))
    with pytest.raises(SourceError, match="cannot be predicted"):
        read_step(default_model, str(table), held)


class _Bomb:
    """Whoever unpickles it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def _hostile(folder, width):
    """Files that nothing can be read from, by name."""
    np.save(folder / "nan.npy", np.full((1, width), np.nan))
    np.save(folder / "objects.npy", np.array([_Bomb(folder / "it-ran")], dtype=object), allow_pickle=True)
    np.save(folder / "short.npy", np.zeros(width - 1))
    np.save(folder / "text.npy", np.array(["a"] * width))
    (folder / "huge.npy").write_bytes(
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}"
    )
    (folder / "torn.npy").write_bytes((folder / "nan.npy").read_bytes()[:200])
    (folder / "bomb.pkl").write_bytes(pickle.dumps(_Bomb(folder / "it-ran")))
    (folder / "bomb.pt").write_bytes(pickle.dumps({"comp": _Bomb(folder / "it-ran")}))
    torch.save({"comp": torch.full((2, width), float("inf"))}, folder / "inf.pt")
    (folder / "noise.npz").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    np.savez(folder / "other.npz", something=np.zeros(3))
    np.savez(folder / "uneven.npz", latents=np.zeros((30, width)), values=np.zeros(29))
    (folder / "none.csv").write_text("")
    (folder / "names.csv").write_text("person,value\n1,2\n")
    (folder / "words.csv").write_text("seed,value\none,two\n")
    (folder / "few.csv").write_text("seed,value\n1,2\n2,3\n")
    (folder / "far.csv").write_text("seed,value\n99999999999,2\n")
    (folder / "inf.csv").write_text("seed,value\n1,inf\n")
    (folder / "bytes.csv").write_bytes(b"seed,value\n\xff\xfe,1\n")
    (folder / "large.csv").write_bytes(b"seed,value\n" + b"\n" * (9 << 20))
    (folder / "beyond.csv").write_text("seed,value\n" + "".join(f"{n},{1e308 * (-1) ** n}\n" for n in range(30)))
    np.save(folder / "zeros.npy", np.zeros(width))
    np.save(folder / "vast.npy", np.full(width, 1e300))
    np.savez(folder / "point.npz", comp=np.float64(1))
    torch.save(torch.zeros(()), folder / "point.pt")
    (folder / "note.txt").write_text("age")
    return sorted(path.name for path in folder.iterdir())


def test_what_is_no_source_is_refused_and_nothing_runs(default_model, held, tmp_path):
    names = _hostile(tmp_path, default_model.generator.w_dim)
    whole = [str(tmp_path / name) for name in names]
    others = ["sefa", "sefa:0", "sefa:x", "sefa:9999", "", "sefa:1@3-2", "sefa:1@0-99", str(tmp_path), "missing.npy"]
    others += [f"{tmp_path / 'other.npz'}:1", f"{tmp_path / 'inf.pt'}:7"]
    others += ["sefa:" + "9" * 5000, "sefa:1@0-" + "9" * 5000, "~nobody-is-called-so/a.npy"]
    others += [f"{tmp_path / 'point.npz'}:0", f"{tmp_path / 'point.pt'}:0"]
    for source in [*whole, *others]:
        with pytest.raises((SourceError, GeneratorFileError)) as caught:
            learn(quiet(default_model), {"a": source})
        assert len(str(caught.value)) < 1000
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "name", ["", " age", "1", "a" * 41, "yaw", "keep", "Basis", "jawOpen", "a=b", "Ä", "a,b", 'a"', "a\n"]
)
def test_what_cannot_name_a_slider_is_refused(name):
    with pytest.raises(ValueError, match=r"called|name of something"):
        check_name(name, ["jawOpen"])
