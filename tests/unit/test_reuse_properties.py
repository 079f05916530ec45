"""Somebody edits at random: whatever is offered belongs to the text that is there, and agrees with what was typed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from zlib import crc32

from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from aix_lsp.completion.service import CompletionService, NoRetrieval
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.types import CompletionRequest, CompletionResult, DocumentSnapshot, Prompt
from tests.unit.desk import before_cursor, settings

WRITTEN = ("total(a, b)", "a", "b = c[0]", "x.y(z)", "", "f(a)\n    b = 1\n    c = 2", "a)")
START = "def f(a):\n    b = \n    return b\n"
KEYS = "ab(=)\n .x"

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("agree", "agree", "agree", "word", "all", "key", "delete", "undo", "move")), st.integers(0, 60)
    ),
    max_size=25,
)


def written(before: str) -> str:
    """What the model writes behind a text: anything, and always the same."""
    return WRITTEN[crc32(before[before.rfind("def f") :].encode()) % len(WRITTEN)]


def script(prompt: Prompt) -> str:
    return written(before_cursor(prompt))


class Typist:
    """A document, its cursor, and the states that can be undone."""

    def __init__(self) -> None:
        self.text, self.cursor = START, START.index("= \n") + 2
        self.done: list[tuple[str, int]] = []

    def type(self, keys: str, behind: str = "") -> None:
        self.done.append((self.text, self.cursor))
        self.text = self.text[: self.cursor] + keys + behind + self.text[self.cursor :]
        self.cursor += len(keys)

    def step(self, step: Step, offer: str) -> None:
        """One step; with an offer shown, some of them follow it."""
        what, number = step
        key = KEYS[number % len(KEYS)]
        if what == "agree" and offer:
            # as editors do: the closing bracket comes by itself
            self.type(offer[0], ")" if offer[0] == "(" and number % 2 else "")
        elif what == "word" and offer:
            self.type(offer[: number % len(offer) + 1])
        elif what == "all" and offer:
            self.type(offer)
        elif what == "delete" and self.cursor > START.index("    b"):
            self.done.append((self.text, self.cursor))
            self.text = self.text[: self.cursor - 1] + self.text[self.cursor :]
            self.cursor -= 1
        elif what == "undo" and self.done:
            self.text, self.cursor = self.done.pop()
        elif what == "move":
            self.cursor = max(len("def f(a):"), min(number, len(self.text)))
        else:
            self.type(key)

    def request(self) -> CompletionRequest:
        return CompletionRequest(DocumentSnapshot("file:///a.py", self.text, "python", 1, "a.py"), self.cursor)


def belongs(result: CompletionResult, typist: Typist, places: Sequence[str]) -> bool:
    """Whether the offer goes on from one of the places, as the model wrote there, through what was typed since."""
    (item,) = result.items
    now = typist.text[: typist.cursor]
    return any(
        now.startswith(place) and (place + written(place)).startswith(now + item.text) and item.text != ""
        for place in places
    )


async def play(steps: Sequence[Step]) -> None:
    engine = ScriptedEngine(script)
    engine.start(asyncio.get_running_loop())
    await engine.ready()
    reusing, anew = (CompletionService(engine, NoRetrieval(), 0.0) for _ in range(2))
    typist, places, offer = Typist(), [], ""
    try:
        for step in (("move", typist.cursor), *steps):
            typist.step(step, offer)
            asked = typist.request()
            result = await reusing.complete(asked, settings(prepare_next=True))
            offer = result.items[0].text if result.items else ""
            fresh = await anew.complete(asked, settings(reuse=False))
            places.append(typist.text[: typist.cursor])
            if result.source == "model":
                assert [item.text for item in result.items] == [item.text for item in fresh.items]
            if result.items:
                assert (result.items[0].start, result.items[0].end) == (typist.cursor, typist.cursor)
                assert belongs(result, typist, places), (result.items[0].text, typist.text, typist.cursor)
                # what was worked out ahead is asked for now, at a place that nobody has been to
                places.append(typist.text[: typist.cursor] + offer)
            if step[1] % 3 == 0:
                await asyncio.sleep(0.002)
    finally:
        reusing.close()
        anew.close()
        engine.close()


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_offer_goes_on_from_what_is_there_and_a_fresh_place_gets_the_same_with_and_without_reuse(
    steps: list[Step],
) -> None:
    asyncio.run(play(steps))
