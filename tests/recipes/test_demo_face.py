# SPDX-License-Identifier: Apache-2.0
"""The recipe of the embedded default: parameters, latents, drawing, data sets, training."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from backend.generators import load_generator
from backend.generators.load import save_generator
from backend.generators.stylegan2 import fir_kernel, upsample2
from backend.models import DEFAULT_BUNDLE, load_face_model
from recipes.demo_face import gallery, kernels, latents, train_generator
from recipes.demo_face.__main__ import app, main
from recipes.demo_face.bake import load_assets
from recipes.demo_face.blend import blended
from recipes.demo_face.dataset import CHUNK, array, contact_sheet, pair_vectors, people_vectors, render_set
from recipes.demo_face.fairness import THIRDS
from recipes.demo_face.figures import moved
from recipes.demo_face.parameters import COUNT, EXPRESSION, PARAMETERS, PERSONAL, column, decode, sample
from recipes.demo_face.renderer import OVERSAMPLING, Renderer
from recipes.demo_face.storage import read_trainable
from recipes.demo_face.teach_mapping import reader_of, teach, unread
from recipes.demo_face.train_generator import Plan, Renders, Training
from recipes.demo_face.widen import widened

from .toy_head import write_toy_head

# Parameters


def test_parameters_are_documented_and_reach_what_they_say():
    assert sum(p.size for p in PARAMETERS) == COUNT == 43
    ends = moved(moved(np.zeros((1, COUNT)), "yaw", 3), "pitch", -3)[0]
    assert np.degrees(decode(ends).yaw) == pytest.approx(45, abs=1)
    assert np.degrees(decode(ends).pitch) == pytest.approx(-25, abs=1)


def test_every_draw_is_within_bounds():
    for vector in np.concatenate([sample(200, 0), 8 * sample(50, 1)]):
        scene = decode(vector)
        weights = np.array(list(scene.expression.values()))
        assert weights.min() > -0.05  # lids that are shut tight unwiden a little
        assert weights.max() <= 1.15
        for colour in (scene.skin, scene.lips, scene.iris, scene.hair.colour, scene.background, scene.clothes):
            assert np.isfinite(colour).all()
            assert 0 <= colour.min() <= colour.max() <= 1


def test_decoding_is_smooth():
    """A thousandth of a step changes nothing by more than a few thousandths: no jumps to learn."""
    for vector in sample(20, 2):
        for index in range(COUNT):
            nudged = vector.copy()
            nudged[index] += 1e-3
            a, b = decode(vector), decode(nudged)
            assert max(abs(a.expression[name] - b.expression[name]) for name in a.expression) < 5e-3
            assert abs(a.hair.length - b.hair.length) < 3e-2


def test_a_wink_closes_one_eye_and_opens_the_other():
    left, right = (decode(moved(np.zeros((1, COUNT)), "wink", value)[0]).expression for value in (2.0, -2.0))
    assert left["eyeBlink_L"] > 0.85 > 0.05 > left["eyeBlink_R"]
    assert right["eyeBlink_R"] == left["eyeBlink_L"]


def test_a_person_stays_the_same():
    vectors = people_vectors(3, 4, seed=0).reshape(3, 4, COUNT)
    assert np.ptp(vectors[:, :, PERSONAL], axis=1).max() == 0
    assert np.ptp(vectors[:, :, column("yaw")], axis=1).min() > 0
    assert len(np.unique(vectors[:, 0, column("identity.0")])) == 3


def test_a_pair_differs_in_half_of_what_a_face_does():
    first, second = pair_vectors(400, 3).reshape(400, 2, COUNT).transpose(1, 0, 2)
    assert np.array_equal(first, sample(400, 3))
    changed = first != second
    assert not np.delete(changed, EXPRESSION, axis=1).any()
    assert changed[:, EXPRESSION].mean(axis=0) == pytest.approx(np.full(len(EXPRESSION), 0.5), abs=0.12)
    assert second.std(axis=0) == pytest.approx(np.ones(COUNT), abs=0.15)


# Latents


def test_latents_mean_the_parameters_they_were_made_for():
    p = torch.randn(64, COUNT)
    z = latents.latents_of(p)
    torch.testing.assert_close(latents.parameters_of(z), p, atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.parameters_of(3 * z), p, atol=1e-4, rtol=0)  # the mapping normalises
    assert z.norm(dim=1) == pytest.approx(torch.full((64,), 512**0.5), abs=1e-3)


def test_the_flow_is_undone_and_keeps_lengths():
    p = 2 * torch.randn(64, COUNT)
    torch.testing.assert_close(latents.entangle(latents.disentangle(p)), p, atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.entangle(p).norm(dim=1), p.norm(dim=1))


def test_what_a_direction_of_latents_does_depends_on_where_it_starts():
    a, b, step = torch.randn(64, COUNT), torch.randn(64, COUNT), torch.zeros(COUNT)
    step[column("yaw")] = 0.5
    at_a, at_b = (latents.entangle(x + step) - latents.entangle(x) for x in (a, b))
    assert (at_a - at_b).norm(dim=1).median() > 0.1


def test_directions_are_orthonormal():
    A = latents.directions()
    torch.testing.assert_close(A @ A.T, torch.eye(COUNT), atol=1e-5, rtol=0)


# Drawing


def square(z: float, mode: int, low: float = 1.0, high: float = 9.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two triangles that face the viewer and cover the pixels from ``low`` to ``high``."""
    points = np.array([[low, low, z], [low, high, z], [high, high, z], [high, low, z]], np.float32)
    return points, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.full(2, mode, np.int8)


def test_a_triangle_covers_the_pixels_whose_centres_it_holds():
    canvas = kernels.Canvas.of(12)
    kernels.rasterise(*square(2.0, kernels.FRONT), canvas)
    assert (canvas.triangle >= 0).sum() == 64
    assert (canvas.depth[1:9, 1:9] == 2.0).all()
    kernels.rasterise(square(2.0, 0)[0], square(2.0, 0)[1][:, ::-1].copy(), np.full(2, kernels.FRONT, np.int8), canvas)
    assert (canvas.triangle == -1).all()  # seen from behind


def test_stippling_covers_an_equal_share_of_every_pixel():
    canvas = kernels.Canvas.of(12)
    kernels.rasterise(*square(2.0, kernels.STIPPLED, 0.0, 12.0), canvas)
    blocks = (canvas.triangle >= 0).reshape(4, OVERSAMPLING, 4, OVERSAMPLING).sum(axis=(1, 3))
    assert (blocks == 3).all()


def test_the_nearer_triangle_is_seen_whatever_the_order():
    near, far = square(2.0, kernels.FRONT), square(1.0, kernels.FRONT, 0.0, 12.0)
    for first, second in ((near, far), (far, near)):
        points = np.concatenate([first[0], second[0]])
        canvas = kernels.Canvas.of(12)
        kernels.rasterise(points, np.concatenate([first[1], second[1] + 4]), np.full(4, kernels.FRONT, np.int8), canvas)
        assert (canvas.depth[1:9, 1:9] == 2.0).all()
        assert canvas.depth[0, 0] == 1.0


def test_a_stroke_is_hidden_by_what_is_nearer():
    canvas = kernels.Canvas.of(12)
    kernels.rasterise(*square(2.0, kernels.FRONT, 6.0, 12.0), canvas)
    white = (1.0, 1.0, 1.0)
    kernels.stroke((0.5, 8.5, 1.0), (11.5, 8.5, 1.0), white, white, 1.0, 1.0, 0.0, canvas)
    assert (canvas.triangle[8] == kernels.STROKE).sum() == 6
    assert canvas.colour[8, :6].min() == 1.0
    assert canvas.colour[8, 6:].max() == 0.0


def test_normals_of_a_plane_point_out_of_it():
    points, triangles, _ = square(0.0, 0)
    normals = np.empty_like(points)
    kernels.vertex_normals(points, triangles, normals)
    assert np.abs(normals) == pytest.approx(np.tile([0.0, 0.0, 1.0], (4, 1)))


def test_developing_keeps_black_and_darkens_corners():
    canvas = kernels.Canvas.of(12)
    canvas.depth[:] = kernels.FAR
    out = np.empty((4, 4, 3), np.uint8)
    kernels.develop(canvas, (0.0, 0.0, 0.0), 3, out)
    assert out.max() == 0
    kernels.develop(canvas, (0.3, 0.3, 0.3), 3, out)
    assert out[0, 0, 0] < out[1, 1, 0]


@pytest.mark.parametrize("oversampling", [2, 3])
def test_edges_are_developed_without_stairs(oversampling: int):
    canvas = kernels.Canvas.of(6 * oversampling)
    canvas.depth[:] = 0.0
    canvas.colour[:] = 0.4
    even, edge = np.empty((6, 6, 3), np.uint8), np.empty((6, 6, 3), np.uint8)
    kernels.develop(canvas, (0.0, 0.0, 0.0), oversampling, even)
    assert even.min() == even.max()  # up to the border
    canvas.colour[:, : 3 * oversampling] = 0.0  # an edge between two pixels
    kernels.develop(canvas, (0.0, 0.0, 0.0), oversampling, edge)
    dark, faint, strong, light = edge[3, 1:5, 0]
    assert dark == 0 < faint < strong < light == even[0, 0, 0]


# Renders


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baked toy head, by the command that a user types."""
    folder = tmp_path_factory.mktemp("head")
    write_toy_head(folder / "FaceXModel")
    result = CliRunner().invoke(app, ["bake", str(folder / "FaceXModel"), str(folder / "head.npz")])
    assert result.exit_code == 0, result.output
    return folder / "head.npz"


@pytest.fixture(scope="module")
def renderer(head: Path) -> Renderer:
    return Renderer(load_assets(head), 64)


def test_a_wrong_folder_is_told_in_one_line(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["demo_face", "bake", str(tmp_path), str(tmp_path / "head.npz")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "head.npz").exists()


def test_a_render_knows_its_landmarks_and_camera(renderer: Renderer):
    vector = sample(1, 3)[0]
    rendering = renderer(vector)
    assert rendering.picture.std() > 20
    assert (rendering.picture == renderer(vector).picture).all()  # the canvas keeps nothing
    np.testing.assert_allclose(renderer.landmarks(vector), rendering.landmarks, atol=1e-3)
    # The documented camera, up to where its centre is.
    flat = rendering.scale * rendering.points[:, :2] * [1, -1]
    centred = [points - points.mean(axis=0) for points in (flat, rendering.landmarks)]
    np.testing.assert_allclose(*centred, atol=1e-3)
    np.testing.assert_allclose(rendering.rotation @ rendering.rotation.T, np.eye(3), atol=1e-6)


def test_yaw_turns_to_the_heads_left_pitch_nods_and_the_jaw_opens(renderer: Renderer):
    still = np.zeros((1, COUNT))
    nose, chin = 30, 8

    def place(name: str, value: float, landmark: int) -> np.ndarray:
        points = renderer.landmarks(moved(still, name, value)[0])
        return points[landmark] - points[[36, 45]].mean(axis=0)

    assert place("yaw", 1, nose)[0] > place("yaw", -1, nose)[0] + 2
    assert place("pitch", 1, nose)[1] > place("pitch", -1, nose)[1]
    assert place("jaw", 2, chin)[1] > place("jaw", 0, chin)[1] + 1


def test_a_data_set_goes_on_where_it_stopped(head: Path, renderer: Renderer, tmp_path: Path):
    vectors = sample(CHUNK + 3, 4)
    out = tmp_path / "set"
    out.mkdir()
    # As if the first chunk had been rendered and the machine switched off.
    array(out / "pictures.npy", (len(vectors), 16, 16, 3), np.uint8)[0] = 77
    array(out / "done.npy", (2,), np.bool_)[0] = True
    np.save(out / "vectors.npy", vectors)
    render_set(head, out, vectors, 16)
    pictures, landmarks = np.load(out / "pictures.npy"), np.load(out / "landmarks.npy")
    assert (pictures[0] == 77).all()
    assert (pictures[CHUNK:].reshape(3, -1).std(axis=1) > 5).all()
    np.testing.assert_allclose(4 * landmarks[-1], renderer.landmarks(vectors[-1]), atol=1e-3)
    with pytest.raises(ValueError, match="other parameters"):
        render_set(head, out, sample(CHUNK + 3, 5), 16)


def test_a_contact_sheet_has_room_for_all():
    pictures = np.zeros((5, 4, 6, 3), np.uint8)
    assert contact_sheet(pictures, 3).shape == (10, 22, 3)


# Training


@pytest.fixture()
def data(tmp_path: Path) -> Path:
    """Noise instead of renders: training does not care."""
    folder = tmp_path / "noise"
    folder.mkdir()
    random = np.random.default_rng(0)
    count = train_generator.HELD_OUT + 24
    np.save(folder / "pictures.npy", random.integers(0, 255, (count, 16, 16, 3), np.uint8))
    np.save(folder / "vectors.npy", pair_vectors(count // 2, 0))
    np.save(folder / "landmarks.npy", random.uniform(2, 14, (count, 68, 2)).astype(np.float32))
    return folder


PLAN = Plan(resolution=16, channel_base=128, channel_max=16, w_dim=16, mapping_layers=2, pictures=96, batch=8)


def test_training_goes_on_exactly_as_if_it_had_not_stopped(data: Path, tmp_path: Path):
    renders = Renders([data])
    whole, first = Training(PLAN), Training(PLAN)
    for _ in range(6):
        whole.step(renders)
    for _ in range(3):
        first.step(renders)
    first.save(tmp_path / "state.pt")
    second = Training.load(tmp_path / "state.pt")
    for _ in range(3):
        second.step(renders)
    assert second.seen == whole.seen == 48
    for name, value in whole.finished().state_dict().items():
        torch.testing.assert_close(second.finished().state_dict()[name], value, atol=0, rtol=0)


def test_training_lowers_the_loss_and_writes_a_generator_that_loads(data: Path, tmp_path: Path):
    renders, training = Renders([data]), Training(replace(PLAN, quarter=0.0, half=0.0, pictures=400, rate=1e-2))
    losses = [float(training.step(renders)) for _ in range(50)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    save_generator(training.finished(), tmp_path / "g.safetensors")
    loaded = load_generator(tmp_path / "g.safetensors", "cpu")
    assert loaded.resolution == (16, 16)
    z = latents.latents_of(renders.vectors[:4], torch.Generator().manual_seed(2))
    painted = latents.paint_vectors(training.finished(), renders.vectors[:4].numpy())
    torch.testing.assert_close(loaded.synthesize(loaded.map(z)).clamp(-1, 1), painted, atol=2e-2, rtol=0)


def test_every_epoch_shows_each_picture_once_in_its_own_order(data: Path):
    renders = Renders([data])
    pair = renders.batch(0, 8)[1].reshape(4, 2, COUNT)
    assert torch.equal(*pair[:, :, PERSONAL].unbind(dim=1)), "pairs stay together"
    epochs = [torch.cat([renders.batch(24 * epoch + 8 * step, 8)[1] for step in range(3)]) for epoch in range(2)]
    for epoch in epochs:
        assert len(torch.unique(epoch, dim=0)) == 24 == renders.training
    assert not torch.equal(*epochs)


def test_plans_grow_the_picture_and_lower_the_rate():
    plan = Plan(pictures=1000, batch=2)
    assert [plan.size_at(seen) for seen in (0, 399, 400, 699, 700, 999)] == [32, 32, 64, 64, 128, 128]
    rates = [plan.rate_at(seen) for seen in range(100, 1001)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == rates[600] == plan.rate, "the rate falls before the pictures are whole"
    assert rates[-1] == pytest.approx(0.02 * plan.rate)


def test_a_plan_leaves_pictures_to_be_seen_whole():
    with pytest.raises(ValueError, match="leave no pictures"):
        Plan(quarter=0.5, half=0.5)


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_a_batch_is_made_of_pairs(batch: int):
    with pytest.raises(ValueError, match=f"a batch of {batch} pictures is not made of pairs"):
        Plan(batch=batch)


def test_a_checkpoint_of_another_version_is_refused_with_what_to_do(tmp_path: Path):
    Training(PLAN).save(tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    state["plan"]["progressive"] = True
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="another version of this recipe: begin anew"):
        Training.load(tmp_path / "state.pt")


def test_a_gallery_has_a_strip_for_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = load_face_model(DEFAULT_BUNDLE, "cpu")
    monkeypatch.setattr(gallery, "STEPS", 2)
    monkeypatch.setattr(gallery, "PEOPLE", (4,))
    paths = gallery.gallery(model, tmp_path)
    assert {path.stem for path in paths} == {"yaw", "pitch", "people", "turn-and-mouth", *model.controls}
    height, width = model.generator.resolution
    for path in paths:
        picture = iio.imread(path)
        assert picture.shape == (height * (2 if path.stem == "people" else 1), 2 * width, 3)
        assert (picture[:, :width] != picture[:, width:]).any()


def small_network():
    """Nothing in it is what a fresh network has too."""
    network, random = Training(PLAN).network, torch.Generator().manual_seed(1)
    with torch.no_grad():
        for values in [*network.parameters(), network.mapping.w_avg]:
            values += 0.3 * torch.randn(values.shape, generator=random)
    return network


def painted(network, z):
    return network.synthesize(network.mapping(z)[:, None].expand(-1, network.num_ws, -1), noise=True)


def test_a_widened_generator_paints_the_same_and_what_is_new_can_learn():
    small = small_network()
    channels = tuple(n + 3 for n in small.config.channels)
    wide = widened(small, channels)
    z = torch.randn(2, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(painted(wide, z), painted(small, z), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(wide.mapping.w_avg, small.mapping.w_avg)
    painted(wide, z).square().sum().backward()
    weight = wide.synthesis.blocks()[1].conv1.weight
    unread = weight.grad[: small.config.channels[1], small.config.channels[1] :]
    assert (unread.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_blocks_beyond_its_own_only_double_a_generators_picture():
    small = small_network()
    larger = widened(small, (*small.config.channels, 4))
    z = torch.randn(2, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    assert larger.resolution == (32, 32)
    doubled = upsample2(painted(small, z), fir_kernel(gain=4.0).expand(3, 1, 4, 4))
    torch.testing.assert_close(painted(larger, z), doubled, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="do not fit"):
        widened(larger, small.config.channels)


def test_training_goes_on_from_a_narrower_generator(data: Path):
    narrow, wide = Training(PLAN), Training(replace(PLAN, channel_max=24, teaching=0))
    wide.begin(narrow.finished())
    z = torch.randn(2, latents.Z_DIM, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(painted(wide.network, z), painted(narrow.network, z), atol=1e-5, rtol=1e-5)
    wide.step(Renders([data]))
    with pytest.raises(ValueError, match="cannot go on"):
        Training(replace(PLAN, mapping_layers=3)).begin(narrow.finished())


def test_sharpening_leaves_slopes_and_enlarges_what_differs_from_its_surroundings():
    slope = torch.linspace(-1, 1, 8)[None, None, None].expand(1, 3, 8, 8)
    sharp = train_generator.sharpened(slope, 0.35)
    torch.testing.assert_close(sharp[..., 1:-1], slope[..., 1:-1])
    dot = torch.zeros(1, 3, 5, 5)
    dot[..., 2, 2] = 1
    sharp = train_generator.sharpened(dot, 0.35)
    assert sharp[0, 0, 2, 2] == pytest.approx(1.35)
    assert sharp.sum() == pytest.approx(dot.sum())
    assert torch.equal(train_generator.sharpened(dot, 0.0), dot)


def test_a_blend_lies_between_two_generators(tmp_path: Path):
    one, other = small_network(), Training(PLAN).network
    for name, network in (("one", one), ("other", other)):
        save_generator(network, tmp_path / f"{name}.safetensors")
    ran = CliRunner().invoke(
        app, ["blend", *(str(tmp_path / f"{name}.safetensors") for name in ("one", "other", "out")), "--share", "0.25"]
    )
    assert ran.exit_code == 0, ran.output
    found = read_trainable(tmp_path / "out.safetensors").state_dict()
    for name, value in one.state_dict().items():
        wanted = 0.75 * value + 0.25 * other.state_dict()[name]
        torch.testing.assert_close(found[name], wanted, atol=5e-3, rtol=5e-3)  # it is stored in half precision
    with pytest.raises(ValueError, match="cannot be blended"):
        blended(one, widened(one, tuple(n + 1 for n in one.config.channels)), 0.5)


def test_fairness_has_figures_for_dark_and_light_faces():
    ran = CliRunner().invoke(app, ["fairness", "default", "--people", "3"])
    assert ran.exit_code == 0, ran.output
    rows = [line.split() for line in ran.output.splitlines() if line.startswith(THIRDS)]
    assert [row[0] for row in rows] == list(THIRDS)
    for row in rows:
        yaw, pitch, landmarks, similarity = (float(row[column].rstrip("°")) for column in (1, 2, 3, 5))
        assert 0 < yaw < 6
        assert 0 < pitch < 6
        assert 0 < landmarks < 5
        assert 0.5 < similarity <= 1


def test_attention_is_on_the_eyes(data: Path):
    weight = train_generator.attention(128 / 16 * Renders([data]).landmarks[:4], 128)
    assert weight.shape == (4, 1, 128, 128)
    assert weight.mean(dim=(1, 2, 3)) == pytest.approx(torch.ones(4), abs=1e-4)


def test_no_error_no_loss():
    picture, weight = torch.rand(2, 3, 16, 16), torch.rand(2, 1, 16, 16)
    assert train_generator.regression_loss(picture, picture, weight) == 0
    assert train_generator.regression_loss(picture, 1 - picture, weight) > 0


def test_only_changes_count_as_edits():
    random = torch.Generator().manual_seed(0)
    still, moved_ = torch.rand(2, 2, 3, 16, 16, generator=random)
    wanted = torch.stack([still, moved_], dim=1).flatten(0, 1)
    weight = torch.ones(4, 1, 16, 16)
    another = wanted + torch.rand(2, 3, 16, 16, generator=random).repeat_interleave(2, dim=0)  # wrong alike in both
    assert train_generator.edit_loss(another, wanted, weight) == pytest.approx(0, abs=1e-9)
    frozen = wanted[::2].repeat_interleave(2, dim=0)
    assert train_generator.edit_loss(frozen, wanted, weight) == pytest.approx(1)
    half = wanted.clone()
    half[1::2] = (still + moved_) / 2
    assert train_generator.edit_loss(half, wanted, weight) == pytest.approx(0.25)
    assert train_generator.edit_loss(frozen, frozen, weight) == 0, "nothing is asked"
    elsewhere = wanted.clone()
    elsewhere[1::2, :, :8] += 1
    weight[:, :, :8] = 0
    assert train_generator.edit_loss(elsewhere, wanted, weight) == pytest.approx(0, abs=1e-9)


def test_edits_and_reading_have_their_weight_in_a_step(data: Path):
    renders = Renders([data])
    pictures, vectors, landmarks = renders.batch(0, 8)
    network, z = Training(PLAN).network, latents.latents_of(vectors, torch.Generator().manual_seed(1))
    wanted, weight = pictures, train_generator.attention(landmarks, 16)
    with torch.no_grad():
        without, counted = (train_generator.loss_of(network, z, wanted, weight, editing) for editing in (0.0, 1.0))
        edits = train_generator.edit_loss(train_generator.paint(network, network.mapping(z), 16), wanted, weight)
    torch.testing.assert_close(counted - without, edits, rtol=1e-2, atol=0)
    for reading in (0.0, 0.1):
        training = Training(replace(PLAN, reading=reading))
        training.step(renders)
        assert bool(training.reader.weight.grad.any()) == (reading > 0)


def test_renders_without_pairs_are_refused(data: Path):
    np.save(data / "vectors.npy", sample(train_generator.HELD_OUT + 24, 0))
    with pytest.raises(ValueError, match="noise does not hold pairs: render it with --pairs"):
        Renders([data])


def test_pairs_are_rendered_at_the_command_line(head: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["render", str(head), str(tmp_path), "--count", "5", "--size", "16", "--pairs"])
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), pair_vectors(3, 1))
    both = CliRunner().invoke(app, ["render", str(head), str(tmp_path / "both"), "--pairs", "--people", "2"])
    assert isinstance(both.exception, ValueError)
    assert not (tmp_path / "both").exists()


def test_data_without_pairs_is_refused_before_anything_is_taught(data: Path, tmp_path: Path, monkeypatch):
    np.save(data / "vectors.npy", sample(train_generator.HELD_OUT + 24, 0))
    monkeypatch.setattr(Training, "begin", lambda *_: pytest.fail("minutes of teaching, for nothing"))
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "g.safetensors")]
    result = CliRunner().invoke(app, ["train", str(data), *files])
    assert "does not hold pairs" in str(result.exception)


def test_train_at_the_command_line_needs_no_more_than_data_and_names(data: Path, tmp_path: Path):
    training = Training(PLAN)
    training.seen = PLAN.pictures  # the plan is carried out: what is left is to write the generator
    training.save(tmp_path / "state.pt")
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "g.safetensors")]
    result = CliRunner().invoke(app, ["train", str(data), *files, "--no-compiled"])
    assert result.exit_code == 0, result.output
    assert load_generator(tmp_path / "g.safetensors", "cpu").resolution == (16, 16)


def test_a_taught_mapping_lets_every_parameter_be_read():
    network = Training(replace(PLAN, w_dim=64)).network
    before = unread(network.mapping, reader_of(network.mapping), torch.from_numpy(sample(512, 8)))
    reader = teach(network.mapping, 300)
    after = unread(network.mapping, reader, torch.from_numpy(sample(512, 8)))
    assert after.mean() < 0.96 * before.mean()


def test_teaching_a_known_mapping_keeps_what_is_known():
    network = Training(replace(PLAN, w_dim=64)).network
    known = copy.deepcopy(network.mapping).requires_grad_(False)
    teach(network.mapping, 50, known=known)
    z = torch.randn(512, latents.Z_DIM)
    assert (network.mapping(z) - known(z)).square().mean() < 0.5 * known(z).var(dim=0).mean()
