"""Which tokens a key-value cache holds, and how much of it the next prompt can keep. No tensors here."""

from __future__ import annotations

from collections.abc import Sequence


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest prefix that both share."""
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


class PrefixCache:
    """Bookkeeping beside a key-value cache: the tokens whose keys and values it holds, in order.

    The owner of the tensors calls `extend` only after a forward pass went through, so a pass that was
    cancelled or failed leaves the account right.
    """

    def __init__(self) -> None:
        self._held: list[int] = []

    def __len__(self) -> int:
        return len(self._held)

    @property
    def held(self) -> tuple[int, ...]:
        return tuple(self._held)

    def reusable(self, ids: Sequence[int], *, croppable: bool = True) -> int:
        """How many leading tokens of `ids` need not be run again.

        At least one token is always left to run, since its logits give the next token. A cache that cannot
        be cropped (a recurrent state) is kept whole or not at all.
        """
        shared = min(common_prefix(self._held, ids), max(len(ids) - 1, 0))
        if not croppable and shared != len(self._held):
            return 0
        return shared

    def crop(self, length: int) -> None:
        """Keep the first `length` tokens."""
        del self._held[length:]

    def extend(self, ids: Sequence[int]) -> None:
        """These tokens were run after those held."""
        self._held.extend(ids)
