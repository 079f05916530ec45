"""The local engine as the service sees it: the embedded model for real, and when another one cannot be loaded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine import local
from aix_lsp.engine.base import Engine, LoadEvent, ModelError
from aix_lsp.engine.catalog import CatalogEntry
from aix_lsp.engine.local import LocalEngine
from aix_lsp.settings import ModelSettings
from aix_lsp.types import Generation, GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.tiny_models import save_model, tiny_model


def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
    ids = [tokenizer.special(name) for name in ("<s>", "▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>")]
    text = "def add(a, b):\n    return a +"
    return Prompt((*(number for number in ids if number is not None), *tokenizer.encode(text)), text, info.format)


async def answer(settings: ModelSettings, **options: Any) -> tuple[Generation, ModelInfo, list[LoadEvent]]:
    """One request to a fresh engine, and what it told while loading."""
    events: list[LoadEvent] = []
    engine = LocalEngine(settings, events.append)
    engine.start(asyncio.get_running_loop())
    try:
        generation = await engine.generate(GenerationRequest(build, max_new_tokens=4, **options))
        return generation, await engine.ready(), events
    finally:
        engine.close()


async def test_the_embedded_model_loads_answers_and_streams() -> None:
    shown: list[str] = []
    settings = ModelSettings(name="aix-mini", device="cpu", threads=1)
    generation, info, events = await answer(settings, on_text=shown.append)
    assert generation.text.startswith(" b")
    assert shown[-1] == generation.text
    assert generation.prompt.format == "spm"
    assert (info.name, info.max_positions, info.languages) == ("aix-mini", 1024, ("python",))
    assert "permissively licensed" in info.note
    assert [event.kind for event in events if event.kind != "progress"] == ["ready"]
    assert events[-1].message == "aix-mini is ready (cpu, float32)"


async def test_a_second_request_reuses_the_prompt() -> None:
    engine = LocalEngine(ModelSettings(name="aix-mini", device="cpu", threads=1))
    assert isinstance(engine, Engine)
    first = await engine.generate(GenerationRequest(build, max_new_tokens=2))
    second = await engine.generate(GenerationRequest(build, max_new_tokens=2))
    assert first.reused_tokens == 0
    assert second.reused_tokens == len(second.prompt.ids) - 1
    assert first.text == second.text
    engine.close()


async def test_several_candidates_begin_with_the_plain_answer_and_are_distinct() -> None:
    engine = LocalEngine(ModelSettings(name="aix-mini", device="cpu", threads=1))
    plain = await engine.generate(GenerationRequest(build, max_new_tokens=4, document="a"))
    several = await engine.generate(GenerationRequest(build, max_new_tokens=4, document="a", candidates=3))
    assert several.text == plain.text
    assert len({several.text, *several.alternatives}) == 3
    line = await engine.generate(
        GenerationRequest(build, max_new_tokens=12, document="a", candidates=3, stop=lambda text: "\n" in text)
    )
    assert all("\n" not in text.rstrip() for text in (line.text.lstrip(), *line.alternatives))
    other = await engine.generate(GenerationRequest(build, max_new_tokens=2, document="b"))
    again = await engine.generate(GenerationRequest(build, max_new_tokens=2, document="a"))
    assert again.reused_tokens == len(again.prompt.ids) - 1
    assert other.text == again.text
    engine.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/no/such/folder", "/no/such/folder does not exist"),
        ("owner/not-downloaded", "download it with: aix-lsp download owner/not-downloaded"),
        ("typo", "there is no model 'typo'"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_told_once_and_the_embedded_one_serves_on(
    name: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    generation, info, events = await answer(ModelSettings(name=name, device="cpu", threads=1))
    assert (info.name, generation.model) == ("aix-mini", "aix-mini")
    assert generation.text.startswith(" b")
    warnings = [event.message for event in events if event.kind == "warning"]
    assert len(warnings) == 1
    assert reason in warnings[0]
    assert warnings[0].endswith("The embedded model aix-mini answers instead.")
    assert events[-1].kind == "ready"


async def test_options_that_the_machine_cannot_honour_do_not_end_the_service() -> None:
    settings = ModelSettings(name="aix-mini", device="cpu", quantization="int8", quantizer="bitsandbytes", threads=1)
    _, info, events = await answer(settings)
    assert info.dtype == "float32"
    assert "needs an NVIDIA GPU" in next(event.message for event in events if event.kind == "warning")


async def test_a_folder_serves_under_its_own_name_in_the_format_it_says(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "mine")
    (folder / "aix.json").write_text('{"format": "l2r"}')
    _, info, events = await answer(ModelSettings(name=str(folder), device="cpu", threads=1))
    assert (info.name, info.format, info.max_positions) == ("mine", "l2r", 512)
    assert not [event for event in events if event.kind == "warning"]


async def test_when_even_the_embedded_model_is_broken_both_reasons_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "embedded", lambda: CatalogEntry("aix-mini", tmp_path))
    engine = LocalEngine(ModelSettings(name="/no/such/folder", device="cpu"))
    with pytest.raises(ModelError, match=r"/no/such/folder does not exist; .* has no config\.json"):
        await engine.ready()
    assert engine.state.phase == "failed"


def test_out_of_memory_ends_with_the_embedded_model_and_a_new_load_begins_afresh(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "mine", tiny_model(max_position_embeddings=4096))
    backend = local.LocalBackend(ModelSettings(name=str(folder), device="cpu", threads=1))
    events: list[LoadEvent] = []
    first = backend.load(events.append)
    assert (first.info.name, first.info.max_positions, first.folder) == ("mine", 4096, folder)
    told = []
    positions = []
    while (step := backend.relieve(events.append)) is not None and step[0].info.name == "mine":
        told.append(step[1])
        positions.append(step[0].info.max_positions)
        assert len(list(backend.generate(Prompt((5, 6, 7), "", "l2r"), REQUEST, _after_a_few()))) <= 3
        assert len(told) <= 9
    assert positions[:3] == [4096, 2048, 1024]
    assert "latest prompt" in told[0]
    assert "within 2,048 tokens" in told[1]
    assert step is not None
    assert step[0].info.name == "aix-mini"
    assert "the embedded model aix-mini answers" in step[1]
    assert not backend.unload()
    assert backend.load(events.append).info == first.info
    assert backend.unload()


REQUEST = GenerationRequest(build, max_new_tokens=3)


def _after_a_few() -> Callable[[], bool]:
    looks = iter(range(9))
    return lambda: next(looks) > 3


@pytest.mark.parametrize("moment", [0.3, 0.9, 1.6])
def test_a_process_may_end_while_the_model_loads(moment: float) -> None:
    code = f"""
import asyncio
from aix_lsp.engine.local import LocalEngine
from aix_lsp.settings import ModelSettings
async def main():
    LocalEngine(ModelSettings(name="aix-mini", device="cpu", threads=1)).start()
    await asyncio.sleep({moment})
asyncio.run(main())
"""
    # A library whose import was broken off may grumble on the way out; what counts is that the process ends well.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
