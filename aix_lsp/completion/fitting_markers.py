"""Signs of a model's own format that do not belong into a file: markers, end tokens, the fences of a chat answer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aix_lsp.completion.place import Place

# The forms of the known families: `<|fim_middle|>`, `<fim_suffix>`, `▁<AIX-SPAN-POST>`, `<｜fim▁end｜>`, `<PRE>`, …
_MARKER = re.compile(
    r"▁?<AIX-SPAN-\w+>"
    r"|<[|｜][A-Za-z_▁][\w▁/]*[|｜]>"
    r"|</?(?:fim|repo|file|jupyter|gh|issue|commit|code|empty|endof)_\w+>"
    r"|<(?:PRE|SUF|MID|EOT|EOD|END|filename|reponame|gh_stars)>"
    r"|\[/?(?:PREFIX|SUFFIX|MIDDLE|INST)\]"
    r"|</s>|<s>|<(?:pad|unk|bos|eos|eot)>"
)
# one that generation was cut in
_BEGUN = re.compile(r"(?:▁?<AIX-\w*(?:-\w*)*|<[|｜][\w▁]*[|｜]?|<(?:fim|file|repo)_\w*)$")
_FENCE = re.compile(r"^[ \t]*```[\w+#.-]*[ \t]*$", re.MULTILINE)
_OPENING_FENCE = re.compile(r"[ \t]*```[\w+#.-]*[ \t]*(?:\r\n|\n|\r)")
_NEIGHBOURHOOD = 4000


def without_markers(text: str, place: Place) -> str:
    """`text` up to its first marker or end token. What the document around the cursor spells out itself (a program
    about such models, `<s>` in HTML) is no marker here."""
    near = place.prefix[-_NEIGHBOURHOOD:] + place.suffix[:_NEIGHBOURHOOD]
    for match in _MARKER.finditer(text):
        if match.group() not in near and match.group().replace("</", "<") not in near:
            return text[: match.start()]
    begun = _BEGUN.search(text)
    return text[: begun.start()] if begun and begun.group() not in near else text


def without_fences(text: str, place: Place) -> str:
    """What stands between the fences of an answer that was written as for a chat, unless the document has fences."""
    if "```" not in text or "```" in place.prefix[-_NEIGHBOURHOOD:] + place.suffix[:_NEIGHBOURHOOD]:
        return text
    opening = _OPENING_FENCE.match(text)
    if opening:
        text = text[opening.end() :]
    closing = next(_fences(text), None)
    return text if closing is None else text[:closing].rstrip("\r\n")


def _fences(text: str) -> Iterator[int]:
    for match in _FENCE.finditer(text):
        if text[: match.start()].strip():
            yield match.start()
