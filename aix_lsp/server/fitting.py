"""JSON values that LSP's types take, and no others.

lsprotocol's converter follows cattrs, which calls `str`, `int` or `bool` on whatever comes and takes any iterable for a
list. A client's mistake would then become text of a document instead of a refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import is_
from typing import Any, get_origin

from cattrs import Converter


def take_only_what_fits(converter: Converter) -> None:
    """Have the converter raise for a value of another JSON type than the one that is named."""
    # by the type itself: a hook for `int` would be taken for every IntEnum
    for kind, hook in ((str, _text), (int, _integer), (bool, _truth)):
        converter.register_structure_hook_func(partial(is_, kind), hook)

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


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value


def _integer(value: Any, _: Any) -> int:
    # JSON has one kind of number, and some clients write 1.0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not an integer")
    return value


def _truth(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value
