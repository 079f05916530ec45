"""What a model's name means, and in which order models are tried."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, cached_folder, choose, described, embedded, known, resolve
from aix_lsp.engine.hardware import GpuInfo
from aix_lsp.settings import ModelSettings

HUB = "aiXcoder/aixcoder-7b-base"


def gpu(free_gb: float) -> GpuInfo:
    return GpuInfo("a GPU", int(free_gb * 1e9), 80_000_000_000, bf16=True)


def test_the_embedded_model_is_in_the_package_and_says_how_it_wants_its_prompt() -> None:
    entry = embedded()
    assert isinstance(entry.source, Path)
    assert {path.name for path in entry.source.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.model"}
    assert (entry.name, entry.format, entry.languages) == ("aix-mini", "spm", ("python",))


def test_every_known_model_resolves_by_its_name_and_has_a_licence_note() -> None:
    assert set(known()) == {"aix-mini", "aixcoder-7b"}
    for name, entry in known().items():
        assert resolve(name) == entry
        assert entry.licence
    assert (resolve("aixcoder-7b").source, resolve("aixcoder-7b").format) == (HUB, "psm")


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


@pytest.mark.parametrize(
    ("settings", "free_gb", "on_disk", "names"),
    [
        ({}, None, True, ["aix-mini"]),
        ({}, 40, True, ["aixcoder-7b", "aix-mini"]),
        ({}, 40, False, ["aix-mini"]),
        ({}, 12, True, ["aix-mini"]),
        ({"quantization": "int8"}, 12, True, ["aixcoder-7b", "aix-mini"]),
        ({"quantization": "int4"}, 8, True, ["aixcoder-7b", "aix-mini"]),
        ({"dtype": "float32"}, 24, True, ["aix-mini"]),
        ({"device": "cpu"}, 40, True, ["aix-mini"]),
        ({"name": "aix-mini"}, 40, True, ["aix-mini"]),
        ({"name": "aixcoder-7b"}, None, False, ["aixcoder-7b", "aix-mini"]),
        ({"name": "owner/model"}, None, False, ["owner/model", "aix-mini"]),
    ],
)
def test_models_are_tried_in_this_order(
    settings: dict[str, str], free_gb: float | None, on_disk: bool, names: list[str]
) -> None:
    asked: list[str] = []

    def look(name: str) -> bool:
        asked.append(name)
        return on_disk

    entries = choose(ModelSettings(**settings), None if free_gb is None else gpu(free_gb), look)  # type: ignore[arg-type]
    assert [entry.name for entry in entries] == names
    assert set(asked) <= {HUB}


def test_a_folder_is_told_from_the_embedded_model_by_its_place_and_not_by_its_name(tmp_path: Path) -> None:
    other, inside = tmp_path / "aix-mini", embedded().source
    other.mkdir()
    entries = choose(ModelSettings(name=str(other)), None, lambda name: False)
    assert [entry.source for entry in entries] == [other, inside]
    assert choose(ModelSettings(name=str(inside)), None, lambda name: False) == [embedded()]
    (tmp_path / "link").symlink_to(inside)
    assert choose(ModelSettings(name=str(tmp_path / "link")), None, lambda name: False) == [embedded()]


def test_an_adapter_of_a_folder_with_the_embedded_models_name_gets_that_folder(tmp_path: Path) -> None:
    other = tmp_path / "aix-mini"
    other.mkdir()
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": str(other)})
    )
    factor = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    save_file(
        {factor.format("A"): np.zeros((8, 4), np.float32), factor.format("B"): np.zeros((4, 8), np.float32)},
        adapter / "adapter_model.safetensors",
    )
    entries = choose(ModelSettings(adapter=str(adapter)), None, lambda name: False)
    assert [entry.source for entry in entries] == [other, embedded().source]


def test_a_wrong_name_is_not_taken_for_another() -> None:
    with pytest.raises(ModelError, match="there is no model 'typo'"):
        choose(ModelSettings(name="typo"), None, lambda name: True)


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
