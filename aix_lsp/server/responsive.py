"""What keeps one process quick to answer while it does other things: short turns between threads, and no long looks for
garbage.

A request that reads files gives the interpreter's lock away with every call of the system, and gets it back when the
thread that took it is made to give it up: after 5 ms, unless told otherwise. And now and then Python looks through all
objects for cycles, which takes as long as there are objects: of an index and a model that stay, tens of milliseconds
for nothing.
"""

from __future__ import annotations

import gc
import sys

_TURN_SECONDS = 0.001
_MANY = 50_000
"""Objects that take 10 ms to look through."""
_MANY_BLOCKS = 160_000
"""Blocks of memory that so many take, with what they hold: PyTorch's import makes 142,000 objects, 455,000 blocks."""


class _Left:
    """What the process had when it was last passed by. The collector is one for the process, and so is this."""

    blocks = 0


def take_short_turns() -> None:
    """Let threads wait less for one another. For the whole process."""
    sys.setswitchinterval(_TURN_SECONDS)


def pass_by_what_is_there() -> None:
    """Have the collector look only through what is made from now on. For the moment when something large that stays is
    in place; what goes later is freed all the same when nothing refers to it.

    What is in a cycle then and goes later never goes: so nothing is done where little was made since the last time (an
    index is made anew with every switch of branches), and what is garbage already goes first, where that is quick."""
    # Blocks are counted, not objects: `gc.get_objects` takes hold of tuples that another thread is just making, which
    # ends there with a SystemError (seen while a model was loaded).
    if sys.getallocatedblocks() - _Left.blocks < _MANY_BLOCKS:
        return
    # the first time everything that was imported would be looked through
    gc.collect(2 if gc.get_freeze_count() > _MANY else 1)
    gc.freeze()
    _Left.blocks = sys.getallocatedblocks()
