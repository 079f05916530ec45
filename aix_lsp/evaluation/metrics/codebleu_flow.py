"""The semantic match of CodeBLEU: how much of the flow of values between variables the answer has."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aix_lsp.syntax_tree import Parsed

from . import codebleu_flow_tables as tables
from .codebleu_trees import is_plain_string

if TYPE_CHECKING:
    from tree_sitter import Node

_DEEPEST: Final = 120
"""Nodes below this many others are not walked: an answer may nest as deep as it is long."""
_LOOPS_TWICE: Final = 3
"""Loops in this many others run once: each level doubles the time."""

State = Mapping[str, frozenset[int]]
"""Name -> the places where it may have got its value."""
Flow = tuple[int, str, tuple[int, ...]]
"""A variable's number, how it got its value, and the numbers of those that it got it from."""


def data_flow_match(text: Parsed, wanted: Parsed, text_bytes: range, wanted_bytes: range) -> float | None:
    """The share of the wanted text's data flow that the answer has too, 0 to 1; None where it has none.

    Ren et al. 2020, section 3.3: Count_clip(DF_cand) / Count(DF_ref). An item is a variable at one place,
    whether its value comes from or is computed from others, and which; variables are called by the order in which
    they come up, so that names do not matter (`data_flow`).
    """
    theirs = Counter(data_flow(wanted, wanted_bytes))
    if not theirs:
        return None
    return (Counter(data_flow(text, text_bytes)) & theirs).total() / theirs.total()


def data_flow(parsed: Parsed, within: range) -> list[Flow]:
    """The items of a text whose places lie in these bytes, in order.

    After Guo et al. 2021, GraphCodeBERT, section 3, whose extraction CodeBLEU took over: leaves that are variables or
    literals, an edge to a use from where the name may have got its value, and to a name that is assigned from what it
    is computed from. Only what has an edge is an item. A name that nothing has bound is bound where it is first seen,
    since holes and answers are fragments. Choices, where that implementation (microsoft/CodeXGLUE, `DFG.py`) has one
    walk per language with its own peculiarities: names of members, types, functions that are called and labels are no
    variables; what is bound in a function stays there; a name's values from all branches and from one more round of a
    loop are joined; and assigning to a part of a variable keeps its earlier value as a source.
    """
    walk = _Walk()
    walk.node(parsed.tree.root_node, {})
    told = {place for place, item in walk.items.items() if item.sources}
    told |= {source for item in walk.items.values() for source in item.sources}
    numbers: dict[str, int] = {}
    found: list[Flow] = []
    for place in sorted(told):
        if place in within:
            item = walk.items[place]
            names = dict.fromkeys(walk.items[source].name for source in sorted(item.sources))
            sources = [numbers.setdefault(name, len(numbers)) for name in names]
            found.append((numbers.setdefault(item.name, len(numbers)), item.relation, tuple(sources)))
    return found


@dataclass(slots=True)
class _Item:
    name: str
    relation: str
    sources: set[int] = field(default_factory=set)


def _joined(*states: State) -> State:
    """What a name may come from after either of these."""
    names = dict.fromkeys(name for state in states for name in state)
    return {name: frozenset().union(*(state.get(name, frozenset()) for state in states)) for name in names}


class _Walk:
    """Goes through a tree in the order in which it would run; `items` are by the byte where they start."""

    def __init__(self) -> None:
        self.items: dict[int, _Item] = {}
        self._order: list[int] = []
        self._depth = 0
        self._loops = 0

    def node(self, node: Node, state: State, *, binds: bool = False) -> State:
        """The state after a node. `binds`: a bare name is bound here and not used."""
        if node.type in tables.NOT_WALKED or self._depth > _DEEPEST:
            return state
        if node.type in tables.VARIABLES:
            return self._bind(node, set(), "comesFrom", state) if binds else self._use(node, state)
        if node.type in tables.VALUES and (is_plain_string(node) or not node.named_child_count):
            self._note(node, "comesFrom", ())
            return state
        self._depth += 1
        after = self._inner(node, state)
        self._depth -= 1
        return state if node.type in tables.SCOPES else after

    def _inner(self, node: Node, state: State) -> State:
        if node.type in tables.LOOPS:
            return self._loop(node, state)
        if node.type in tables.STEPS and _operators(node) & tables.STEP_OPERATORS:
            places = {place for part in node.named_children for place in self._uses(part, state)}
            return self._targets(node.named_children, places, "computedFrom", state)
        if node.type in tables.TARGETS:
            return self._assignment(node, state)
        return self._sequence(list(_parts(node)), state, node)

    def _sequence(self, parts: list[tuple[str, Node]], state: State, node: Node) -> State:
        """One after the other; branches start from what may be before them, and what follows joins them."""
        entry = state
        branches: list[State] = []
        binds = node.type in tables.PARAMETERS
        for name, part in sorted(parts, key=lambda pair: pair[1].type not in tables.FIRST):
            if name in tables.BRANCH_FIELDS or part.type in tables.BRANCHES:
                branches.append(self.node(part, _joined(entry, state)))
                continue
            if branches:
                state, branches = _joined(state, *branches), []
            if (node.type, name) in tables.NO_VARIABLE_IN:
                continue
            if name == tables.CALLED and part.type in tables.VARIABLES and _text(part) not in state:
                continue
            if name not in tables.NOT_VARIABLES:
                state = self.node(part, state, binds=binds)
        if not branches:
            return state
        last_name, last = parts[-1]
        certain = last_name == "alternative" and last.type != "elif_clause"
        return _joined(*branches) if certain else _joined(state, *branches)

    def _loop(self, node: Node, state: State) -> State:
        """Once, and once more with what the first round left."""
        target = tables.LOOP_TARGETS.get(node.type, "")
        parts = [part for child in _parts(node) for part in _flat(child)]
        first = [(name, part) for name, part in parts if name in ("init", "initializer")]
        last = [(name, part) for name, part in parts if name in ("update", "increment")]
        rest = [pair for pair in parts if pair not in first and pair not in last and pair[0] != target]
        targets = [part for name, part in parts if name == target and target]
        head = [pair for pair in rest if pair[0] not in ("body", "alternative")] if targets else []
        body = [pair for pair in rest if pair not in head] + last
        state = self._sequence(first, state, node)
        self._loops += 1
        for _ in range(2 if self._loops <= _LOOPS_TWICE else 1):
            before = state
            state = self._sequence(head, state, node)
            if targets:
                state = self._targets(targets, self._places(part for _, part in head), "computedFrom", state)
            state = _joined(before, self._sequence(body, state, node))
        self._loops -= 1
        return state

    def _assignment(self, node: Node, state: State) -> State:
        """The right side, then the names on the left. `a, b = b, a` goes pair by pair."""
        target, relation = tables.TARGETS[node.type]
        if node.type in tables.OTHER_TARGETS and node.child_by_field_name(target) is None:
            target, relation = tables.OTHER_TARGETS[node.type]
        parts = list(_parts(node))
        left = [part for name, part in parts if name == target]
        after = tables.AFTERWARDS.get(node.type, "body")
        scoped = [pair for pair in parts if pair[0] == after]
        right = [pair for pair in parts if pair[0] not in (target, after)]
        state = self._sequence(right, state, node)
        values = [part for name, part in right if name not in tables.NOT_VARIABLES]
        changes = any(operator not in ("=", ":=", "=>") and operator.endswith("=") for operator in _operators(node))
        each, its_value = _listed(left), _listed(values)
        if len(each) == len(its_value) > 1:
            for one, value in zip(each, its_value, strict=True):
                state = self._target(one, self._places([value]), relation, state)
        else:
            sources = self._places(values)
            if changes:
                sources |= {place for part in left for place in self._uses(part, state)}
            state = self._targets(left, sources, relation, state)
        return self._sequence(scoped, state, node) if scoped else state

    def _targets(self, nodes: Iterable[Node], sources: set[int], relation: str, state: State) -> State:
        for node in nodes:
            state = self._target(node, sources, relation, state)
        return state

    def _target(self, node: Node, sources: set[int], relation: str, state: State) -> State:
        """Binds the names of a target or a pattern."""
        if node.type in tables.NOT_WALKED or self._depth > _DEEPEST:
            return state
        if node.type in tables.VARIABLES:
            return self._bind(node, sources, relation, state)
        if node.type in tables.VALUES:
            return state
        if node.type == tables.FUNCTION_DECLARATOR:  # `int f(int a)` binds a, for itself
            self.node(node, state)
            return state
        self._depth += 1
        parts = list(_parts(node))
        if node.type in tables.MEMBERS and parts:
            (_, base), *others = parts
            state = self._sequence([pair for pair in others if pair[0] not in tables.NOT_VARIABLES], state, node)
            state = self._target(base, sources | self._uses(base, state), relation, state)
        else:
            inner = tables.TARGETS.get(node.type)
            if inner is not None:
                values = [pair for pair in parts if pair[0] != inner[0]]
                state = self._sequence(values, state, node)
                sources = sources | self._places(part for _, part in values)
                parts = [pair for pair in parts if pair[0] == inner[0]]
            for name, part in parts:
                if name not in tables.NOT_VARIABLES or name == (inner or ("",))[0]:
                    state = self._target(part, sources, relation, state)
        self._depth -= 1
        return state

    def _bind(self, node: Node, sources: set[int], relation: str, state: State) -> State:
        self._note(node, relation, sources)
        return {**state, _text(node): frozenset((node.start_byte,))}

    def _use(self, node: Node, state: State) -> State:
        name = _text(node)
        # in a loop's second round a name may come from its own first sight, which says nothing
        self._note(node, "comesFrom", state.get(name, frozenset()) - {node.start_byte})
        return state if name in state else {**state, name: frozenset((node.start_byte,))}

    def _uses(self, node: Node, state: State) -> set[int]:
        """Where the variable that comes first in a target may have got its earlier value."""
        while node.type not in tables.VARIABLES:
            below = node.named_children
            if not below:
                return set()
            node = below[0]
        return set(state.get(_text(node), ()))

    def _note(self, node: Node, relation: str, sources: Iterable[int]) -> None:
        place = node.start_byte
        if place not in self.items:
            self.items[place] = _Item(_text(node), relation)
            insort(self._order, place)
        self.items[place].sources.update(sources)

    def _places(self, nodes: Iterable[Node]) -> set[int]:
        """The variables and literals inside of these."""
        found: set[int] = set()
        for node in nodes:
            first, last = (bisect_left(self._order, byte) for byte in (node.start_byte, node.end_byte))
            found.update(self._order[first:last])
        return found


def _parts(node: Node) -> Iterator[tuple[str, Node]]:
    """Named children with their fields, "" where they have none."""
    for place, child in enumerate(node.children):
        if child.is_named:
            yield node.field_name_for_child(place) or "", child


def _flat(part: tuple[str, Node]) -> list[tuple[str, Node]]:
    """Go keeps a loop's three parts in a node of their own."""
    return list(_parts(part[1])) if part[1].type == "for_clause" else [part]


def _listed(nodes: list[Node]) -> list[Node]:
    """The parts of one list or tuple; else what is there."""
    if len(nodes) == 1 and nodes[0].type in ("pattern_list", "expression_list", "tuple_pattern", "tuple"):
        return nodes[0].named_children
    return nodes


def _operators(node: Node) -> set[str]:
    return {child.type for child in node.children if not child.is_named}


def _text(node: Node) -> str:
    return node.text.decode("utf-8", "replace") if node.text is not None else ""
