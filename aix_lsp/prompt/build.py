"""From a document, a cursor and snippets to the prompt of one model, within its token budget.

A pure function: the same input gives the same prompt. What had to be left out is said in `Prompt.cut`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aix_lsp.prompt.block import EMPTY, Block, encoded, joined, marked
from aix_lsp.prompt.budget import Kept, closed, share
from aix_lsp.prompt.elsewhere import left_out
from aix_lsp.prompt.fim import FimFamily, Marker, Role, family_of, plain_family
from aix_lsp.prompt.healing import take_back
from aix_lsp.prompt.layout import Quotes, file_header, quote, quote_style
from aix_lsp.settings import PromptSettings
from aix_lsp.text import parts_with_line_feeds
from aix_lsp.types import DocumentSnapshot, FimFormat, ModelInfo, Prompt, PromptPart, Snippet, Tokenizer

_LEAST_ROOM = 8
"""With fewer tokens than this for text, the markers of a suffix would cost more than they bring."""


def build_prompt(
    tokenizer: Tokenizer,
    model: ModelInfo,
    document: DocumentSnapshot,
    offset: int,
    snippets: Sequence[Snippet],
    settings: PromptSettings,
    max_new_tokens: int,
) -> Prompt:
    """The prompt for completing `document` at `offset` (code points); `snippets` come best first.

    `len(ids)` is at most `settings.max_tokens`, and with `max_new_tokens` at most `model.max_positions`; what the model
    wants of prompts in this order holds where it is less. Snippets get at most their share, the suffix its share of the
    rest, the prefix what is left; what suffix or prefix does not need goes to the other. Raises ValueError when there
    is no room for a prompt at all.
    """
    family = family_of(tokenizer) or plain_family(tokenizer)
    task = _Task(
        tokenizer=tokenizer,
        family=family,
        document=document,
        around=_around(document, offset),
        snippets=snippets,
        settings=settings,
        model=model,
        most=min(settings.max_tokens, model.max_positions - max_new_tokens),
        heals=settings.token_healing and model.token_healing,
    )
    if task.room("l2r") < 1:
        raise ValueError(
            f"no room for a prompt: {model.name} has {model.max_positions} positions "
            f"and the completion takes {max_new_tokens}"
        )
    wanted = model.format if settings.format == "auto" else settings.format
    order = family.resolve(wanted, has_suffix=bool(task.around[1]))
    if order != "l2r" and task.room(order) >= _LEAST_ROOM:
        draft = task.draft(order)
        # Markers around no suffix would say that the file ends at the cursor.
        if draft.suffix.ids:
            return task.finished(draft)
    reason = ""
    if wanted != "l2r" and task.around[1]:
        reason = "no room" if family.middle else "this model only writes from left to right"
    return task.finished(task.draft("l2r"), suffix_left_out=reason)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a prompt is made from. `around` is the text before and after the cursor; `heals` says whether a word that
    the cursor cuts in two is taken back."""

    tokenizer: Tokenizer
    family: FimFamily
    document: DocumentSnapshot
    around: tuple[str, str]
    snippets: Sequence[Snippet]
    settings: PromptSettings
    model: ModelInfo
    most: int
    heals: bool

    def room(self, order: FimFormat) -> int:
        """Tokens for text once the markers are there."""
        limits = self.model.limited(order)
        return min(self.most, limits.tokens if limits else self.most) - self.family.overhead(order)

    def most_suffix(self, order: FimFormat) -> int:
        """Most tokens of the suffix, however much room there is."""
        limits = self.model.limited(order)
        return limits.suffix if limits else self.most

    def finished(self, draft: _Draft, suffix_left_out: str = "") -> Prompt:
        """The prompt of a draft, with what it has no room for where the engine asks for that."""
        prompt = draft.prompt(suffix_left_out)
        if not self.model.looks_up:
            return prompt
        before, after = self.around
        unquoted = [snippet for snippet in self.snippets if snippet not in prompt.snippets]
        cut = before[: len(before) - len(draft.prefix.text)], after[len(draft.suffix.text) :]
        return replace(prompt, elsewhere=left_out(self.tokenizer, *cut, unquoted))

    def draft(self, order: FimFormat) -> _Draft:
        """All segments, each cut to its room."""
        tokenizer, family, document = self.tokenizer, self.family, self.document
        room, lead = self.room(order), family.lead
        style = quote_style(family, self.settings.snippet_layout)
        title = file_header(family, document.name, document.language_id)
        if family.snippets == "separators" and style != "separators":
            title = ""
        header = encoded(tokenizer, lead + title) if title else EMPTY
        header_dropped = len(header) > room // 4
        if header_dropped:
            title, header = "", EMPTY
        quotes = quote(
            tokenizer,
            family,
            style,
            document,
            self.snippets,
            int((room - len(header)) * self.settings.snippet_share),
            lead="" if style == "comments" and title else lead,
        )
        if style == "separators" and not quotes.quotes:
            header, header_dropped = EMPTY, False
        if style == "inline" and quotes.quotes and lead:
            header = encoded(tokenizer, title)
        if header or quotes.quotes:
            lead = ""
        prefix, suffix = share(
            tokenizer,
            self.around[0],
            "" if order == "l2r" else self.around[1],
            room - len(header) - len(quotes.block),
            self.settings.suffix_share,
            most_suffix=self.most_suffix(order),
            lead=lead,
        )
        ids, required = prefix.ids, ""
        if self.heals:
            ids, required = take_back(tokenizer, ids, prefix.text)
        block = Block(ids, (lead + prefix.text).removesuffix(required))
        return _Draft(family, order, document.name, quotes, header, header_dropped, prefix, block, required, suffix)


@dataclass(frozen=True, slots=True)
class _Draft:
    """The segments of a prompt, each cut to its room. `block` is the prefix as the model sees it: with what some
    family wants before it, and without its unfinished last word `required`."""

    family: FimFamily
    order: FimFormat
    name: str
    quotes: Quotes
    header: Block
    header_dropped: bool
    prefix: Kept
    block: Block
    required: str
    suffix: Kept

    def prompt(self, suffix_left_out: str = "") -> Prompt:
        """The finished prompt; `suffix_left_out` says why there is no suffix although the document has one."""
        quoted = self.quotes.block
        prefix = self.block
        segments: dict[Role, Block] = {
            "context": quoted,
            "header": self.header,
            "prefix": prefix,
            "suffix": Block(self.suffix.ids, self.suffix.text),
        }
        if self.quotes.inside:
            top = quoted + self.header if self.quotes.style == "inline" else self.header + quoted
            segments |= {"context": EMPTY, "header": EMPTY, "prefix": top + prefix}
        items = self.family.template(self.order)
        whole = joined(marked(item) if isinstance(item, Marker) else segments[item] for item in items)
        cut = [_cut_sentence("prefix", self.prefix), _cut_sentence("suffix", self.suffix)]
        if suffix_left_out:
            cut.append(f"suffix: left out, {suffix_left_out}")
        if self.header_dropped:
            cut.append("header: left out, no room")
        return Prompt(
            ids=whole.ids,
            text=whole.text,
            format=self.order,
            parts=tuple(self._parts(items)),
            cut=(*filter(None, cut), *self.quotes.cut),
            snippets=tuple(quote.snippet for quote in self.quotes.quotes),
            required=self.required,
        )

    def _parts(self, items: Sequence[Marker | Role]) -> Iterator[PromptPart]:
        """The segments in their order, each with its place in the text."""
        at = 0
        for item in items:
            if isinstance(item, Marker):
                at += len(item.piece)
                continue
            for part in self._trace(item):
                yield replace(part, start=at)
                at += part.characters

    def _trace(self, role: Role) -> Iterator[PromptPart]:
        inside, snippets = self.quotes.inside, self.quotes.trace()
        name, length = self.name, len(self.header.text)
        header = [PromptPart("header", len(self.header), name, characters=length)] if self.header else []
        if role == "suffix":
            yield PromptPart("suffix", len(self.suffix.ids), characters=len(self.suffix.text))
        elif role == "prefix":
            if inside:
                yield from (*snippets, *header) if self.quotes.style == "inline" else (*header, *snippets)
            yield PromptPart("prefix", len(self.block.ids), characters=len(self.block.text))
        elif not inside:
            yield from snippets if role == "context" else header


def _around(document: DocumentSnapshot, offset: int) -> tuple[str, str]:
    """Text before and after the cursor, with the notebook's other cells, each of which begins on a new line.

    Line ends become line feeds, as models mostly saw them: a carriage return is a token that says nothing, at every
    line. Completions take the document's line ends when they are put into it.
    """
    offset = min(max(offset, 0), len(document.text))
    prefix, suffix = document.text[:offset], document.text[offset:]
    if document.before:
        prefix = closed(document.before) + prefix
    if document.after:
        suffix = (closed(suffix) or "\n") + document.after
    before, after = parts_with_line_feeds(prefix, suffix)
    return before, after


def _cut_sentence(role: Literal["prefix", "suffix"], kept: Kept) -> str:
    if not kept.cut_characters:
        return ""
    end = "start" if role == "prefix" else "end"
    tokens = f"about {kept.cut_tokens:,} {'token' if kept.cut_tokens == 1 else 'tokens'}"
    if kept.inside_line:
        return f"{role}: {kept.cut_characters:,} characters ({tokens}) cut from the {end}, inside a line too long"
    lines = f"{kept.cut_lines:,} {'line' if kept.cut_lines == 1 else 'lines'}"
    return f"{role}: {lines} ({tokens}) cut from the {end}"
