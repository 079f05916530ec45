"""What a model's name means, and in which order models are tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, cached_folder, described, embedded, known, resolve
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.prompt import fim

HUB = "aiXcoder/aixcoder-7b-base"


def test_the_embedded_model_is_in_the_package_and_says_how_it_wants_its_prompt() -> None:
    entry = embedded()
    assert isinstance(entry.source, Path)
    assert {path.name for path in entry.source.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.model"}
    assert (entry.name, entry.format, entry.languages) == ("aix-mini", "spm", ("python",))


def test_every_known_model_resolves_by_its_name_and_has_a_licence_note() -> None:
    assert len(known()) == 14
    for name, entry in known().items():
        assert resolve(name) == entry
        assert entry.licence
        assert entry.family in {family.name for family, _ in fim._FAMILIES}
        assert entry.positions >= 1024
    assert (resolve("aixcoder-7b").source, resolve("aixcoder-7b").format) == (HUB, "psm")


def test_the_embedded_models_row_agrees_with_its_files() -> None:
    entry, checkpoint = embedded(), inspect(Path(embedded().source))
    assert entry.counts == checkpoint.counts
    assert entry.positions == checkpoint.config["max_position_embeddings"]


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        # as the models' own pages state them
        ("aixcoder-7b", 7.4),
        ("codellama-7b", 6.74),
        ("codellama-13b", 13.0),
        ("deepseek-coder-1.3b", 1.35),
        ("deepseek-coder-6.7b", 6.74),
        ("qwen2.5-coder-0.5b", 0.494),
        ("qwen2.5-coder-1.5b", 1.54),
        ("qwen2.5-coder-3b", 3.09),
        ("qwen2.5-coder-7b", 7.61),
        ("qwen2.5-coder-14b", 14.7),
        ("starcoder2-3b", 3.03),
        ("starcoder2-7b", 7.17),
        ("starcoder2-15b", 15.96),
    ],
)
def test_parameters_and_memory_follow_from_the_published_shapes(name: str, billions: float) -> None:
    entry = known()[name]
    assert entry.counts is not None
    assert entry.counts.parameters / 1e9 == pytest.approx(billions, rel=0.008)
    assert entry.memory() == 2 * entry.counts.parameters
    assert 0.5 < entry.memory("int8") / entry.memory() < 0.82
    assert 0.26 < entry.memory("int4") / entry.memory("none") < 0.67


def test_licences_that_forbid_paid_work_say_so_first() -> None:
    forbidding = {name for name, entry in known().items() if not entry.commercial}
    assert forbidding == {"aixcoder-7b", "qwen2.5-coder-3b"}
    assert all(entry.licence.startswith("NON-COMMERCIAL") != entry.commercial for entry in known().values())


def test_a_hub_name_is_psm_and_never_a_folder_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve("owner/model") == CatalogEntry("owner/model", "owner/model")
    assert resolve("./owner/model") == CatalogEntry("model", Path("./owner/model"))
    assert resolve(str(tmp_path / "owner")).source == tmp_path / "owner"
    assert resolve("~/models/m").source == Path("~/models/m").expanduser()


@pytest.mark.parametrize("name", ["aixcoder", "a/b/c", "owner/", "a b/c", "http://host/model", "?"])
def test_a_name_that_means_nothing_is_told_with_what_would(name: str) -> None:
    with pytest.raises(ModelError, match=r"there is no model .*aix-mini, aixcoder-7b"):
        resolve(name)


def test_a_folder_may_say_its_format_and_languages(tmp_path: Path) -> None:
    (tmp_path / "aix.json").write_text(json.dumps({"format": "spm", "languages": ["go"], "licence": "MIT"}))
    entry = resolve(str(tmp_path))
    assert (entry.format, entry.languages, entry.licence) == ("spm", ("go",), "MIT")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": "upside down"}', "format is 'upside down', not one of psm, spm, l2r"),
        ('{"languages": "go"}', "languages is no list"),
        ("[]", "is no JSON object"),
        ("{", "cannot be read"),
    ],
)
def test_a_broken_note_in_a_folder_is_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "aix.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        described(CatalogEntry("m", tmp_path), tmp_path)


def test_a_hub_name_is_found_in_the_local_cache_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.file_download

    monkeypatch.setattr(huggingface_hub.file_download, "HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert cached_folder("owner/model") is None
    assert cached_folder("not/a/name") is None
    folder = tmp_path / "models--owner--model" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (tmp_path / "models--owner--model" / "refs").mkdir()
    (tmp_path / "models--owner--model" / "refs" / "main").write_text("abc")
    assert cached_folder("owner/model") == folder
    (tmp_path / "models--owner--model" / "refs" / "refs" / "pr").mkdir(parents=True)
    (tmp_path / "models--owner--model" / "refs" / "refs" / "pr" / "3").write_text("abc")
    assert cached_folder("owner/model@refs/pr/3") == folder
    assert cached_folder("owner/model@refs/pr/4") is None
