"""Whether offers fit their places: with post-processing and without it, at the same places, in one run.

    python benchmarks/fit.py [--places 500] [--language python ...] [--scripted] [--model aix-mini] [FILE...]

Places are drawn with a seed from the files given, by their endings: rests of lines, insides of brackets that are closed
already, and bodies of blocks. Without files, Python's are modules of the standard library (the embedded model has seen
them; name files that it has not to be strict), those of other languages the small sources under tests/fixtures. In
Python the embedded model answers; in all other languages, and with --scripted in Python too, the scripted engine says
what stood there with the faults that models have. Everything goes through CompletionService, with the confidence gate
off.

Prints one JSON object. By language, `with` and `without` post-processing, shares in percent:

- `offers`: places with anything to insert
- `parses`: the file parses with it inserted (`hole`: with nothing inserted); `no_new_error`: it parses, or did not with
  nothing inserted either. Python's own parser, tree-sitter for other languages
- `balanced`: no more brackets and quotes without a partner than with nothing inserted, as Pygments reads the file
- `never_fewer_pairs`: as many pairs of brackets as before, or more, unless the hole itself left a string open
- `doubled`: a number: offers that leave the cursor's line with a closing bracket or quote without a partner that is the
  same as the one right behind the cursor
- `indented`: every whole line has the document's indentation
- `exact`: it is what stood there, line breaks apart

and `fit_ms` (processor time of one call, mean and 95th percentile: first with nothing kept of the document, then as
while typing), `rules` (how often each rule changed an offer) and with --show N the first N places that fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import sysconfig
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fit_balance import Balance, balance, parses
from fit_places import Hole, draw, with_faults

from aix_lsp.completion import fitting_brackets, fitting_indentation, fitting_repeats, fitting_scan
from aix_lsp.completion.fitting_indentation import is_consistent
from aix_lsp.completion.place import Place, place_at
from aix_lsp.completion.policy import decide
from aix_lsp.completion.postprocess import fit
from aix_lsp.completion.service import CompletionService, NoRetrieval
from aix_lsp.engine.base import Engine
from aix_lsp.engine.local import LocalEngine
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.languages import language_id_of
from aix_lsp.settings import Settings
from aix_lsp.types import CompletionRequest, DocumentSnapshot, Generation, GenerationRequest, ModelInfo, Prompt

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures"
STANDARD = ("configparser", "csv", "fractions", "heapq", "shutil")
ENDINGS = {"python": (".py",), "typescript": (".ts", ".tsx"), "java": (".java",), "go": (".go",)}
LONGEST_FILE = 60_000


class Recorder:
    """An engine that remembers what it generated last, and says it again: `kept` has texts and ends of generation by
    place (a file of an earlier run)."""

    def __init__(self, inner: Engine, kept: dict[str, tuple[str, str]]) -> None:
        self.inner = inner
        self.last: Generation | None = None
        self.kept = kept

    @property
    def model(self) -> ModelInfo | None:
        return self.inner.model

    async def ready(self) -> ModelInfo:
        return await self.inner.ready()

    async def generate(self, request: GenerationRequest) -> Generation:
        if request.document in self.kept:
            text, finish = self.kept[request.document]
            self.last = Generation(text, 0, finish, Prompt((), "", "psm"), "kept")  # type: ignore[arg-type]
        else:
            self.last = await self.inner.generate(request)
        return self.last

    def close(self) -> None:
        self.inner.close()


@dataclass(slots=True)
class Answer:
    """What was generated at a place and what was offered; `finish` is why generation ended."""

    hole: Hole
    raw: str
    offered: str
    changes: tuple[str, ...]
    finish: str
    faults: tuple[str, ...] = ()


async def answers(
    holes: Sequence[Hole], language: str, scripted: bool, model: str, seed: int, keep: Path | None
) -> list[Answer]:
    """One answer for every place, through the product's own service. What the model says is kept in the file `keep`,
    and taken from there where it is there already."""
    settings = Settings().model_copy(
        update={
            "completion": Settings().completion.model_copy(
                update={"confidence": "off", "debounce_ms": 0, "debounce": "fixed", "prepare_next": False}
                | {"reuse": False, "candidates": 1}
            )
        }
    )
    chance = random.Random(seed)
    said: dict[str, str] = {}
    if scripted:
        engine = Recorder(ScriptedEngine(lambda prompt: said["text"]), {})
    else:
        engine = Recorder(LocalEngine(settings.model.model_copy(update={"name": model})), _kept(keep))
    service = CompletionService(engine, NoRetrieval())  # type: ignore[arg-type]
    found = []
    try:
        for number, hole in enumerate(holes):
            faults: tuple[str, ...] = ()
            if scripted:
                said["text"], faults = with_faults(hole, chance)
            text = hole.before + hole.after
            name = f"{zlib.crc32(text.encode())}/{len(hole.before)}/{hole.name}"
            document = DocumentSnapshot(f"file:///{name}", text, language_id_of(hole.name), 0, hole.name)
            engine.last = None
            request = CompletionRequest(document, len(hole.before), "invoked")
            result = await service.complete(request, settings)
            last = engine.last
            raw = last.text if last else ""
            offered = result.items[0].text if result.items else ""
            found.append(Answer(hole, raw, offered, result.changes, last.finish if last else "end", faults))
            if keep and not scripted and last and document.uri not in engine.kept:
                with keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([document.uri, raw, last.finish]) + "\n")
            if not scripted and (number + 1) % 50 == 0:
                sys.stderr.write(f"{language}: {number + 1} of {len(holes)}\n")
    finally:
        service.close()
        engine.close()
    return found


def _kept(path: Path | None) -> dict[str, tuple[str, str]]:
    if path is None or not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    return {uri: (text, finish) for uri, text, finish in (json.loads(line) for line in lines if line)}


def place_of(answer: Answer) -> Place:
    """The place as the service saw it."""
    hole = answer.hole
    document = DocumentSnapshot("", hole.before + hole.after, language_id_of(hole.name), 0, hole.name)
    limits = Settings().completion
    request = CompletionRequest(document, len(hole.before), "invoked")
    place = place_at(document, len(hole.before), decide(request, limits).amount, limits.max_lines)
    return replace(place, unfinished=answer.finish in ("length", "timeout"))


def judge(answer: Answer, text: str, hole: Balance, hole_parses: bool) -> dict[str, bool]:
    """What is true of a text inserted at a place."""
    here = answer.hole
    whole = here.before + text + here.after
    found = balance(whole, here.name)
    end = len(here.before) + len(text)
    rest = here.after.split("\n", 1)[0].strip()
    line_end = end + len(here.after.split("\n", 1)[0])
    same = [
        offset
        for offset in (*found.closing, *found.quotes)
        if len(here.before) <= offset < line_end and whole[offset] == rest[:1]
    ]
    parsed = parses(whole, here.name)
    return {
        "offers": bool(text.strip()),
        "parses": parsed,
        "no_new_error": parsed or not hole_parses,
        "balanced": found.unmatched <= hole.unmatched,
        # a string that the hole opened holds text, whatever brackets are in it
        "never_fewer_pairs": found.pairs >= hole.pairs or bool(hole.quotes),
        "doubled": bool(same) and found.unmatched > hole.unmatched,
        "indented": is_consistent(text, place_of(answer)),
        "exact": text.replace("\r\n", "\n").rstrip() == here.wanted.replace("\r\n", "\n").rstrip(),
    }


def clock(answers: Sequence[Answer]) -> dict[str, list[float]]:
    """Milliseconds of a processor for one call of `fit`, mean and 95th percentile: with nothing kept, then again."""
    times: dict[str, list[float]] = {"first": [], "again": []}
    for answer in answers:
        place = place_of(answer)
        for module in (fitting_scan, fitting_indentation, fitting_brackets, fitting_repeats):
            for kept in vars(module).values():
                if hasattr(kept, "cache_clear") and kept is not fitting_scan.tokens:
                    kept.cache_clear()
        for spent in times.values():
            began = time.thread_time()
            fit(answer.raw, place)
            spent.append((time.thread_time() - began) * 1000)
    return {
        way: [round(sum(spent) / len(spent), 3), round(sorted(spent)[len(spent) * 95 // 100], 3)]
        for way, spent in times.items()
    }


def report(found: Sequence[Answer], show: int) -> dict[str, Any]:
    """The figures of one language."""
    ways: dict[str, list[dict[str, bool]]] = {"with": [], "without": []}
    shown: list[dict[str, Any]] = []
    parsed = 0
    for answer in found:
        empty = answer.hole.before + answer.hole.after
        hole, hole_parses = balance(empty, answer.hole.name), parses(empty, answer.hole.name)
        parsed += hole_parses
        ways["without"].append(judge(answer, answer.raw, hole, hole_parses))
        fitted = judge(answer, answer.offered, hole, hole_parses)
        ways["with"].append(fitted)
        wrong = [name for name in ("no_new_error", "balanced", "never_fewer_pairs", "indented") if not fitted[name]]
        wrong += ["doubled"] if fitted["doubled"] else []
        if wrong and len(shown) < show:
            shown.append(
                {"wrong": wrong, "faults": answer.faults, "rules": answer.changes}
                | {"before": answer.hole.before[-120:], "offered": answer.offered, "after": answer.hole.after[:80]}
                | {"raw": answer.raw[:400], "file": answer.hole.name, "line": answer.hole.before.count("\n") + 1}
            )
    number = len(found)
    shares = {
        way: {
            name: sum(each[name] for each in judged)
            if name == "doubled"
            else round(100 * sum(each[name] for each in judged) / number, 1)
            for name in judged[0]
        }
        for way, judged in ways.items()
    }
    return {
        "places": number,
        "kinds": dict(Counter(answer.hole.kind for answer in found)),
        "files": len({answer.hole.name for answer in found}),
        "hole_parses": round(100 * parsed / number, 1),
        **shares,
        "rules": dict(Counter(change for answer in found for change in answer.changes).most_common()),
        "fit_ms": clock(found),
        **({"failing": shown} if show else {}),
    }


def files_for(language: str, given: Sequence[Path]) -> list[Path]:
    """The caller's files in a language, or those that every machine has."""
    found = [path for path in given if path.suffix in ENDINGS[language]]
    if given or language != "python":
        found = found or [p for p in sorted(FIXTURES.rglob("*")) if p.suffix in ENDINGS[language] and not given]
    else:
        library = Path(sysconfig.get_paths()["stdlib"])
        found = [library / f"{name}.py" for name in STANDARD]
    found = [path for path in found if path.stat().st_size <= LONGEST_FILE]
    if not found:
        raise SystemExit(f"no {language} file to draw places from")
    return found


def main() -> None:
    """Read the command line, print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="files to draw places from, of any of the languages")
    parser.add_argument("--language", action="append", choices=sorted(ENDINGS), help="default: all")
    parser.add_argument("--places", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="aix-mini")
    parser.add_argument("--scripted", action="store_true", help="the scripted engine in Python too")
    parser.add_argument("--keep", type=Path, help="a file for what the model says; what it has is not asked again")
    parser.add_argument("--show", type=int, default=0, help="print so many failing places of a language")
    parser.add_argument("--json", action="store_true", help="as it is: JSON is all it prints")
    given = parser.parse_args()
    missing = [str(path) for path in given.files if not path.is_file()]
    if missing:
        parser.error(f"{missing[0]} is no file")
    languages = given.language or [
        language for language, ends in ENDINGS.items() if not given.files or any(p.suffix in ends for p in given.files)
    ]
    result: dict[str, Any] = {"seed": given.seed}
    for language in languages:
        scripted = given.scripted or language != "python"
        holes = list(draw(files_for(language, given.files), given.places, given.seed))
        found = asyncio.run(answers(holes, language, scripted, given.model, given.seed, given.keep))
        result[language] = {"engine": "scripted" if scripted else given.model, **report(found, given.show)}
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
