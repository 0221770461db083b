# SPDX-License-Identifier: Apache-2.0
"""LPIPS, whose files users bring: here with random weights under the published names."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from effigy.commands.doctor import _lpips
from effigy.people.alignment import align
from effigy.people.making import make_person, target_of
from effigy.people.objective import LPIPS, Objective
from effigy.people.stages import Remembered, Stages
from effigy.recognition import IdentityFileError, users_lpips

from ..closeness import assert_same
from .test_recognition import Malicious

NETWORKS = {
    "alexnet-owt-7be5be79.pth": (
        "alex.pth",
        lambda: nn.Sequential(
            nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
            nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        ),
        (1, 4, 7, 9, 11),
    ),
    "vgg16-397923af.pth": ("vgg.pth", lambda: nn.Sequential(*_vgg()), (3, 8, 15, 22, 29)),
}  # fmt: skip


def _vgg():
    channels = 3
    for wider in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        if wider:
            yield from (nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU())
            channels = wider
        else:
            yield nn.MaxPool2d(2, 2)


@pytest.fixture()
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFIGY_LPIPS", str(tmp_path))
    return tmp_path


def put(folder, name="alexnet-owt-7be5be79.pth"):
    """Writes both files as their authors do; returns the network, the channels' weights, and where they count."""
    channels, network, ends = NETWORKS[name]
    torch.manual_seed(1)
    layers = network()
    classifier = {"classifier.1.weight": torch.zeros(2, 2)}
    torch.save({f"features.{key}": value for key, value in layers.state_dict().items()} | classifier, folder / name)
    sizes = [next(layer for layer in reversed(layers[: end + 1]) if hasattr(layer, "out_channels")) for end in ends]
    weights = [torch.rand(1, layer.out_channels, 1, 1) for layer in sizes]
    torch.save({f"lin{n}.model.1.weight": each for n, each in enumerate(weights)}, folder / channels)
    return layers, weights, ends


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_the_authors_distance(folder, name):
    layers, weights, ends = put(folder, name)
    one, two = torch.rand(2, 1, 3, 64, 48) * 2 - 1

    def seen(picture):
        x = (picture - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor([0.458, 0.448, 0.450])[
            :, None, None
        ]
        found = []
        for number, layer in enumerate(layers):
            x = layer(x)
            if number in ends:
                found.append(F.normalize(x, dim=1))
        return found

    with torch.no_grad():
        wanted = sum(
            ((a - b).square() * each).sum(dim=1).mean()
            for a, b, each in zip(seen(one), seen(two), weights, strict=True)
        )
    lpips = users_lpips()
    assert lpips is not None
    assert_same(lpips.distance_to(two)(one), wanted, 1000)
    assert_same(lpips.distance_to(two, torch.ones(1, 1, 64, 48))(one), wanted, 1000)
    assert float(lpips.distance_to(two)(two)) == 0
    half = torch.zeros(1, 1, 64, 48)
    half[:, :, :, :8] = 1
    changed = two.clone()
    changed[..., 40:] = one[..., 40:]
    near, anywhere = (float(lpips.distance_to(two, weight)(changed)) for weight in (half, None))
    assert near < 0.2 * anywhere, "what changed is far from what counts"
    here = two.clone().requires_grad_()
    lpips.distance_to(two)(here).backward()
    assert torch.isfinite(here.grad).all(), "where a search may begin"


def test_vgg_is_taken_where_both_are_there(folder):
    assert users_lpips() is None
    for name in NETWORKS:
        put(folder, name)
    assert users_lpips().fingerprint.startswith("lpips-vgg16-")


def test_photographs_are_compared_by_it(default_model, reader, photo, folder):
    put(folder)
    lpips, aligned = users_lpips(), align(default_model, reader, photo)
    v = torch.zeros(1, default_model.encoder.weights.shape[1])
    without, with_it = (
        Objective(default_model, default_model.encoder, target_of(aligned, reader, each)) for each in (None, lpips)
    )
    judged = with_it.judge(v)
    face = with_it.target.face
    weight = 0.2 + 0.8 * face.mask
    apart = LPIPS * lpips.distance_to(with_it.target.picture, weight)(judged.picture)
    assert float(judged.cost) > float(apart) > 0
    assert float(judged.cost - apart) < float(without.judge(v).cost), "instead of what identity networks see"


def test_what_was_begun_without_it_is_begun_anew(default_model, reader, photo, folder, monkeypatch):
    import imageio.v3 as iio

    put(folder)
    begun = []
    monkeypatch.setattr(Stages, "begin", staticmethod(lambda kept, data, *others: begun.append(others) or 1 / 0))
    for lpips in (None, users_lpips()):
        with pytest.raises(ZeroDivisionError):
            next(make_person(default_model, reader, iio.imwrite("<bytes>", photo, extension=".png"), lpips=lpips,
                             kept=Remembered()))  # fmt: skip
    assert begun[0] != begun[1]


def test_files_that_cannot_be_used_are_named(folder):
    put(folder)
    (folder / "alex.pth").unlink()
    with pytest.raises(IdentityFileError, match=r"lacks alex\.pth: put it there"):
        users_lpips()
    assert not _lpips().ok
    assert _lpips().mend.startswith("put it there")
    marker = folder / "ran"
    for content in (b"", b"junk", pickle.dumps(Malicious(str(marker)), protocol=2)):
        (folder / "alex.pth").write_bytes(content)
        with pytest.raises(IdentityFileError, match=r"alex\.pth is no file of LPIPS's"):
            users_lpips()
    assert not marker.exists()
    (folder / "alex.pth").write_bytes((folder / "alexnet-owt-7be5be79.pth").read_bytes()[:-100])  # cut short
    assert _lpips().mend == "put it there again, or remove it"
    channels = (64, 192, 384, 256, 256)
    for weight in (0.0, -1.0):  # which would make nothing, or what is unlike, the best
        content = {f"lin{n}.model.1.weight": torch.full((1, c, 1, 1), weight) for n, c in enumerate(channels)}
        torch.save(content, folder / "alex.pth")
        with pytest.raises(IdentityFileError, match="do not fit each other .black is unlike white by"):
            users_lpips()
    torch.save({f"lin{n}.model.1.weight": torch.ones(1, 3, 1, 1) for n in range(5)}, folder / "alex.pth")
    with pytest.raises(IdentityFileError, match="do not fit each other"):
        users_lpips()
    torch.save(
        {f"lin{n}.model.1.weight": torch.full((1, 3, 1, 1), float("nan")) for n in range(5)}, folder / "alex.pth"
    )
    with pytest.raises(IdentityFileError, match="NaN"):
        users_lpips()
