"""A model's folder may say how long its prompts should be, order by order, and prompts are no longer then."""

from __future__ import annotations

import json
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
PSM, SPM = PromptLimits("psm", 300, 0.1), PromptLimits("spm", 500, 0.25)


@pytest.fixture(scope="module")
def mini() -> ModelTokenizer:
    return load_tokenizer(Path(aix_lsp.__file__).parent / "models" / "aix-mini")


def prompt(mini: ModelTokenizer, *limits: PromptLimits, **settings: object) -> Prompt:
    """In the middle of a file that is much longer than any prompt."""
    model = ModelInfo("m", 1024, limits=limits)
    document = DocumentSnapshot("file:///a.py", LINES, "python", 1, "a.py")
    return build_prompt(mini, model, document, len(LINES) // 2, [], PromptSettings.model_validate(settings), 64)


def tokens(prompt: Prompt, role: str) -> int:
    return sum(part.tokens for part in prompt.parts if part.role == role)


def test_a_limit_holds_for_its_own_order(mini: ModelTokenizer) -> None:
    lengths = {order: len(prompt(mini, PSM, SPM, format=order).ids) for order in ("psm", "spm", "l2r")}
    assert 270 < lengths["psm"] <= 300
    assert 460 < lengths["spm"] <= 500
    assert 900 < lengths["l2r"] <= 960
    assert len(prompt(mini).ids) > 900


def test_the_suffix_gets_the_share_that_the_model_wants(mini: ModelTokenizer) -> None:
    assert 15 <= tokens(prompt(mini, PSM), "suffix") <= 30
    assert 60 <= tokens(prompt(mini, PromptLimits("psm", 300, 0.25)), "suffix") <= 75


def test_settings_that_ask_for_less_than_the_model_hold(mini: ModelTokenizer) -> None:
    assert len(prompt(mini, PSM, max_tokens=100).ids) <= 100
    assert tokens(prompt(mini, PSM, suffix_share=0.05), "suffix") <= 15
    assert len(prompt(mini, PSM, max_tokens=4096).ids) <= 300


def test_what_a_limit_leaves_out_is_told_and_can_still_be_copied(mini: ModelTokenizer) -> None:
    model = ModelInfo("m", 1024, limits=(PSM,), looks_up=True)
    document = DocumentSnapshot("file:///a.py", LINES, "python", 1, "a.py")
    built = build_prompt(mini, model, document, len(LINES) // 2, [], PromptSettings(), 64)
    assert any("lines (about" in line for line in built.cut)
    assert built.elsewhere


def test_the_folder_says_it(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == ()
    (tmp_path / "aix.json").write_text("{}")
    assert read_limits(tmp_path) == ()
    wanted = {"psm": {"tokens": 300, "suffix_share": 0.1}, "spm": {"tokens": 500, "suffix_share": 0.25}}
    (tmp_path / "aix.json").write_text(json.dumps({"prompts": wanted}))
    assert read_limits(tmp_path) == (PSM, SPM)


def test_it_is_told_in_words() -> None:
    assert format_in_words(ModelInfo("m", 1024, "spm", limits=(PSM,))) == "prompt format spm"
    assert format_in_words(ModelInfo("m", 9000, limits=(PromptLimits("psm", 4000, 0.1),))) == (
        "prompt format psm of at most 4,000 tokens"
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (3, "prompts wants an entry for each order, not 3"),
        ({"middle": {}}, "prompts names 'middle', which is none of psm, spm, l2r"),
        ({"psm": 400}, "prompts.psm wants tokens and suffix_share, and nothing else"),
        ({"psm": {"tokens": 400}}, "prompts.psm wants tokens and suffix_share"),
        ({"psm": {"tokens": 63, "suffix_share": 0.1}}, "prompts.psm.tokens is 63, not a whole number from 64 on"),
        ({"psm": {"tokens": True, "suffix_share": 0.1}}, "prompts.psm.tokens is True"),
        ({"psm": {"tokens": 400.5, "suffix_share": 0.1}}, "prompts.psm.tokens is 400.5"),
        ({"psm": {"tokens": 400, "suffix_share": 0.9}}, "prompts.psm.suffix_share is 0.9, not a number from 0 to 0.8"),
        ({"psm": {"tokens": 400, "suffix_share": "much"}}, "prompts.psm.suffix_share is 'much'"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(tmp_path: Path, wanted: object, message: str) -> None:
    (tmp_path / "aix.json").write_text(json.dumps({"prompts": wanted}))
    with pytest.raises(ModelError, match=message) as caught:
        read_limits(tmp_path)
    assert "\n" not in str(caught.value)
