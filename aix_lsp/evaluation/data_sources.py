"""Where the data of each published benchmark is to be had, in which licence, and which files it is in.

Data is read from files on disk. `hub` in the place of a file fetches the files named here from the Hugging Face hub,
where a copy lies there; nothing is fetched unless it was asked for in that word.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from .benchmark import DataError

HUB: Final = Path("hub")
"""What stands for the hub where a file is asked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """One published data set. `hub` is the name of a data set there, with `files` as paths in it; "" for one that is
    not there, whose `files` are names. `fields` are those that a line must have."""

    title: str
    address: str
    licence: str
    files: tuple[str, ...]
    fields: tuple[str, ...]
    hub: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The files without their folders."""
        return tuple(file.rpartition("/")[2] for file in self.files)

    def told(self) -> str:
        """Where to get it, for the end of a line."""
        files = ", ".join(self.names[:2]) + (" ..." if len(self.files) > 2 else "")
        return f"{self.title} ({files}; {self.licence}): {self.address}"


_INFILLING: Final = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")
_AIXCODER: Final = ("task_id", "task_type", "pre_mask_code", "post_mask_code", "canonical_solution")
_AIXCODER_LANGUAGES: Final = ("java", "cplus", "javascript", "python")
_CROSSCODEEVAL: Final = ("prompt", "groundtruth", "right_context", "metadata")

SOURCES: Final[Mapping[str, tuple[Source, ...]]] = MappingProxyType(
    {
        "fim-lines": (
            Source(
                "HumanEval-Infilling",
                "https://github.com/openai/human-eval-infilling (folder data)",
                "MIT",
                tuple(
                    f"data/HumanEval-{kind}.jsonl"
                    for kind in (
                        "SingleLineInfilling",
                        "MultiLineInfilling",
                        "RandomSpanInfilling",
                        "RandomSpanInfillingLight",
                    )
                ),
                _INFILLING,
                hub="loubnabnl/humaneval_infilling",
            ),
            Source(
                "SantaCoder's single lines",
                "https://huggingface.co/datasets/bigcode/santacoder-fim-task",
                "OpenRAIL",
                ("data/train-00000-of-00001-b6ec1fdd66018baa.parquet",),
                ("name", "language", "prompt", "suffix", "canonical_solution"),
                hub="bigcode/santacoder-fim-task",
            ),
        ),
        "aix-fim": (
            Source(
                "aiXcoder's thirteen scenarios",
                "https://github.com/aixcoder-plugin/aiXcoder-7B (folder aiXcoder_extended_dataset)",
                "Apache-2.0",
                tuple(f"aiXcoder_extended_{name}.jsonl" for name in _AIXCODER_LANGUAGES),
                _AIXCODER,
            ),
            Source(
                "the same in the repository of their scripts",
                "https://github.com/aixcoder-plugin/aiXcoder-FIM-Evaluation (folder datasets, unpacked)",
                "no licence named",
                tuple(f"{name}_test_8k_full.jsonl" for name in _AIXCODER_LANGUAGES),
                _AIXCODER,
            ),
        ),
        "crosscodeeval": (
            Source(
                "CrossCodeEval",
                "https://github.com/amazon-science/cceval (data/crosscodeeval_data.tar.xz, unpacked)",
                "Apache-2.0",
                tuple(
                    f"crosscodeeval_data/{language}/{file}.jsonl"
                    for file in ("line_completion", "line_completion_rg1_bm25", "line_completion_oracle_bm25")
                    for language in ("python", "java", "typescript", "csharp")
                ),
                _CROSSCODEEVAL,
                hub="Vincentvmt/CrossCodeEval",
            ),
        ),
        "nl2code": (
            Source(
                "HumanEval",
                "https://github.com/openai/human-eval (folder data)",
                "MIT",
                ("HumanEval.jsonl.gz",),
                ("task_id", "prompt", "entry_point", "canonical_solution", "test"),
            ),
            Source(
                "MBPP",
                "https://github.com/google-research/google-research (folder mbpp)",
                "CC BY 4.0",
                ("mbpp.jsonl", "sanitized-mbpp.json"),
                ("task_id", "text", "code", "test_list"),
            ),
            Source(
                "MultiPL-E",
                "https://huggingface.co/datasets/nuprl/MultiPL-E",
                "MIT",
                ("humaneval-js", "mbpp-java"),  # sets of it, as JSONL or Parquet
                ("name", "language", "prompt", "tests", "stop_tokens"),
            ),
        ),
    }
)


def where(benchmark: str) -> str:
    """Where a benchmark's data is to be had and in which licence, in one line."""
    return "get " + "; or ".join(source.told() for source in SOURCES[benchmark])


def files_of(paths: Sequence[Path], benchmark: str) -> list[Path]:
    """The files to read: those given, the known files of a folder given, or those of the hub for the word `hub`.

    Raises DataError for one that is not there or cannot be fetched, with where to get it.
    """
    found: list[Path] = []
    for path in paths:
        if path == HUB and not path.exists():
            found += fetched(benchmark)
        elif path.is_dir():
            found += _known(path, benchmark)
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"{path} is not there; {where(benchmark)}")
    if not found:
        raise DataError(f"{benchmark} needs data; {where(benchmark)}")
    return list(dict.fromkeys(found))


def _known(folder: Path, benchmark: str) -> list[Path]:
    names = [name for source in SOURCES[benchmark] for name in source.names]
    inside = [folder / name for name in (*names, *(f"{name}.gz" for name in names)) if (folder / name).is_file()]
    if not inside:
        raise DataError(f"{folder} has none of the files of {benchmark}, such as {names[0]}; {where(benchmark)}")
    return inside


def fetched(benchmark: str, names: Sequence[str] = ()) -> list[Path]:
    """The benchmark's files from the hub, or those with these names; kept in its cache, as `huggingface_hub` finds it.
    Raises DataError where no copy is there or the hub cannot be reached."""
    sources = [source for source in SOURCES[benchmark] if source.hub]
    if not sources:
        raise DataError(f"the hub has no copy of the data of {benchmark}; {where(benchmark)}")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    files = []
    with _quiet():
        for source in sources:
            for file in source.files:
                if names and file.rpartition("/")[2] not in names:
                    continue
                try:
                    files.append(Path(hf_hub_download(source.hub, file, repo_type="dataset")))
                except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:
                    raise DataError(
                        f"{file} of {source.hub} cannot be fetched from the hub ({_reason(error)}); give files: "
                        f"{where(benchmark)}"
                    ) from error
    return files


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the hub's lines about each time it tries again: what came of it is told in one."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _reason(error: Exception) -> str:
    """What is wrong, without the hub's advice."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, LocalEntryNotFoundError):  # it could not ask
        return "no connection"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
