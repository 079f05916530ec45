"""constraints.txt pins everything, at the version that is tested, and nothing else.

It has no hashes. A file for `pip --require-hashes` would have to name every file of every package for three systems,
three Pythons and PyTorch's builds for processors and GPUs, which come from other indexes under other names; pip then
refuses whatever has none, the wheel of this project first; and a constraints file (`-c`) cannot ask for that. An index
does not let a version's files be replaced, so that the pin names the same files as a hash would, unless the index
itself is false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution

from tests.audit.packages import NOT_PINNED, ROOT, Declared, declared, installed, pins, public, wanted_by
from tests.findings import Finding
from tests.package.rows import row


def rows() -> Iterator[Finding]:
    """The checkout's file, beside what is declared and what is installed."""
    pinned, wanted, present = pins((ROOT / "constraints.txt").read_text("utf-8")), declared(), installed()
    yield row("constraints: all that pyproject.toml declares", lambda: covers_declared(pinned, wanted))
    yield row("constraints: all that is installed", lambda: covers_installed(pinned, wanted, present))
    yield row("constraints: nothing else", lambda: nothing_else(pinned, wanted, present))


def covers_declared(pinned: Mapping[str, str], wanted: Declared) -> str:
    """Every declared package has its pin, and the pin is a version that the declaration allows."""
    missing, outside, left_out = set(), set(), set()
    for _, requirement in wanted.all():
        name = requirement.name.lower().replace("_", "-")
        if name in NOT_PINNED:
            left_out.add(name)
        elif name not in pinned:
            missing.add(name)
        elif not requirement.specifier.contains(pinned[name], prereleases=True):
            outside.add(f"{name}=={pinned[name]} is not {requirement.specifier}")
    assert not missing, f"not pinned: {', '.join(sorted(missing))}"
    assert not outside, "; ".join(sorted(outside))
    names = {requirement.name for _, requirement in wanted.all()}
    return f"{len(names)} packages" + "".join(f"; not {name}, which {NOT_PINNED[name]}" for name in sorted(left_out))


def covers_installed(pinned: Mapping[str, str], wanted: Declared, present: Mapping[str, Distribution]) -> str:
    """What is installed and somebody here needs is pinned, at the installed version."""
    needed = wanted_by((requirement for _, requirement in wanted.all()), present)
    ours = {name: one for name, one in present.items() if name in needed}
    missing = sorted(set(ours) - set(pinned))
    assert not missing, f"not pinned: {', '.join(f'{name}=={public(ours[name].version)}' for name in missing)}"
    other = [
        f"{name} {one.version}, not {pinned[name]}" for name, one in ours.items() if public(one.version) != pinned[name]
    ]
    assert not other, f"installed is {'; '.join(other)}"
    strangers = sorted(set(present) - needed)
    return f"{len(ours)} packages" + (f"; nobody needs {', '.join(strangers)}" if strangers else "")


def nothing_else(pinned: Mapping[str, str], wanted: Declared, present: Mapping[str, Distribution]) -> str:
    """Nothing is pinned that nobody needs."""
    needed = wanted_by((requirement for _, requirement in wanted.all()), present)
    idle = sorted(set(pinned) - needed)
    assert not idle, f"pinned, and nobody needs: {', '.join(idle)}"
    return f"{len(pinned)} pins"
