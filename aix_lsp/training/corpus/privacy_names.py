"""Names of people where a rule can tell: copyright lines, author tags, "written by", TODO(name).

Only names that stand at such a place are replaced, in comments and strings. Companies and teams are no people and
stay when a word says what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .privacy_addresses import EMAIL
from .privacy_spans import Places, Span, words

NAME: Final = "NAME"
LOGIN: Final = "user"

_UPPER: Final = "A-ZÀ-ÖØ-ÞĀĂĄĆĈĊČĎĐĒĖĘĚĜĞĠĢĤĦĨĪĮİĴĶĹĻĽŁŃŅŇŌŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽ"
_WORD: Final = rf"[{_UPPER}](?:\.(?:-?[{_UPPER}]\.)*|[^\W\d_]*(?:['’\-][^\W\d_]+)*)"
_PARTICLE: Final = r"(?:van|von|der|den|de|da|di|del|della|dos|la|le|el|al|bin|ibn|ter|ten|zu|y)"
_PERSON: Final = re.compile(rf"{_WORD}(?:[ \t]+(?:{_PARTICLE}[ \t]+){{0,3}}{_WORD}){{1,5}}(?![\w@])")
_HANDLE: Final = re.compile(r"@?[A-Za-z][A-Za-z0-9_\-]{1,30}(?=[ \t]*(?:$|[<(,;\r\n\"']|\*/))", re.MULTILINE)
_CJK_PERSON: Final = re.compile(r"[一-鿿가-힣]{2,4}(?![\w一-鿿가-힣])")
_NOT_PEOPLE: Final = words(
    "inc ltd llc llp plc corp corporation company co gmbh ag sa srl bv ab oy kg foundation team teams authors",
    "author contributors contributor developers developer maintainers community committee consortium project",
    "projects group university institute institut college school laboratory laboratories lab labs center centre",
    "department dept technologies technology software systems system solutions services research networks network",
    "media studio studios association society council organization organisation alliance bank industries",
    "international global the all rights reserved license licence licensed apache mit bsd gnu gpl public domain",
    "version copyright see this file code none google microsoft facebook meta amazon apple ibm intel nvidia amd",
    "oracle mozilla huawei alibaba tencent baidu bytedance openai huggingface hugging face anaconda quansight",
    "python java linux red hat your my our national federal government ministry agency commission united states",
    "press open source free holders holder owner owners various others everyone anonymous unknown date year",
    "created modified module description str string text name int object bool list dict optional required type",
    "any number null true false user me django flask rust go ai api cloud data digital security engineering",
    "ventures partners holdings",
)
_BRACKETED: Final = re.compile(r"[ \t]*[<(\[][^<>()\[\]\r\n]{0,120}[>)\]]")
_SEPARATOR: Final = re.compile(r"[ \t]*(?:[,;&/+|][ \t]*(?:and[ \t]+)?|(?:and|with|et)[ \t]+)")
_OTHER: Final = re.compile(r"[^,;&\r\n]{1,120}?(?=[ \t]*(?:[,;&]|and[ \t])|$)", re.MULTILINE)
_WORDS: Final = re.compile(r"[^\W\d_]+")


def _is_person(name: str) -> bool:
    words = _WORDS.findall(name)
    if any(word.lower() in _NOT_PEOPLE for word in words):
        return False
    return any(len(word) > 1 and not word.isupper() for word in words)


def _people(text: str, start: int, end: int, *, single: bool) -> Iterator[tuple[int, int]]:
    """Where the names in a list of people lie; `single` takes one word or a login for a name too."""
    place = start
    while place < end:
        match = _PERSON.match(text, place, end) or _CJK_PERSON.match(text, place, end)
        if match is None and single:
            match = _HANDLE.match(text, place, end)
        if match is not None:
            if _is_person(match[0]) or (match.re is _HANDLE and match[0] != NAME and _is_login(match[0])):
                yield match.span()
        else:
            match = _OTHER.match(text, place, end)
            if match is None:
                return
        place = match.end()
        while (bracketed := _BRACKETED.match(text, place, end)) is not None:
            place = bracketed.end()
        separator = _SEPARATOR.match(text, place, end)
        if separator is None:
            return
        place = separator.end()


def _is_login(word: str) -> bool:
    return word.lstrip("@").lower() not in _NOT_PEOPLE


_YEARS: Final = r"(?:\d{4}(?:[ \t]*(?:[-–,/]|to|and|present|now|today)[ \t]*)*|present\b|now\b|today\b)*"
_COPYRIGHT: Final = re.compile(
    rf"(?:copyright(?:ed)?|©|\(c\))(?:[ \t:,]|\(c\)|©|&copy;|copyright)*{_YEARS}[ \t,.:]*(?:(?:by|held by)[ \t]+)?",
    re.IGNORECASE,
)
_LEADER: Final = r"^[ \t#/*;%!.\-\"'|]*"
_TAG: Final = re.compile(
    r"[@\\]authors?[ \t]*:?[ \t]+|:authors?:[ \t]+"
    rf"|{_LEADER}(?:(?:original|main|lead|primary|module)[ \t]+)?(?:authors?|maintainers?|contributors?|programmers?"
    r"|signed-off-by|co-authored-by|reviewed-by|reported-by|tested-by|acked-by|contact)(?:\(s\))?[ \t]*:[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_STRICT_TAG: Final = re.compile(r"[@\\]author|:author|Author|AUTHOR|-by:|-By:")
_LISTED: Final = re.compile(rf"\r?\n{_LEADER}(?=[^\W\d_])", re.MULTILINE)
_DUNDER: Final = re.compile(
    r"^[ \t]*__(?:authors?|maintainers?|credits|contact)__[ \t]*=[ \t]*[\[(]?[ \t]*(?=[\"'])"
    r"|\b(?:author|maintainer)[ \t]*=[ \t]*(?=[\"'])",
    re.MULTILINE,
)
_QUOTED: Final = re.compile(r"[ \t,]*[uUrRbB]?(\"|')([^\"'\\\r\n]{2,200})\1")
_BY: Final = re.compile(
    r"\b(?:written|created|contributed|implemented|authored|developed|maintained|ported|modified|adapted|translated"
    r"|designed|coded|programmed|rewritten|provided|suggested|reported|donated|patch|patches|fix|code)[ \t]+by:?[ \t]+",
    re.IGNORECASE,
)
_TODO: Final = re.compile(
    r"\b(?:TODO|FIXME|XXX|HACK|NOTE|BUG|OPTIMIZE|REVIEW|Todo|todo)[ \t]?\("
    rf"(@?[a-z][a-z_\-.]{{1,30}}\d{{0,4}}|{_PERSON.pattern})@?\)"
)
_WITH_EMAIL: Final = re.compile(
    rf"(?<![^\W_])(?<!\\)({_PERSON.pattern})[ \t]*[<(\[][ \t]*(?:mailto:)?{re.escape(EMAIL)}"
    rf"|{re.escape(EMAIL)}>?[ \t]*\(({_PERSON.pattern})\)"
)
"""A name beside an address is found once the address has become the placeholder: the second time."""


def names(text: str, places: Places) -> Iterator[Span]:
    """Spans of people's names; `NAME` stands for a name and `user` for the login in TODO(login)."""
    lowered = text.lower()
    if "copyright" in lowered or "©" in text or "(c)" in lowered:
        for match in _COPYRIGHT.finditer(text):
            yield from _named(text, match.end(), _line_end(text, match.end()), places, single=False)
    if "author" in lowered or "maintainer" in lowered or "contributor" in lowered or "-by:" in lowered:
        yield from _tagged(text, places)
        yield from _assigned(text)
    if " by" in lowered:
        for match in _BY.finditer(text):
            yield from _named(text, match.end(), _line_end(text, match.end()), places, single=False)
    if EMAIL in text:
        for match in _WITH_EMAIL.finditer(text):
            group = match.lastindex or 0
            if _is_person(match[group]) and places.is_prose(*match.span(group)):
                yield Span(*match.span(group), NAME, "name")
    if "(" in text and any(word in text for word in ("TODO", "FIXME", "XXX", "HACK", "NOTE", "BUG", "odo", "REVIEW")):
        for match in _TODO.finditer(text):
            if match[1] != LOGIN and _is_login(match[1]) and places.is_prose(match.start(), match.end()):
                yield Span(match.start(1), match.end(1), LOGIN, "name")


def _line_end(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end


def _named(text: str, start: int, end: int, places: Places, *, single: bool) -> Iterator[Span]:
    for first, last in _people(text, start, end, single=single):
        if places.is_prose(first, last):
            yield Span(first, last, NAME, "name")


def _tagged(text: str, places: Places) -> Iterator[Span]:
    for match in _TAG.finditer(text):
        end = _line_end(text, match.end())
        if text[match.end() : end].strip():
            single = bool(_STRICT_TAG.search(match[0]))
            yield from _named(text, match.end(), end, places, single=single)
            continue
        # "Authors:" with one name a line below it
        while (listed := _LISTED.match(text, end)) is not None:
            person = _PERSON.match(text, listed.end())
            if person is None or not _is_person(person[0]) or not places.is_prose(person.start(), person.end()):
                break
            yield Span(person.start(), person.end(), NAME, "name")
            end = _line_end(text, person.end())
            if text[end - 1 : end] == "\r":
                end -= 1


def _assigned(text: str) -> Iterator[Span]:
    for match in _DUNDER.finditer(text):
        place = match.end()
        while (quoted := _QUOTED.match(text, place)) is not None:
            for first, last in _people(text, quoted.start(2), quoted.end(2), single="__" in match[0]):
                yield Span(first, last, NAME, "name")
            place = quoted.end()
