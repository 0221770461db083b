# SPDX-License-Identifier: Apache-2.0
"""``effigy generators`` and ``effigy bench``, with a local server in place of the publishers'."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from effigy.cli import app
from effigy.commands import bench
from effigy.faces import FIRST_BUNDLE
from effigy.generators import catalogue
from effigy.generators.checkpoints import write_own
from effigy.generators.networks.configs import StyleGAN2Config
from effigy.generators.networks.dense import initialize
from effigy.generators.networks.stylegan2 import StyleGAN2

from .checkpoint_files import nvidia, parity

GENERATOR = FIRST_BUNDLE / "generator.safetensors"
NAME = "stylegan2-ffhq-256x256"


@pytest.fixture()
def run():
    runner = CliRunner(env={"COLUMNS": "200"})
    return lambda *arguments, **more: runner.invoke(app, [str(argument) for argument in arguments], **more)


class Publisher(BaseHTTPRequestHandler):
    """Serves ``content`` and breaks off after ``patience`` bytes; supports ranges."""

    content = b""
    patience = 1 << 30
    mark = '"first"'
    asked: list[str | None] = []  # noqa: RUF012

    def do_GET(self):
        asked = self.headers.get("Range")
        self.asked.append(asked)
        if self.headers.get("If-Range", self.mark) != self.mark:
            asked = None
        start = int(asked[6:-1]) if asked else 0
        rest = self.content[start:]
        if asked and not rest:
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("ETag", self.mark)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        self.wfile.write(rest[: type(self).patience])

    def log_message(self, *arguments): ...


@pytest.fixture()
def publisher(tmp_path, monkeypatch):
    kwargs, state, _ = parity("sg2-32")
    Publisher.content = nvidia(tmp_path / "published.pkl", kwargs, state).read_bytes()
    Publisher.patience, Publisher.asked, Publisher.mark = 1 << 30, [], '"first"'
    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    model = replace(catalogue.CATALOGUE[NAME], address=f"http://127.0.0.1:{server.server_port}/g.pkl")
    monkeypatch.setitem(catalogue.CATALOGUE, NAME, model)
    monkeypatch.setenv("EFFIGY_MODELS", str(tmp_path / "models"))
    yield Publisher
    server.shutdown()
    server.server_close()
    thread.join()


def test_list_names_the_papers_generators(run, publisher):
    listed = run("generators", "list")
    assert listed.exit_code == 0
    for name in ("stylegan2-ffhq-1024x1024", "stylegan3-r-ffhqu-256x256", "stylegan_human_v2_512"):
        assert name in listed.output


def test_the_former_name_of_these_verbs_is_understood_and_not_shown(run):
    assert run("models", "inspect", GENERATOR).output == run("generators", "inspect", GENERATOR).output
    assert run("--help").output.count("Generator files:") == 1


def test_inspect_says_what_a_file_is(run):
    found = json.loads(run("generators", "inspect", GENERATOR, "--json").output)
    assert found["architecture"] == "StyleGAN2"
    assert found["resolution"] == "128 × 128"
    assert found["planes"] == "red, green, blue"
    assert found["layers"].startswith("4: ")
    assert found["layers"].count(",") == 5
    assert len(found["sha256"]) == 64


@pytest.mark.parametrize("name", ["first-default", GENERATOR.parent])
def test_inspect_takes_a_bundle_for_its_generator(run, name):
    found, of_file = (json.loads(run("generators", "inspect", what, "--json").output) for what in (name, GENERATOR))
    assert found.pop("edits hold")
    assert found.pop("regressor")
    assert found == of_file


@pytest.mark.parametrize("header", ["{", '{"format": 4}', '{"format": 5, "generator": {}}', "[]"])
def test_a_damaged_bundle_is_no_traceback(run, tmp_path, header):
    (tmp_path / "model.json").write_text(header)
    found = run("generators", "inspect", tmp_path)
    assert found.exit_code == 2
    assert "is damaged" in found.output


def test_a_licence_does_not_command_the_terminal_that_shows_it(run, tmp_path):
    network = StyleGAN2(StyleGAN2Config(8, 8, (4, 4), 2))
    initialize(network)
    path = tmp_path / "somebodys.safetensors"
    write_own(path, network.config, network.state_dict(), "free\x1b]0;a title\x07\x1b[2J\nsha256  one of its own")
    found = run("generators", "inspect", path)
    assert found.exit_code == 0
    assert not {"\x1b", "\x07"} & set(found.output)
    assert "free\ufffd]0;a title" in found.output
    assert found.output.count("\nsha256") == 1
    refused = run("generators", "inspect", tmp_path / "none\x1b[2J.pt")
    assert refused.exit_code == 2
    assert "\x1b" not in refused.output


def test_inspect_says_that_a_folder_is_no_generator_file(run, tmp_path):
    found = run("generators", "inspect", tmp_path)
    assert found.exit_code == 2
    assert f"{tmp_path} is a folder: give the generator file in it" in found.output


def test_convert_writes_a_file_that_inspect_reads(run, tmp_path):
    kwargs, state, _ = parity("sg3r-32")
    source, out = nvidia(tmp_path / "g.pkl", kwargs, state), tmp_path / "g.safetensors"
    assert run("generators", "convert", source, out).exit_code == 0
    found = run("generators", "inspect", out).output
    assert "StyleGAN3" in found
    assert "NVIDIA" in found, "the licence note goes along"


def test_convert_refuses_what_it_cannot_do(run, tmp_path):
    assert "must end in .safetensors" in run("generators", "convert", GENERATOR, tmp_path / "g.pkl").output
    assert (
        "no generator file" in run("generators", "convert", tmp_path / "absent.pkl", tmp_path / "g.safetensors").output
    )
    assert "there is no folder" in run("generators", "convert", GENERATOR, tmp_path / "absent" / "g.safetensors").output
    kept = tmp_path / "kept.safetensors"
    kept.write_bytes(b"somebody's work")
    assert "is there already" in run("generators", "convert", GENERATOR, kept).output
    assert kept.read_bytes() == b"somebody's work"


def test_what_was_fetched_goes_by_its_name(run, publisher):
    absent = run("generators", "inspect", NAME)
    assert absent.exit_code == 2
    assert f"effigy generators fetch {NAME}" in absent.output
    run("generators", "fetch", NAME, "--accept-licence")
    path = catalogue.CATALOGUE[NAME].path()
    for name in (NAME, path.name, path):
        assert run("generators", "inspect", name).output == run("generators", "inspect", path).output
    assert run("generators", "inspect", NAME).exit_code == 0


def test_fetch_asks_for_the_licence_first(run, publisher):
    refused = run("generators", "fetch", NAME, input="n\n")
    assert refused.exit_code == 1
    assert "non-commercial" in refused.output
    assert not publisher.asked


def test_fetch_resumes_where_it_broke_off_and_records_the_checksum(run, publisher, tmp_path):
    publisher.patience = 100_000
    broken = run("generators", "fetch", NAME, "--accept-licence")
    assert broken.exit_code == 2
    assert "broke off" in broken.output
    assert not catalogue.CATALOGUE[NAME].path().exists()
    publisher.patience = 1 << 30
    fetched = run("generators", "fetch", NAME, "--accept-licence")
    assert fetched.exit_code == 0, fetched.output
    assert publisher.asked == [None, "bytes=100000-"]
    path = catalogue.CATALOGUE[NAME].path()
    assert path.read_bytes() == publisher.content
    assert NAME in json.loads((path.parent / "checksums.json").read_text())
    assert run("generators", "fetch", NAME, "--accept-licence").exit_code == 0
    assert len(publisher.asked) == 2, "what is here is not fetched again"


def test_what_is_published_anew_between_two_attempts_is_not_patched_together(run, publisher, tmp_path):
    publisher.patience = 100_000
    run("generators", "fetch", NAME, "--accept-licence")
    kwargs, state, _ = parity("sg2ada-32")
    publisher.content = nvidia(tmp_path / "other.pkl", kwargs, state).read_bytes()
    publisher.patience, publisher.mark = 1 << 30, '"second"'
    assert run("generators", "fetch", NAME, "--accept-licence").exit_code == 0
    path = catalogue.CATALOGUE[NAME].path()
    assert path.read_bytes() == publisher.content
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([path.name, "checksums.json"])


def test_a_file_that_was_put_there_counts_as_the_first_download(run, publisher, tmp_path):
    path = catalogue.CATALOGUE[NAME].path()
    path.parent.mkdir()
    path.write_bytes(publisher.content)
    assert run("generators", "fetch", NAME, "--accept-licence").exit_code == 0
    assert not publisher.asked
    assert NAME in json.loads((path.parent / "checksums.json").read_text())
    kwargs, state, _ = parity("sg2ada-32")
    other = nvidia(tmp_path / "other.pkl", kwargs, state).read_bytes()
    path.write_bytes(other)
    refused = run("generators", "fetch", NAME, "--accept-licence")
    assert refused.exit_code == 2
    assert "not what was fetched before" in refused.output
    assert path.read_bytes() == other, "what a user put there is the user's"


@pytest.mark.parametrize("content", ["[]", "{", "7"])
def test_damaged_checksums_are_named(run, publisher, content):
    catalogue.models_folder().mkdir()
    (catalogue.models_folder() / "checksums.json").write_text(content)
    refused = run("generators", "fetch", NAME, "--accept-licence")
    assert refused.exit_code == 2
    assert "checksums.json is damaged" in refused.output


@pytest.mark.parametrize(
    ("name", "next_step"),
    [
        ("stylegan2-ffhq-1024x1024", "--landmarks face-alignment"),
        ("stylegan3-r-ffhqu-256x256", "--landmarks face_landmarker.task"),
        ("stylegan_human_v2_512", "not fitted"),
    ],
)
def test_fetch_says_what_its_pictures_are_fit_for(run, publisher, monkeypatch, name, next_step):
    address = catalogue.CATALOGUE[NAME].address
    monkeypatch.setitem(catalogue.CATALOGUE, name, replace(catalogue.CATALOGUE[name], address=address))
    assert next_step in run("generators", "fetch", name, "--accept-licence").output


def test_fetch_shows_how_far_it_is(run, publisher, monkeypatch):
    seen = []
    catalogue.fetch(catalogue.CATALOGUE[NAME], lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(publisher.content), len(publisher.content))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_another_file_under_the_same_name_is_refused(run, publisher, tmp_path):
    run("generators", "fetch", NAME, "--accept-licence")
    path = catalogue.CATALOGUE[NAME].path()
    path.unlink()
    kwargs, state, _ = parity("sg2ada-32")
    publisher.content = nvidia(tmp_path / "other.pkl", kwargs, state).read_bytes()
    refused = run("generators", "fetch", NAME, "--accept-licence")
    assert refused.exit_code == 2
    assert "not what was fetched before" in refused.output
    assert not path.exists()


def test_what_is_no_generator_is_not_kept(run, publisher):
    publisher.content = b"<html>please log in</html>" * 100
    refused = run("generators", "fetch", NAME, "--accept-licence")
    assert refused.exit_code == 2
    assert "this is not what" in refused.output
    assert "should send" in refused.output
    assert not list(catalogue.models_folder().glob("*.p*"))


def test_offline_it_says_what_to_download_and_where_to_put_it(run, publisher, monkeypatch):
    monkeypatch.setitem(
        catalogue.CATALOGUE, NAME, replace(catalogue.CATALOGUE[NAME], address="http://127.0.0.1:9/g.pkl")
    )
    refused = run("generators", "fetch", NAME, "--accept-licence")
    assert refused.exit_code == 2
    assert "http://127.0.0.1:9/g.pkl" in refused.output
    assert str(catalogue.CATALOGUE[NAME].path()) in refused.output


def test_unknown_names_are_refused(run):
    assert "unknown generator" in run("generators", "fetch", "stylegan9").output


@pytest.fixture()
def small(tmp_path):
    """A small generator, and its file."""
    network = StyleGAN2(StyleGAN2Config(8, 8, (4, 4), 2))
    initialize(network)
    write_own(tmp_path / "g.safetensors", network.config, network.state_dict())
    return network, tmp_path / "g.safetensors"


def test_bench_measures_every_way_of_painting(run, small):
    ran = run("bench", "synthesis", "--generator", small[1], "--device", "cpu", "--no-compiled", "--json")
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["gmac"] > 0
    assert found["runs"][0]["mode"] == "eager"
    assert found["runs"][0]["batch"] == 1
    assert all(entry["ms"] > 0 and entry["ceiling_share"] > 0 for entry in found["runs"])
    for mode in {entry["mode"] for entry in found["runs"]}:
        [best] = [entry for entry in found["runs"] if entry["mode"] == mode and entry["best"]]
        assert best["ms"] == min(entry["ms"] for entry in found["runs"] if entry["mode"] == mode)


def test_bench_measures_compiled_code_with_the_best_batch(run, small, monkeypatch):
    """A compilation takes half a minute: that one works is tested where previews are."""
    network, path = small
    asked = []

    def compiled(path, dtype, package, batch):
        asked.append(batch)
        return SimpleNamespace(package=lambda: package)

    monkeypatch.setattr(bench, "has_native_bfloat16", lambda: False)
    monkeypatch.setattr(bench, "Compilation", compiled)
    monkeypatch.setattr(bench, "load_compiled", lambda made: network.synthesize)
    ran = run("bench", "synthesis", "--generator", path, "--device", "cpu", "--json")
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    rows = [entry for entry in found["runs"] if entry["mode"] == "compiled"]
    assert rows[0]["batch"] == 1
    assert sum(entry["best"] for entry in rows) == 1
    assert set(found["conv_ceiling_gflops"]) == {"float32"}
    assert asked == [1, 4]


def test_bench_names_a_file_that_is_not_there(run):
    assert "no generator file" in run("bench", "synthesis", "--generator", "absent.pkl").output


def test_a_record_that_cannot_be_written_costs_no_download(run, publisher):
    record = catalogue.models_folder() / "checksums.json"
    catalogue.models_folder().mkdir()
    record.mkdir()
    refused = run("generators", "fetch", NAME, "--accept-licence")
    assert refused.exit_code == 2
    assert "cannot be written" in refused.output
    record.rmdir()
    assert run("generators", "fetch", NAME, "--accept-licence").exit_code == 0
    assert publisher.asked == [None, f"bytes={len(publisher.content)}-"], "nothing is sent twice"
