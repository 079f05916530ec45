"""What a file's bytes are: text in which encoding, and whether somebody wrote it or a program did."""

from __future__ import annotations

import codecs
import re
from fnmatch import translate
from typing import Final, Literal, get_args

from aix_lsp.text import LINE_BREAK

Unfit = Literal["binary", "generated", "minified"]
UNFIT: Final = frozenset(get_args(Unfit))

HEAD_BYTES: Final = 8192
"""Bytes from the start of a file that decide whether it is fit to be read."""

_HEAD_LINES: Final = 30
_MIN_BYTES_FOR_LINE_LENGTH: Final = 2048
_MAX_AVERAGE_LINE: Final = 300
_MAX_CONTROL_SHARE: Final = 0.01

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, whose mark is the first half of this one.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL_BYTES: Final = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"

_GENERATED_NAMES: Final = (
    *("*.lock", "*-lock.json", "*-lock.yaml", "*-lock.yml", "npm-shrinkwrap.json", "go.sum", "gradle.lockfile"),
    *("*.min.js", "*.min.mjs", "*.min.css", "*.bundle.js", "*.chunk.js", "*-min.js", "*.map", "*.js.flow"),
    *("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*.pb.go", "*_grpc.pb.go", "*.pb.cc", "*.pb.h", "*_pb.js", "*_pb.ts"),
    *("*_pb.d.ts", "*.pb.rs", "*.g.dart", "*.freezed.dart", "*.gr.dart", "*.g.cs", "*.g.i.cs", "*.designer.cs"),
    *("*.generated.*", "*_generated.*", "*.gen.go", "*.gen.ts", "zz_generated*", "moc_*.cpp", "ui_*.h", "*.snap"),
)
_GENERATED_NAME: Final = re.compile("|".join(map(translate, _GENERATED_NAMES)))

_GENERATED_WORDS: Final = ("generated", "do not edit", "do not modify")
_GENERATED_LINE: Final = re.compile(
    # The words must stand in a comment or a docstring: no quote, bracket or assignment before them. A generator
    # has the same words in its strings and is itself worth reading.
    r"^[ \t]*(?:\"\"\"|\'\'\')?(?:"
    r"[^\"'`=(\n]*?(?:(?<!\w)@generated\b|<auto-?generated\b|(?-i:DO NOT (?:EDIT|MODIFY)\b)"
    r"|\bdo not (?:edit|modify)\b[^\n]{0,40}\b(?:by hand|manually)"
    r"|\bthis (?:\w+ )?(?:file|code|source|class|module|header) (?:is|was) (?:auto[- ]?|automatically )?generated)"
    r"|[^\w\"'`=(\n]*(?:(?:file|code|source) )?(?:auto[- ]?|automatically )?generated (?:by|from|with|using|on)\b)",
    re.IGNORECASE | re.MULTILINE,
)


def generated_by_name(name: str) -> bool:
    """True for names that only programs give: lock files, minified bundles, protobuf output and the like."""
    return _GENERATED_NAME.match(name.lower()) is not None


def unfit(head: bytes) -> Unfit | None:
    """Why a file that begins with `head` (at most `HEAD_BYTES` of it count) is not worth reading, or None."""
    head = head[:HEAD_BYTES]
    mark, encoding = _byte_order_mark(head)
    if encoding is None or encoding == "utf-8":
        if b"\0" in head:
            return "binary"
        # The words looked for are ASCII, and a character cut at the end of the head must not matter.
        encoding = "latin-1"
    text = head[mark:].decode(encoding, "replace")
    first_lines = "\n".join(LINE_BREAK.split(text, maxsplit=_HEAD_LINES)[:_HEAD_LINES])
    lowered = first_lines.lower()
    # Plain searches first: they are a hundred times faster, and most files have none of the words.
    if any(word in lowered for word in _GENERATED_WORDS) and _GENERATED_LINE.search(first_lines):
        return "generated"
    lines = max(text.count("\n"), text.count("\r")) + 1
    if len(head) >= _MIN_BYTES_FOR_LINE_LENGTH and len(text) / lines > _MAX_AVERAGE_LINE:
        return "minified"
    return None


def decode(data: bytes) -> str | None:
    """Text of a file: what its byte order mark says (the mark is dropped), else UTF-8, else Latin-1; None if binary.

    Latin-1 fits any bytes, so it is taken only without NUL and with few other control characters.
    """
    mark, encoding = _byte_order_mark(data)
    if encoding is not None:
        try:
            return data[mark:].decode(encoding)
        except UnicodeDecodeError:
            return None
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        controls = len(data) - len(data.translate(None, _CONTROL_BYTES))
        return None if controls > _MAX_CONTROL_SHARE * len(data) else data.decode("latin-1")


def _byte_order_mark(data: bytes) -> tuple[int, str | None]:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return len(mark), encoding
    return 0, None
