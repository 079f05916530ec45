"""Real files, typed through the real server key by key with the embedded model: what a user of it gets to see.

    python benchmarks/replay.py FILE... --json
    python benchmarks/replay.py FILE... --json --compare "" completion.reuse=false

Parts of the files are cut and typed again as in an editor (`typist.py`), with typos, cursor jumps, undo, and offers
accepted where they agree with the file; keys come as the seed says, 120 ms apart in the median. `client_screen.py` is
what the editor shows, `replay_player.py` sends and logs, `replay_figures.py` computes. The files and the code beside
them are copied: nothing is changed on disk. Without a FILE: three modules of packages that the embedded model has not
seen.

`reuse_p95_ms` is over answers that were there already (typed through, cached, prepared); one that joined a running
generation counts in `reuse_share` only. `answer_*` is over offers that the model made, with all that it waited for.
`flicker` counts offers replaced by another text although they agreed with all that was typed since, `vanished` (under
`verdicts`) those replaced by nothing. `engine_runs` are generations started for requests; those ahead of one are
`background_runs`. `memory_growth` and `rss_mb` are of the server's process, which holds the model.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from replay_editors import EDITORS, Editor
from replay_figures import Log, examples, figures
from replay_player import Player
from typing_plan import cut

from aix_lsp.cli.lsp_client import ServerError
from aix_lsp.languages import is_code

DEFAULT = (("requests", "sessions.py"), ("click", "types.py"), ("starlette", "routing.py"))
PARTS = 20
SHORTEST_PART = 20
MOST_FILES = 200
LARGEST = 1_000_000


def default_files() -> list[Path]:
    """Modules of packages that the embedded model was not trained on. Raises SystemExit if one is not installed."""
    files = []
    for package, module in DEFAULT:
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            raise SystemExit(f"the package {package} is not installed; name files to type")
        files.append(Path(found.origin).parent / module)
    return files


def copied(files: Sequence[Path], target: Path) -> list[Path]:
    """Copies of the files, with the code of their folders around them, below `target`."""
    top = Path(os.path.commonpath([path.parent for path in files]))
    for folder in {path.parent for path in files}:
        beside = [path for path in sorted(folder.iterdir()) if is_code(path.name) and path.is_file()]
        small = [path for path in beside if path.stat().st_size <= LARGEST][:MOST_FILES]
        (target / folder.relative_to(top)).mkdir(parents=True, exist_ok=True)
        for path in {*small, *(path for path in files if path.parent == folder)}:
            shutil.copyfile(path, target / path.relative_to(top))
    return [target / path.relative_to(top) for path in files]


def problem(path: Path) -> str:
    """Why a file cannot be typed; empty if it can."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"{path} cannot be read as UTF-8 text: {type(error).__name__}"
    return "" if cut(text, 0)[1] else f"{path} has one line only: nothing to type"


async def replay(
    files: Sequence[Path],
    ways: Sequence[Sequence[str]],
    folder: Path,
    *,
    keys: int,
    seed: int,
    median: float,
    editor: Editor,
    arguments: Sequence[str],
) -> list[Log]:
    """The logs of each way (its options, as `section.option=value`); all that is written lies below `folder`. The
    files take turns; in each turn all ways type the same part, one after the other, each through its own server."""
    size = max(SHORTEST_PART, keys // PARTS)
    async with AsyncExitStack() as stack:
        players = []
        for number, options in enumerate(ways):
            home = folder / f"home{number}"
            home.mkdir()
            there = copied(files, folder / f"workspace{number}")
            sets = [part for option in ("model.share=off", *options) for part in ("--set", option)]
            command = [sys.executable, "-P", "-m", "aix_lsp", "serve", "--stdio", *sets, *arguments]
            player = Player(there, folder / f"workspace{number}", editor, command, home, seed, median)
            players.append(await stack.enter_async_context(player))
        for player in players:
            await player.begin()
        for number, start in enumerate(range(0, keys, size)):
            for player in players:
                await player.part(number, min(size, keys - start))
        for player in players:
            await player.finish()
        return [player.log for player in players]


def main() -> None:
    """Read the command line, print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--keys", type=int, default=5000, help="in all files together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--median-ms", type=float, default=120.0, help="between two keys")
    parser.add_argument("--client", choices=sorted(EDITORS), default="vscode", help="who waits, and who cancels")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", help="a server's option")
    parser.add_argument("--server-arguments", default="", help="more arguments of `aix-lsp serve`, in one string")
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="two ways in turns: options of each, with spaces between them"
    )
    parser.add_argument("--examples", action="store_true", help="add the texts of flickers and stale offers")
    given = parser.parse_args()
    files = [path.resolve() for path in given.files or default_files()]
    for path in files:
        if wrong := problem(path):
            parser.error(wrong)
    if given.keys < 1 or given.median_ms <= 0:
        parser.error("--keys and --median-ms want numbers above 0")
    ways = [[*given.set, *shlex.split(way)] for way in given.compare or [""]]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        run = replay(
            files,
            ways,
            Path(folder).resolve(),
            keys=given.keys,
            seed=given.seed,
            median=given.median_ms / 1000,
            editor=EDITORS[given.client],
            arguments=shlex.split(given.server_arguments),
        )
        try:
            logs = asyncio.run(run)
        except ServerError as error:
            raise SystemExit(f"the server: {error}") from None
    found = [{**figures(log), **({"examples": examples(log)} if given.examples else {})} for log in logs]
    told = {
        "files": [path.name for path in files],
        "seed": given.seed,
        "client": given.client,
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
    }
    if given.compare:
        named = {way or "as it is": one for way, one in zip(given.compare, found, strict=True)}
        result: dict[str, Any] = {"compare": named, "set": given.set, **told}
    else:
        result = {**found[0], "set": given.set, **told}
    print(json.dumps(result) if given.json else _lines(result))


def _lines(result: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in result.items():
        deeper = isinstance(value, dict) and value
        lines.append(f"{indent}{name}:\n{_lines(value, indent + '  ')}" if deeper else f"{indent}{name}: {value}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
