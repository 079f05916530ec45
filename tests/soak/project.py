"""A git workspace of several hundred files in eight languages, with two branches: written by chance from a seed, the
same every time, so that indexing, retrieval and branch switches have real work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

BRANCHES = ("trunk", "harvest")
FILES = 440
TYPED = 50
CHANGED = 0.6
"""Share of the files that differ between the branches; a tenth of them are there in one branch only."""
ONLY_HERE = 0.1

_THINGS = (
    "anchor basket cargo deposit engine ferry gauge harbour invoice journal kettle ledger meter needle order parcel"
)
_THINGS += " quota report sample ticket uplift vessel wallet yield berth crane dock route signal tide buoy mooring"
_VERBS = "add apply build check collect count drop find group keep limit load merge move note open pack pick read scale"
_VERBS += " send settle sort split store take total trim update weigh"
_FIELDS = "amount area code cost depth height label length name number price rate share size speed state total unit"
_FIELDS += " value weight width"
THINGS, VERBS, FIELDS = _THINGS.split(), _VERBS.split(), _FIELDS.split()


@dataclass(frozen=True, slots=True)
class Project:
    """The workspace, and which of its files are typed in (they are in both branches)."""

    root: Path
    typed: tuple[Path, ...]


def build(root: Path, seed: int, files: int = FILES, typed: int = TYPED) -> Project:
    """Write the workspace into an empty folder, with a commit on each branch; the first one is checked out. Files that
    are typed in differ between the branches as the others do."""
    draw = Random(f"{seed} project")
    names = [_name(number, draw) for number in range(files)]
    chosen = names[:typed]
    write_all(root, names, dict.fromkeys(names, ""), seed)
    git(root, "init", "-q", "-b", BRANCHES[0])
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", BRANCHES[0])
    git(root, "checkout", "-q", "-b", BRANCHES[1])
    differ = {name: BRANCHES[1] for name in names if draw.random() < CHANGED}
    for name in [name for name in names[typed:] if name in differ and draw.random() < ONLY_HERE]:
        (root / name).unlink()
        del differ[name]
        folder, _, file = name.rpartition("/")
        differ[f"{folder}/late_{file}"] = BRANCHES[1]
    write_all(root, list(differ), differ, seed)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", BRANCHES[1])
    git(root, "checkout", "-q", BRANCHES[0])
    return Project(root, tuple(root / name for name in chosen))


def git(root: Path, *arguments: str) -> None:
    """Run git without the user's own settings. Raises subprocess.CalledProcessError."""
    person = {f"GIT_{who}_{what}": "soak@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(root), "-c", "gc.auto=0", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **person, **alone}, stdout=subprocess.DEVNULL, timeout=300)


def write_all(root: Path, names: list[str], variant: Mapping[str, str], seed: int) -> None:
    """Write these files; `variant` is what their text depends on besides their name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source(name, f"{seed} {name} {variant[name]}"), encoding="utf-8", newline="")


def source(name: str, seed: str) -> str:
    """A source file of 60 to 200 lines; now and then with CRLF, accents or signs outside the basic plane."""
    draw = Random(seed)
    write = _LANGUAGES[name.rpartition(".")[2]]
    thing = draw.choice(THINGS)
    parts = [write(draw, thing) for _ in range(draw.randint(5, 12))]
    text = "\n\n".join(parts) + "\n"
    if draw.random() < 0.1:
        text = text.replace(draw.choice(FIELDS), draw.choice(("größe", "höhe", "название")))
    return text.replace("\n", "\r\n") if draw.random() < 0.05 else text


def _name(number: int, draw: Random) -> str:
    ending = draw.choices(list(_LANGUAGES), weights=(10, 3, 2, 2, 2, 1, 1, 1))[0]
    return f"{draw.choice(THINGS)}s/{draw.choice(VERBS)}_{draw.choice(THINGS)}_{number}.{ending}"


def _words(draw: Random) -> tuple[str, str, str, str, int]:
    one, other = draw.sample(FIELDS, 2)
    return draw.choice(VERBS), draw.choice(THINGS), one, other, draw.randint(2, 90)


def _python(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    kind = f"{thing}_{other}".title().replace("_", "")
    shapes = (
        f'''def {verb}_{other}({one}s: list[float], {two}: float = {number}) -> float:
    """The {two} of every {other} whose {one} is above {number}."""
    {other}_{two} = 0.0
    for {one} in {one}s:
        if {one} > {number}:
            {other}_{two} += {one} * {two}
    return {other}_{two}''',
        f'''class {kind}:
    """A {thing} that keeps its {one} and {two}. 🚢"""

    def __init__(self, {one}: int, {two}: str = "{other}") -> None:
        self.{one} = {one}
        self.{two} = {two}
        self._{other}s: dict[str, int] = {{}}

    def {verb}_{other}(self, {two}: str) -> int:
        """Note one more {other} and return how many there are."""
        self._{other}s[{two}] = self._{other}s.get({two}, 0) + {number}
        return sum(self._{other}s.values()) + self.{one}

    def __repr__(self) -> str:
        return f"{kind}({{self.{one}!r}}, {{self.{two}!r}})"''',
        f'''def {verb}_all_{other}s(rows: dict[str, list[int]]) -> dict[str, int]:
    """Each row's {one} by its name; rows without {two} are left out."""
    found = {{name: sum(values) for name, values in rows.items() if values}}
    smallest = min(found.values(), default={number})
    return {{name: {one} - smallest for name, {one} in sorted(found.items())}}''',
    )
    return draw.choice(shapes)


def _script(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    return f"""export function {verb}{other.title()}({one}s, {two} = {number}) {{
  // every {other} of the {thing} has a {one}
  const found = {one}s.filter((item) => item.{one} > {two});
  if (found.length === 0) {{
    return {{ {one}: 0, {two}: "{other}" }};
  }}
  return found.reduce((sum, item) => sum + item.{one}, {number});
}}"""


def _typed_script(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    kind = thing.title() + other.title()
    return f"""export interface {kind}{number} {{
  {one}: number;
  {two}?: string;
}}

export function {verb}{kind}(items: {kind}{number}[], least: number = {number}): Map<string, number> {{
  const sums = new Map<string, number>();
  for (const item of items) {{
    const key = item.{two} ?? "{other}";
    sums.set(key, (sums.get(key) ?? least) + item.{one});
  }}
  return sums;
}}"""


def _java(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    return f"""final class {thing.title()}{other.title()}{number} {{
    private final int {one};
    private final List<String> {two}s = new ArrayList<>();

    {thing.title()}{other.title()}{number}(int {one}) {{
        this.{one} = {one};
    }}

    int {verb}{other.title()}(String {two}) {{
        if ({two}s.contains({two})) {{
            return {one};
        }}
        {two}s.add({two});
        return {one} + {two}s.size() * {number};
    }}
}}"""


def _go(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    kind = thing.title() + other.title()
    return f"""// {kind}{number} holds a {one} and a {two}.
type {kind}{number} struct {{
\t{one.title()} int
\t{two.title()} string
}}

func {verb.title()}{kind}(items []{kind}{number}, limit int) (int, error) {{
\tsum := 0
\tfor _, item := range items {{
\t\tif item.{one.title()} > limit {{
\t\t\treturn 0, fmt.Errorf("{other} %q is above %d", item.{two.title()}, limit)
\t\t}}
\t\tsum += item.{one.title()} * {number}
\t}}
\treturn sum, nil
}}"""


def _rust(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    return f"""/// The {one} of each {thing} by its {two}.
pub fn {verb}_{other}({one}s: &[u32], {two}: u32) -> Option<u32> {{
    let mut sum = 0;
    for {one} in {one}s {{
        if *{one} > {two} {{
            return None;
        }}
        sum += {one} * {number};
    }}
    Some(sum)
}}"""


def _c(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    return f"""/* {verb} the {other} of a {thing} */
static int {verb}_{other}_{number}(const int *{one}s, size_t count, int {two})
{{
    int sum = {two};
    for (size_t i = 0; i < count; i++) {{
        if ({one}s[i] > {number})
            sum += {one}s[i];
    }}
    return sum;
}}"""


def _cpp(draw: Random, thing: str) -> str:
    verb, other, one, two, number = _words(draw)
    return f"""class {thing.title()}{other.title()}{number} {{
  public:
    explicit {thing.title()}{other.title()}{number}(int {one}) : {one}_({one}) {{}}

    int {verb}(const std::vector<int> &{two}s) const {{
        int sum = {number};
        for (const auto &{two} : {two}s) {{
            sum += {two} * {one}_;
        }}
        return sum;
    }}

  private:
    int {one}_;
}};"""


_LANGUAGES: dict[str, Callable[[Random, str], str]] = {
    "py": _python,
    "js": _script,
    "ts": _typed_script,
    "java": _java,
    "go": _go,
    "rs": _rust,
    "c": _c,
    "cpp": _cpp,
}
