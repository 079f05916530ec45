"""A model's folder may say how long its prompts should be, order by order, and prompts are no longer then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import aix_lsp
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.prompt_limits import format_in_words, read_limits
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, ModelInfo, Prompt, PromptLimits

LINES = "".join(f"def function_{number}(value):\n    return value + {number}\n\n\n" for number in range(300))
PSM, SPM = PromptLimits("psm", 300, 30), PromptLimits("spm", 500, 125)


@pytest.fixture(scope="module")
def mini() -> ModelTokenizer:
    return load_tokenizer(Path(aix_lsp.__file__).parent / "models" / "aix-mini")


def prompt(mini: ModelTokenizer, *limits: PromptLimits, at: int = len(LINES) // 2, **settings: object) -> Prompt:
    """In a file that is much longer than any prompt, in its middle unless told."""
    model = ModelInfo("m", 1024, limits=limits, looks_up=True)
    document = DocumentSnapshot("file:///a.py", LINES, "python", 1, "a.py")
    return build_prompt(mini, model, document, at, [], PromptSettings.model_validate(settings), 64)


def tokens(prompt: Prompt, role: str) -> int:
    return sum(part.tokens for part in prompt.parts if part.role == role)


def test_a_limit_holds_for_its_own_order(mini: ModelTokenizer) -> None:
    lengths = {order: len(prompt(mini, PSM, SPM, format=order).ids) for order in ("psm", "spm", "l2r")}
    assert 270 < lengths["psm"] <= 300
    assert 460 < lengths["spm"] <= 500
    assert 900 < lengths["l2r"] <= 960
    assert len(prompt(mini).ids) > 900


@pytest.mark.parametrize("line", [0, 3, 20, 40, 600], ids=str)
def test_the_suffix_has_no_more_than_the_model_wants_wherever_the_cursor_is(mini: ModelTokenizer, line: int) -> None:
    offset = len("".join(LINES.splitlines(keepends=True)[:line]))
    assert 15 <= tokens(prompt(mini, PSM, at=offset), "suffix") <= 30
    assert tokens(prompt(mini, at=offset), "suffix") > 200


def test_settings_that_ask_for_less_than_the_model_hold(mini: ModelTokenizer) -> None:
    assert len(prompt(mini, PSM, max_tokens=100).ids) <= 100
    assert tokens(prompt(mini, PSM, suffix_share=0.05), "suffix") <= 15
    assert len(prompt(mini, PSM, max_tokens=4096).ids) <= 300


def test_what_a_limit_leaves_out_is_told_and_can_still_be_copied(mini: ModelTokenizer) -> None:
    text = "secret_name = 1\n" + LINES[:1500]
    model = ModelInfo("m", 1024, looks_up=True)
    document = DocumentSnapshot("file:///a.py", text, "python", 1, "a.py")
    whole = build_prompt(mini, model, document, len(text), [], PromptSettings(format="l2r"), 64)
    assert (whole.cut, whole.elsewhere) == ((), ())
    model = replace(model, limits=(PromptLimits("l2r", 300, 30),))
    cut = build_prompt(mini, model, document, len(text), [], PromptSettings(format="l2r"), 64)
    assert "secret_name" not in cut.text
    assert [line.split(":")[0] for line in cut.cut] == ["prefix"]
    assert "secret_name" in "".join(mini.decode(list(ids)) for ids in cut.elsewhere)


def test_the_folder_says_it(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == ()
    (tmp_path / "aix.json").write_text("{}")
    assert read_limits(tmp_path) == ()
    wanted = {"psm": {"tokens": 300, "suffix": 30}, "spm": {"tokens": 500, "suffix": 125}}
    (tmp_path / "aix.json").write_text(json.dumps({"prompts": wanted}))
    assert read_limits(tmp_path) == (PSM, SPM)


def test_it_is_told_in_words() -> None:
    assert format_in_words(ModelInfo("m", 1024, "spm", limits=(PSM,))) == "prompt format spm"
    long = PromptLimits("psm", 4000, 400)
    assert format_in_words(ModelInfo("m", 9000, limits=(long,))) == "prompt format psm of at most 4,000 tokens"
    assert format_in_words(ModelInfo("m", 1024, limits=(long,))) == "prompt format psm of at most 1,024 tokens"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (3, "prompts wants an entry for each order, not 3"),
        ({"middle": {}}, "prompts names 'middle', which is none of psm, spm, l2r"),
        ({"psm": 400}, "prompts.psm wants tokens and suffix, and nothing else"),
        ({"psm": {"tokens": 400}}, "prompts.psm wants tokens and suffix, and nothing else"),
        ({"psm": {"tokens": 63, "suffix": 30}}, "prompts.psm.tokens is 63, not a whole number from 64 on"),
        ({"psm": {"tokens": True, "suffix": 30}}, "prompts.psm.tokens is True"),
        ({"psm": {"tokens": 400.5, "suffix": 30}}, "prompts.psm.tokens is 400.5"),
        ({"psm": {"tokens": 400, "suffix": 0}}, "prompts.psm.suffix is 0, not a whole number from 8 on"),
        ({"psm": {"tokens": 400, "suffix": "much"}}, "prompts.psm.suffix is 'much'"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(tmp_path: Path, wanted: object, message: str) -> None:
    (tmp_path / "aix.json").write_text(json.dumps({"prompts": wanted}))
    with pytest.raises(ModelError, match=message) as caught:
        read_limits(tmp_path)
    assert "\n" not in str(caught.value)
