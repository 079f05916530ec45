"""Places to complete in real files, and what a model would say there with the faults that models have."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aix_lsp.completion.policy import indentation

Kind = Literal["rest of line", "before closers", "block"]

_HEADER = re.compile(r"(?:\{|:)\s*$")
_CLOSERS = re.compile(r"[)\]}\"'`]+[;:,{]?$")
_MOST_DRAWS = 20_000
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*)")
_LEAD = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Hole:
    """`wanted` stood between `before` and `after` in the file `name`."""

    name: str
    kind: Kind
    before: str
    after: str
    wanted: str


def draw(files: Sequence[Path], count: int, seed: int) -> Iterator[Hole]:
    """`count` places with a seed: 40 % rests of lines, 30 % inside of brackets or quotes that are closed already, 30 %
    blocks. A quarter of the documents has CRLF."""
    chance = random.Random(seed)
    texts = {path: path.read_bytes().decode("utf-8").replace("\r\n", "\n") for path in files}
    for _ in range(count):
        kind: Kind = chance.choices(("rest of line", "before closers", "block"), (4, 3, 3))[0]
        found = None
        for _ in range(_MOST_DRAWS):
            path = chance.choice(list(files))
            found = _in(texts[path], kind, chance)
            if found is not None:
                break
        else:
            raise SystemExit(f"the files have hardly a place of the kind: {kind}")
        start, end = found
        parts = texts[path][:start], texts[path][end:], texts[path][start:end]
        if chance.random() < 0.25:
            parts = tuple(part.replace("\n", "\r\n") for part in parts)  # type: ignore[assignment]
        yield Hole(path.name, kind, *parts)


def _in(text: str, kind: Kind, chance: random.Random) -> tuple[int, int] | None:
    """Where a hole of this kind begins and ends in a text, at a place drawn from it; None where there is none."""
    offset = chance.randrange(len(text)) if text else 0
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    line = text[start:end]
    if end < 0 or not line.strip() or _COMMENT.match(line):
        return None
    if kind == "block":
        return _block(text, start, end, chance)
    lead = len(line) - len(line.lstrip())
    stop = len(line.rstrip())
    if kind == "before closers":
        tail = _CLOSERS.search(line[:stop])
        if tail is None:
            return None
        stop = tail.start()
    if stop - lead < 2:
        return None
    return start + chance.randrange(lead, stop), start + stop


def _block(text: str, start: int, end: int, chance: random.Random) -> tuple[int, int] | None:
    """The body of the header on a line, from the header's end or from the body's own indentation on."""
    header = text[start:end]
    if not _HEADER.search(header):
        return None
    stop, position, filled = end, end + 1, 0
    while position < len(text):
        following = text.find("\n", position)
        following = len(text) if following < 0 else following
        line = text[position:following]
        if line.strip():
            if indentation(line) <= indentation(header):
                break
            stop, filled = following, filled + 1
        position = following + 1
    if not 1 <= filled <= 12:
        return None
    if chance.random() < 0.5:
        return end, stop
    first = end + 1
    while text[first : text.find("\n", first)].strip() == "":
        first = text.find("\n", first) + 1
    lead = _LEAD.match(text, first)
    return lead.end() if lead else first, stop


Fault = Callable[[str, Hole, random.Random], str]


def with_faults(hole: Hole, chance: random.Random) -> tuple[str, tuple[str, ...]]:
    """What is wanted with no fault, one, or two, and their names."""
    number = chance.choices((0, 1, 2), (1, 6, 3))[0]
    names = tuple(chance.sample(sorted(FAULTS), number))
    text = hole.wanted
    for name in names:
        text = FAULTS[name](text, hole, chance)
    return text, names


def _rest(hole: Hole) -> str:
    return re.split(r"\r?\n", hole.after, maxsplit=1)[0]


def _doubled_closers(text: str, hole: Hole, chance: random.Random) -> str:
    return text + (_rest(hole).strip() or chance.choice([")", "]", "}", '"', "'", "))", ");", "})"]))


def _repeated_lines(text: str, hole: Hole, chance: random.Random) -> str:
    lines = re.split(r"(?<=\n)", hole.after)
    return text + "".join(lines[: 1 + chance.randrange(1, 4)]).rstrip()


def _runs_on(text: str, hole: Hole, chance: random.Random) -> str:
    return text + hole.after[: chance.randrange(20, 300)]


def _other_unit(text: str, hole: Hole, chance: random.Random) -> str:
    """Two, four or eight spaces or tabs in place of the document's unit, below the cursor's line."""
    leads = [m.group() for m in re.finditer(r"^[ \t]+(?=\S)", hole.before + hole.wanted, re.MULTILINE)]
    tabs = any(lead.startswith("\t") for lead in leads)
    width = min((len(lead) for lead in leads if len(lead) > 1), default=4)
    one = chance.choice([unit for unit in ("  ", "    ", "\t", " " * 8) if unit != ("\t" if tabs else " " * width)])
    line = hole.before[hole.before.rfind("\n") + 1 :]
    base = _LEAD.match(line)
    own = base.group() if base else ""

    def other(match: re.Match[str]) -> str:
        lead = match.group(2)
        if not lead.startswith(own):
            return match.group()
        levels, more = divmod(len(lead) - len(own), 1 if tabs else width)
        return match.group(1) + own + one * levels + " " * more

    return re.sub(r"(\n)([ \t]*)(?=\S)", other, text)


def _markers(text: str, hole: Hole, chance: random.Random) -> str:
    return text + chance.choice(
        ["</s>", "<|endoftext|>", "<|fim_pad|>" * 3, "<fim_middle>\nimport os", "▁<AIX-SPAN-POST>x", "<EOT>", "\n```\n"]
    )


def _half(text: str, hole: Hole, chance: random.Random) -> str:
    """A text that ends in the middle of its last line."""
    start = text.rfind("\n") + 1
    return text[: chance.randrange(start, len(text))] if len(text) > start else text


def _circles(text: str, hole: Hole, chance: random.Random) -> str:
    """The last line five times over, as small models do."""
    last = text.rsplit("\n", 1)[-1]
    return text + ("\n" + last) * 5


FAULTS: dict[str, Fault] = {
    "doubled closers": _doubled_closers,
    "lines of the suffix again": _repeated_lines,
    "runs on": _runs_on,
    "another unit of indentation": _other_unit,
    "markers": _markers,
    "half a line": _half,
    "circles": _circles,
    "trailing space": lambda text, hole, chance: text + chance.choice(["  ", "\t", " \n", "\n\n  "]),
    "other line breaks": lambda text, hole, chance: (
        text.replace("\r\n", "\n") if "\r" in text else text.replace("\n", "\r\n")
    ),
    "nothing but white space": lambda text, hole, chance: chance.choice(["", "\n", "   ", "\n\n"]),
}
