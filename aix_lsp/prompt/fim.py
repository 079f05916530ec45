"""The order of a prompt's segments in each family of fill-in-the-middle models.

A family is recognised by the tokenizer's own special tokens. Assembly works on segments that are already
encoded and already short enough, so that training builds its samples with the very same function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from aix_lsp.types import FimFormat, Tokenizer

Role = Literal["context", "header", "prefix", "suffix"]
"""Segments between markers. `context` is what stands before the file: snippets with their own markers."""

SnippetStyle = Literal["documents", "separators", "inline"]
"""Snippets as whole documents, behind file separators, or as plain text at the top of the file."""


class Marker(NamedTuple):
    """A special token: its id and its piece."""

    id: int
    piece: str


@dataclass(frozen=True, slots=True)
class FimFamily:
    """How one family of models wants its prompt. Markers that its tokenizer lacks are None.

    `lead` goes in front of the first text of a prompt before it is encoded. `spm` is true for models
    that saw suffix-prefix-middle in training.
    """

    name: str
    snippets: SnippetStyle
    spm: bool = False
    lead: str = ""
    header_before_prefix_marker: bool = False
    line_after_repository: bool = False
    begin: Marker | None = None
    end: Marker | None = None
    prefix: Marker | None = None
    suffix: Marker | None = None
    middle: Marker | None = None
    repository: Marker | None = None
    separator: Marker | None = None

    def resolve(self, wanted: FimFormat, has_suffix: bool) -> FimFormat:
        """The order that this family can do: left to right without a suffix, PSM where SPM was not learned."""
        if not has_suffix or self.middle is None or wanted == "l2r":
            return "l2r"
        return wanted if self.spm else "psm"

    def template(self, order: FimFormat) -> tuple[Marker | Role, ...]:
        """Markers and segments of a prompt from first to last. Raises ValueError for an order it cannot do."""
        context: tuple[Marker | Role | None, ...]
        # A snippet that is a document of its own stands before this document's beginning.
        context = ("context", self.begin) if self.snippets == "documents" else (self.begin, "context")
        body: tuple[Marker | Role | None, ...]
        if order == "l2r":
            body = ("header", "prefix")
        elif self.middle is None or (order == "spm" and not self.spm):
            raise ValueError(f"{self.name} models know no {order} order")
        elif order == "spm":
            # The second variant of Bavarian et al. (2022): the middle goes on right behind the prefix.
            body = (self.prefix, self.suffix, "suffix", self.middle, "header", "prefix")
        elif self.header_before_prefix_marker:
            body = ("header", self.prefix, "prefix", self.suffix, "suffix", self.middle)
        else:
            body = (self.prefix, "header", "prefix", self.suffix, "suffix", self.middle)
        return tuple(item for item in (*context, *body) if item is not None)

    def overhead(self, order: FimFormat) -> int:
        """Tokens that the markers of a prompt take."""
        return sum(isinstance(item, Marker) for item in self.template(order))


def family_of(tokenizer: Tokenizer) -> FimFamily | None:
    """The family whose three markers this tokenizer has; None for a model that only knows left to right."""
    for family, names in _FAMILIES:
        markers = {role: _marker(tokenizer, alternatives) for role, alternatives in names.items()}
        if all(markers[role] for role in ("prefix", "suffix", "middle")):
            changes: dict[str, Any] = markers
            found = replace(family, **changes)
            lacks_separator = found.snippets == "separators" and found.separator is None
            return replace(found, snippets="inline") if lacks_separator else found
    return None


def plain_family(tokenizer: Tokenizer) -> FimFamily:
    """Left to right for a causal model without markers, with its beginning-of-text token if it has one."""
    begin = _marker(tokenizer, ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>"))
    return FimFamily("plain", "inline", begin=begin)


def assemble(
    family: FimFamily,
    order: FimFormat,
    *,
    prefix: Sequence[int],
    suffix: Sequence[int] = (),
    header: Sequence[int] = (),
    context: Sequence[int] = (),
) -> list[int]:
    """Ids of a prompt from the ids of its segments, in the order that `family.resolve` allows."""
    segments: Mapping[Role, Sequence[int]]
    segments = {"context": context, "header": header, "prefix": prefix, "suffix": suffix}
    ids: list[int] = []
    for item in family.template(family.resolve(order, len(suffix) > 0)):
        ids.extend([item.id] if isinstance(item, Marker) else segments[item])
    return ids


def _marker(tokenizer: Tokenizer, names: Sequence[str]) -> Marker | None:
    for name in names:
        token = tokenizer.special(name)
        if token is not None:
            return Marker(token, name)
    return None


_FAMILIES: Final[tuple[tuple[FimFamily, dict[str, tuple[str, ...]]], ...]] = (
    (
        # https://github.com/aixcoder-plugin/aiXcoder-7B: a repository is a run of <s>{header}{text}</s>.
        FimFamily("aixcoder", "documents", spm=True),
        {
            "begin": ("<s>",),
            "end": ("</s>",),
            "prefix": ("▁<AIX-SPAN-PRE>",),
            "suffix": ("▁<AIX-SPAN-POST>",),
            "middle": ("▁<AIX-SPAN-MIDDLE>",),
        },
    ),
    (
        # Its reference encodes the prefix as sentencepiece does, with a space in front, and the suffix without.
        FimFamily("codellama", "inline", spm=True, lead=" "),
        {
            "begin": ("<s>",),
            "end": ("▁<EOT>", "</s>"),
            "prefix": ("▁<PRE>",),
            "suffix": ("▁<SUF>",),
            "middle": ("▁<MID>",),
        },
    ),
    (
        FimFamily("deepseek", "inline"),
        {
            "begin": ("<｜begin▁of▁sentence｜>",),
            "end": ("<｜end▁of▁sentence｜>",),
            "prefix": ("<｜fim▁begin｜>",),
            "suffix": ("<｜fim▁hole｜>",),
            "middle": ("<｜fim▁end｜>",),
        },
    ),
    (
        # {repository}\n<|file_sep|>{path}\n<|fim_prefix|>{prefix}... (Hui et al. 2024). CodeGemma has the same
        # three markers, and a token that begins every text.
        FimFamily("qwen", "separators", header_before_prefix_marker=True, line_after_repository=True),
        {
            "begin": ("<bos>",),
            "end": ("<|endoftext|>", "<eos>"),
            "prefix": ("<|fim_prefix|>",),
            "suffix": ("<|fim_suffix|>",),
            "middle": ("<|fim_middle|>",),
            "repository": ("<|repo_name|>",),
            "separator": ("<|file_sep|>", "<|file_separator|>"),
        },
    ),
    (
        # {repository}<file_sep>{path}\n{text}<file_sep><fim_prefix>{path}\n{prefix}... (StarCoder2, Lozhkov et al.
        # 2024, section 5.1). The first StarCoder has no separator, SantaCoder writes its markers with hyphens.
        FimFamily("starcoder", "separators", spm=True),
        {
            "end": ("<|endoftext|>",),
            "prefix": ("<fim_prefix>", "<fim-prefix>"),
            "suffix": ("<fim_suffix>", "<fim-suffix>"),
            "middle": ("<fim_middle>", "<fim-middle>"),
            "repository": ("<repo_name>",),
            "separator": ("<file_sep>",),
        },
    ),
)
"""Families with the names that their markers go by; the first that the tokenizer knows counts."""
