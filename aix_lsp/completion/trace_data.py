"""A remembered request as plain data: what `aix.trace` and `aix-lsp inspect --json` give, and the socket carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aix_lsp.completion.report import snippet_to_dict
from aix_lsp.completion.trace import Place, Traced
from aix_lsp.types import CompletionItem, CompletionResult, Prompt, PromptPart, Snippet, Span, Timings

_PLAIN = ("reason", "model", "raw", "failed", "source", "amount", "finish", "confidence")
_COUNTS = ("tokens", "reused_tokens", "guessed_tokens")
_TIMES = ("retrieval", "prompt", "first_token", "total")


def traced_to_dict(traced: Traced) -> dict[str, Any]:
    """Ranges are 1-based lines and columns (characters), ends exclusive; times are milliseconds, `time` is seconds
    since the epoch."""
    result = traced.result
    data: dict[str, Any] = {
        "number": traced.number,
        "request_id": traced.request_id,
        "time": round(traced.time, 3),
        "file": traced.file,
        "language": traced.language,
        "line": traced.place.line,
        "column": traced.place.column,
        "trigger": traced.trigger,
        "selected": traced.selected,
        "before": traced.before,
        "after": traced.after,
        **{name: getattr(result, name) for name in (*_PLAIN, *_COUNTS)},
        "changes": list(result.changes),
        "completions": [
            {
                "id": item.id,
                "text": item.text,
                "range": {"start": _place(start), "end": _place(traced.place)},
                "outcome": outcome,
            }
            for item, start, outcome in zip(result.items, traced.starts, traced.outcomes, strict=True)
        ],
        "snippets": [
            {**snippet_to_dict(snippet), "terms": dict(snippet.terms), "notes": list(snippet.notes)}
            for snippet in result.snippets
        ],
        "timings_ms": {name: round(getattr(result.timings, name), 2) for name in _TIMES},
        "spans": [
            {"name": span.name, "start": round(span.start, 3), "end": round(span.end, 3)} for span in traced.spans
        ],
        "prompt": None,
    }
    prompt = result.prompt
    if prompt is not None:
        data["prompt"] = {
            "text": prompt.text,
            "format": prompt.format,
            "tokens": traced.prompt_tokens,
            "required": prompt.required,
            "parts": [
                {
                    "role": part.role,
                    "tokens": part.tokens,
                    "label": part.label,
                    "start": part.start,
                    "characters": part.characters,
                }
                for part in prompt.parts
            ],
            "cut": list(prompt.cut),
        }
    return data


def traced_of(data: Mapping[str, Any]) -> Traced:
    """The record that `traced_to_dict` made. Raises ValueError for anything else."""
    try:
        return _traced_of(data)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no record of a request ({type(error).__name__}: {error})") from None


def _traced_of(data: Mapping[str, Any]) -> Traced:
    completions = data["completions"]
    snippets = tuple(
        Snippet(**{**item, "terms": tuple(item["terms"].items()), "notes": tuple(item["notes"])})
        for item in data["snippets"]
    )
    prompt = data["prompt"]
    result = CompletionResult(
        **{name: data[name] for name in (*_PLAIN, *_COUNTS)},
        changes=tuple(data["changes"]),
        items=tuple(CompletionItem(item["id"], item["text"], 0, 0) for item in completions),
        snippets=snippets,
        timings=Timings(**data["timings_ms"]),
        spans=tuple(Span(**span) for span in data["spans"]),
        prompt=None
        if prompt is None
        else Prompt(
            ids=(),
            text=prompt["text"],
            format=prompt["format"],
            parts=tuple(PromptPart(**part) for part in prompt["parts"]),
            cut=tuple(prompt["cut"]),
            snippets=snippets,
            required=prompt["required"],
        ),
    )
    return Traced(
        number=data["number"],
        time=data["time"],
        file=data["file"],
        language=data["language"],
        place=Place(data["line"], data["column"]),
        trigger=data["trigger"],
        selected=data["selected"],
        before=data["before"],
        after=data["after"],
        result=result,
        prompt_tokens=prompt["tokens"] if prompt is not None else 0,
        starts=tuple(Place(**item["range"]["start"]) for item in completions),
        outcomes=tuple(item["outcome"] for item in completions),
        request_id=data.get("request_id", ""),
    )


def _place(place: Place) -> dict[str, int]:
    return {"line": place.line, "column": place.column}
