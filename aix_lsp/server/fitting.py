"""JSON values that LSP's types take, and no others.

lsprotocol's converter follows cattrs, which calls `str`, `int` or `bool` on whatever comes and takes any iterable for a
list. A client's mistake would then become text of a document instead of a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union, get_origin

from cattrs import Converter
from lsprotocol import types as lsp

_LANGUAGE: Any = Union[lsp.LanguageKind, str]  # noqa: UP007  # what is registered by this form


def take_only_what_fits(converter: Converter) -> None:
    """Have the converter raise for a value of another JSON type than the one that is named."""
    # enumerations come here too, as the strings and numbers that they are
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(bool, _truth)
    # an open enumeration, of which lsprotocol passes on whatever it does not know
    converter.register_structure_hook(_LANGUAGE, lambda value, _: _text(value, str))

    def of_lists(kind: Any, inner: Converter) -> Any:
        (element, *_) = kind.__args__

        def structured(value: Any, _: Any) -> Any:
            if not isinstance(value, (list, tuple)):
                raise TypeError("not a list")
            return tuple([inner.structure(item, element) for item in value])

        return structured

    converter.register_structure_hook_factory(_is_list, of_lists)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is Sequence


def _text(value: Any, kind: type[str]) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return kind(value)


def _integer(value: Any, kind: type[int]) -> int:
    # JSON has one kind of number, and some clients write 1.0
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        raise TypeError("not an integer")
    return kind(value)


def _truth(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value
