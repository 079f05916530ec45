"""The engine's benchmarks run, on as little as they can, and print what their readers look for. No figure is judged."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("one_thread")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Script = Callable[..., dict[str, Any]]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """Runs a benchmark by name with its arguments; what it printed, read as one JSON object."""

    def run(name: str, *arguments: object) -> dict[str, Any]:
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        monkeypatch.setattr(sys, "argv", [name, "--json", *map(str, arguments)])
        importlib.import_module(name).main()
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    return run


def test_the_engine_is_compared_in_one_json_object(script: Script) -> None:
    found = script(
        "engine",
        *("--places", 1, "--tokens", 340, "--cancels", 2, "--threads", 1, "--clock", "cpu"),
        *("--only", "ours", "--only", "generate"),
    )
    cold = {"ours", "generate"}
    typed = {*cold, "ours_spm"}
    assert set(found.pop("cold_prefill_ms")) == set(found.pop("ms_per_token")) == cold
    assert set(found["typed_first_token_ms"]) == set(found["typed_total_32_ms"]) == typed
    assert all(time > 0 for figure in ("typed_first_token_ms", "typed_total_32_ms") for time in found[figure].values())
    assert isinstance(found.pop("cancel_to_idle_p95_ms"), float)
    assert set(found) == {"typed_first_token_ms", "typed_total_32_ms"}


def test_int8_is_compared_with_float32_and_float32_with_generate(script: Script) -> None:
    found = script(
        "engine_agreement",
        *("--pieces", 1, "--tokens", 40, "--lead", 20, "--prompts", 2, "--prompt-tokens", 340, "--threads", 1),
    )
    assert found["tokens"] == 20
    assert found["int8_agrees_percent"] >= 90
    assert found["equal_to_generate"] == found["prompts"] == 2


def test_the_gpu_benchmark_runs_a_small_shape_on_a_processor_and_draws(script: Script, tmp_path: Path) -> None:
    picture = tmp_path / "gpu.png"
    found = script("gpu", "--shape", "small", "--device", "cpu", "--rounds", 1, "--plot", picture)
    assert {"bf16", "int8", "int4"} <= {*found["precisions"], *found["left_out"]}
    for figures in found["precisions"].values():
        assert {"ours", "generate"} <= set(figures["ms_per_token"])
        assert {"ours", "ours_spm", "generate"} <= set(figures["typed_first_token_ms"])
        assert set(figures["share_of_copy"]) == set(figures["bandwidth_gb_per_s"]) == set(figures["ms_per_token"])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_a_benchmark_cannot_do_is_told_in_one_line(
    script: Script, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        script("engine", "--gguf", tmp_path / "none.gguf")
    assert "none.gguf is no file" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="the package nowhere is not installed"):
        script("engine", "--package", "nowhere", "--places", 1)


def test_answers_in_batches_are_compared_with_one_by_one(script: Script, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "".join(f"def price_{n}(amount, tax):\n    return amount * tax\n" for n in range(60))
    )
    found = script(
        "batch", tmp_path, *("--places", 3, "--tokens", 4, "--at-once", "1,3", "--rounds", 1, "--threads", 1)
    )
    assert found["places"] == 3
    assert set(found["copy_prior"]) == {"auto", "off"}
    for ways in found["copy_prior"].values():
        assert {at_once: way["same"] for at_once, way in ways.items()} == {"1": 3, "3": 3}
        assert all(way["tokens"] > 0 and way["seconds"] > 0 for way in ways.values())
