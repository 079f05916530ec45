"""A model's server whose completions hold what must not get into a file."""

from __future__ import annotations

from typing import Any

from tests.faults.fault import Editor, Stage, fault
from tests.faults.remote_stage import served, until_offers

_CONTROLS = {
    "an escape sequence": "m(\x1b[31mamounts\x1b[0m)",
    "a bell": "m(\aamounts)",
    "a backspace": "m(amounts)\b\b\b",
    "a title": "m(\x1b]0;owned\x07amounts)",
    "a C1 control": "m(\x9b31mamounts)",
    "a null": "m(\0amounts)",
    "marks that turn the direction": "m(amounts\u202e)\u2066 # \u2069",
    "a delete": "m(\x7famounts)",
}
_OTHER_MODELS = {
    "a chat": "```python\nm(amounts)\n```\nSure! This sums all amounts.",
    "an end of another model": "m(amounts)<|endoftext|>import os",
    "a middle of another model": "m(amounts)<|fim_middle|>def other():",
    "our own marker": "m(amounts)<AIX-SPAN-POST>def other():",
}


async def offered(editor: Editor) -> list[str]:
    """What is offered at the end of `return su`."""
    uri = "untitled:text"
    editor.mirror.open(uri, "def total(amounts):\n    return su")
    items: list[dict[str, Any]] = await editor.client.inline_completion(uri, 1, 13, kind=2)
    await editor.mirror.check(editor.client)
    editor.mirror.close(uri)
    return [item["insertText"] for item in items]


def is_plain(character: str) -> bool:
    """Whether a character may be offered: printable, or white space that code is made of."""
    return character.isprintable() or character in "\t\n"


@fault("no control character and no mark that turns the direction of text is offered", group="remote", quick=False)
async def remote_sends_control_characters(stage: Stage) -> str:
    """As text and as tokens."""
    async with served(stage) as (server, editor):
        for kind in ("counting", "vllm"):
            server.kind = kind
            for name, text in _CONTROLS.items():
                server.text = text
                for item in await offered(editor):
                    assert all(map(is_plain, item)), f"{name}: {item!r}"
        server.text = "m(amounts)"
        await until_offers(editor)
        assert not editor.shown(), editor.shown()
        return f"{len(_CONTROLS)} kinds"


@fault("what another model writes around its code is not offered", group="remote", quick=False)
async def remote_answers_as_another_model(stage: Stage) -> str:
    """A chat's fences and prose, and the markers of other families."""
    async with served(stage) as (server, editor):
        server.kind = "counting"
        for name, text in _OTHER_MODELS.items():
            server.text = text
            for item in await offered(editor):
                stray = [mark for mark in ("```", "Sure", "<|", "AIX", "import", "other") if mark in item]
                assert not stray, f"{name}: {item!r}"
        server.text = "m(amounts)"
        await until_offers(editor)
        assert not editor.shown(), editor.shown()
        return f"{len(_OTHER_MODELS)} kinds"
