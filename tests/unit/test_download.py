"""Downloads from a real server: whole and checked, resumed where they broke off, and every refusal in one line."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import huggingface_hub
import pytest
from huggingface_hub import constants

from aix_lsp.cli import download as command
from aix_lsp.cli.failure import UsageError
from aix_lsp.engine import download as downloading
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import cached_folder
from aix_lsp.engine.choice import whole_on_disk
from aix_lsp.engine.download import check_disk, download, missing
from aix_lsp.engine.hub import Listing, list_files, wanted_files
from tests.unit.hub_server import COMMIT, Hub, serving
from tests.unit.tiny_models import save_model

NAME = "owner/model"
REST = {"README.md": b"# a model", "pytorch_model.bin": b"pickle", "modeling.py": b"1/0", "onnx/model.onnx": b"x"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = save_model(tmp_path_factory.mktemp("hub") / "model")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} | REST


@pytest.fixture
def hub(model: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running hub that huggingface_hub takes for the real one, with an empty cache."""
    with serving(Hub(model)) as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(downloading, "_PAUSE_S", 0.0)
        monkeypatch.setattr(downloading, "_BLOCK", 10_000)
        yield running


def ranges(hub: Hub, name: str = "model.safetensors") -> list[str]:
    return [wanted for method, asked, wanted in hub.requests if (method, asked) == ("GET", name)]


def test_a_download_is_whole_found_by_its_name_and_done_once(hub: Hub, model: dict[str, bytes]) -> None:
    told: list[tuple[str, int, int]] = []
    listing = list_files(NAME)
    assert (listing.commit, listing.licence) == (COMMIT, "mit")
    assert {file.name for file in missing(listing)} == set(model) - set(REST)
    folder = download(listing, lambda *step: told.append(step))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        name: content for name, content in model.items() if name not in REST
    }
    assert cached_folder(NAME) == folder
    assert whole_on_disk(NAME)
    size = len(model["model.safetensors"])
    steps = [done for name, done, of in told if (name, of) == ("model.safetensors", size)]
    assert steps == sorted(steps)
    assert steps[-1] == size
    before = len(hub.requests)
    assert download(list_files(NAME)) == folder
    assert len(hub.requests) == before


def test_a_connection_that_breaks_off_is_gone_on_with(hub: Hub, model: dict[str, bytes]) -> None:
    hub.cut_after = 30_000
    folder = download(list_files(NAME))
    assert (folder / "model.safetensors").read_bytes() == model["model.safetensors"]
    first, second = ranges(hub)
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 30_000


def test_the_next_call_goes_on_where_the_last_one_ended(
    hub: Hub, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(name: str, done: int, size: int) -> None:
        if name == "model.safetensors" and done >= 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(list_files(NAME), interrupted)
    assert not whole_on_disk(NAME)
    hub.requests.clear()
    folder = download(list_files(NAME))
    assert ranges(hub) == ["bytes=50000-"]
    assert (folder / "model.safetensors").read_bytes() == model["model.safetensors"]


def test_a_server_that_cannot_go_on_sends_all_again(hub: Hub, model: dict[str, bytes]) -> None:
    hub.cut_after, hub.ranges = 30_000, False
    folder = download(list_files(NAME))
    assert (folder / "model.safetensors").read_bytes() == model["model.safetensors"]


def test_a_connection_that_always_breaks_off_at_once_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = list_files(NAME)
    monkeypatch.setattr(downloading, "_read_on", _break_off)
    with pytest.raises(ModelError, match=r"no connection to http://127.* the same command goes on$"):
        download(listing)


def _break_off(*arguments: Any) -> None:
    del arguments
    # what httpx raises, from wherever huggingface_hub has it
    huggingface_hub.get_session().get("http://127.0.0.1:9/")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_login_page_in_place_of_a_file_is_given_up_and_what_is_there_stays(hub: Hub, chunked: bool) -> None:
    listing = list_files(NAME)
    begun = _begin(listing, hub.files["model.safetensors"], 20_000)
    hub.page, hub.chunked = b"<html>log in</html>", chunked
    with pytest.raises(
        ModelError, match=r"^model\.safetensors comes shorter than the hub says; a proxy or a login page"
    ):
        download(listing)
    assert len(ranges(hub)) == downloading._ATTEMPTS
    assert begun.stat().st_size == 20_000
    hub.page = b""
    assert (download(listing) / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_a_host_whose_file_ends_before_what_is_there_is_given_up(hub: Hub) -> None:
    listing = list_files(NAME)
    _begin(listing, hub.files["model.safetensors"], 20_000)
    hub.files = {**hub.files, "model.safetensors": hub.files["model.safetensors"][:10_000]}
    with pytest.raises(ModelError, match="comes shorter than the hub says"):
        download(listing)
    assert len(ranges(hub)) <= downloading._ATTEMPTS + 1


def _begin(listing: Listing, content: bytes, size: int) -> Path:
    """The begun weights of an earlier call; the rest of the model is there already."""
    hidden = [file for file in listing.files if file.name != "model.safetensors"]
    download(replace(listing, files=tuple(hidden)))
    (file,) = (file for file in listing.files if file.name == "model.safetensors")
    blobs = Path(constants.HF_HUB_CACHE) / "models--owner--model" / "blobs"
    begun = downloading._begun_path(blobs / file.digest)
    begun.write_bytes(content[:size])
    return begun


def test_names_are_made_by_the_commit_that_was_listed_and_the_revision_is_noted(
    hub: Hub, model: dict[str, bytes]
) -> None:
    listing = list_files(NAME)
    folder = download(listing)
    refs = folder.parent.parent / "refs"
    assert (refs / "main").read_text() == COMMIT
    (refs / "main").write_text("0" * 40)
    cut = folder / "config.json"
    cut.unlink()
    cut.write_bytes(b"{")
    assert download(listing) == folder
    assert (refs / "main").read_text() == COMMIT
    assert cut.read_bytes() == model["config.json"]


def test_without_symbolic_links_the_model_is_kept_once(
    hub: Hub, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.file_download, "are_symlinks_supported", lambda folder=None: False)
    folder = download(list_files(NAME))
    assert (folder / "model.safetensors").read_bytes() == model["model.safetensors"]
    assert not (folder / "model.safetensors").is_symlink()
    assert not list((folder.parent.parent / "blobs").iterdir())
    assert missing(list_files(NAME)) == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_file_is_removed_and_fetched_anew(hub: Hub, name: str) -> None:
    hub.damaged = {name}
    with pytest.raises(ModelError, match=rf"^{name} arrived damaged: its checksum .* run the same command again$"):
        download(list_files(NAME))
    folder = Path(constants.HF_HUB_CACHE) / "models--owner--model"
    assert not list(folder.glob(f"snapshots/*/{name}"))
    assert not list(folder.glob("blobs/*incomplete"))
    hub.damaged = set()
    assert (download(list_files(NAME)) / name).read_bytes() == hub.files[name]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (
            (401, ""),
            r"has no model owner/model, or only for some: check the name; .*HF_TOKEN|does not accept your token",
        ),
        ((401, "RepoNotFound"), "has no model owner/model, or only for some: check the name"),
        ((404, "RepoNotFound"), "has no model owner/model, or only for some: check the name"),
        (
            (403, "GatedRepo"),
            "is only for those who accepted its terms: do so on http://.*/owner/model, then give your",
        ),
        ((503, ""), "answered with status 503 for owner/model; try again later"),
    ],
)
def test_refusals_are_one_line_that_says_what_to_do(hub: Hub, refusal: tuple[int, str], message: str) -> None:
    hub.refusal = refusal
    with pytest.raises(ModelError, match=message) as caught:
        list_files(NAME)
    assert "\n" not in str(caught.value)


def test_a_model_that_becomes_gated_half_way_is_told_too(hub: Hub) -> None:
    listing = list_files(NAME)
    hub.refusal = (403, "GatedRepo")
    with pytest.raises(ModelError, match="is only for those who accepted its terms"):
        download(listing)


def test_no_network_and_offline_mode_are_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        ModelError, match=r"^no connection to http://127\.0\.0\.1:9 \(ConnectError\); check the network"
    ):
        list_files(NAME)


def test_a_version_is_asked_for_by_name(hub: Hub) -> None:
    hub.revisions = ("main", "refs/pr/3", COMMIT)
    folder = download(list_files(f"{NAME}@refs/pr/3"))
    assert cached_folder(f"{NAME}@refs/pr/3") == folder
    with pytest.raises(ModelError, match="owner/model has no version refs/pr/4"):
        list_files(f"{NAME}@refs/pr/4")


def test_only_weights_without_code_are_wanted() -> None:
    sharded = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    others = ["config.json", "tokenizer.json", "tokenizer.model", "LICENSE", "MODEL_LICENSE"]
    unwanted = ["pytorch_model.bin", "x.py", "consolidated.safetensors", "sub/model.safetensors", "model.gguf", "a.pt"]
    assert wanted_files([*sharded, *others, *unwanted], NAME) == [*sharded, *others]
    with pytest.raises(
        ModelError, match=r"has no safetensors files, and pickle files can run any code .*refs/pr/NUMBER"
    ):
        wanted_files(["config.json", "pytorch_model.bin", "consolidated.safetensors"], NAME)


def test_a_disk_without_room_is_told_before_anything_is_fetched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = list_files(NAME)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=40_000_000))
    with pytest.raises(
        ModelError, match=r"needs 0\.0 GB more and 0\.0 GB are free in .*, or name another disk with HF_"
    ):
        check_disk(listing)
    monkeypatch.undo()


def test_a_disk_that_fills_up_keeps_what_is_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, done: int, size: int) -> None:
        if name == "model.safetensors" and done >= 50_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ModelError, match=r"the disk of .* is full; what is there stays"):
        download(list_files(NAME), full)
    hub.requests.clear()
    download(list_files(NAME))
    assert ranges(hub) == ["bytes=50000-"]


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def cli(hub: Hub, tmp_path: Path, *arguments: str, **environment: str) -> Answer:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-m", "aix_lsp", "download", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=kept | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"} | environment,
        stdin=subprocess.DEVNULL,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def test_the_command_shows_the_licence_and_wants_a_yes(hub: Hub, tmp_path: Path) -> None:
    hub.repository = "Qwen/Qwen2.5-Coder-3B"
    refused = cli(hub, tmp_path, "qwen2.5-coder-3b")
    assert (refused.code, refused.out) == (2, "")
    assert "licence: NON-COMMERCIAL. Qwen Research Licence" in refused.err
    assert refused.err.splitlines()[-1] == "aix-lsp: say --yes to accept the licence and download"
    assert hub.requests == []
    done = cli(hub, tmp_path, "qwen2.5-coder-3b", "--yes", HF_TOKEN="hf_secret")
    assert (done.code, done.out) == (0, "qwen2.5-coder-3b is ready: aix-lsp serve --model qwen2.5-coder-3b\n")
    assert "model.safetensors: " in done.err
    assert "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in done.err
    again = json.loads(cli(hub, tmp_path, "qwen2.5-coder-3b", "--json").out)
    assert again["fetched"] == []
    digest = sha256(Path(again["folder"], "model.safetensors").read_bytes()).hexdigest()
    assert digest == hub.etag("model.safetensors")


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("", False), ("\n", False)])
def test_on_a_terminal_it_asks(hub: Hub, answer: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    if goes_on:
        command.run(name=NAME, yes=False, as_json=False)
        assert whole_on_disk(NAME)
    else:
        with pytest.raises(UsageError, match="nothing was downloaded"):
            command.run(name=NAME, yes=False, as_json=False)
        assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aix-mini", "part of aix-lsp; there is nothing to download"),
        ("./folder", "is a folder; download takes a model's name"),
        ("qwen", "there is no model 'qwen'"),
    ],
)
def test_names_that_cannot_be_downloaded_are_told(name: str, message: str) -> None:
    with pytest.raises((UsageError, ModelError), match=message):
        command.run(name=name, yes=True, as_json=False)
