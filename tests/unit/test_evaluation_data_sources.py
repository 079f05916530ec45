"""Where benchmarks' data comes from: files, folders, and the hub when it is asked for by that word."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from aix_lsp.evaluation.benchmark import DataError, Sample
from aix_lsp.evaluation.crosscodeeval import CrossCodeEval
from aix_lsp.evaluation.data_lines import evenly
from aix_lsp.evaluation.data_sources import HUB, SOURCES, files_of, where


@pytest.mark.parametrize("benchmark", SOURCES)
def test_each_says_where_its_data_is_and_in_which_licence(benchmark: str) -> None:
    told = where(benchmark)
    assert "\n" not in told
    for source in SOURCES[benchmark]:
        assert source.licence in told
        assert source.address in told
        assert source.files
        assert source.fields


def test_the_hubs_files_are_fetched_by_their_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str, str]] = []

    def download(repository: str, name: str, *, repo_type: str) -> str:
        asked.append((repository, name, repo_type))
        return str(tmp_path / str(len(asked)))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    files = files_of([HUB], "fim-lines")
    assert len(files) == len(asked) == 5
    assert asked[0] == ("loubnabnl/humaneval_infilling", "data/HumanEval-SingleLineInfilling.jsonl", "dataset")
    assert asked[-1][0] == "bigcode/santacoder-fim-task"


def test_without_the_hub_one_line_says_what_to_give_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*args: object, **options: object) -> str:
        raise OfflineModeIsEnabled("Cannot reach the hub: offline mode is enabled.\nTo disable it, unset a variable.")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(
        DataError, match=r"cannot be fetched from the hub \(Cannot reach .*\); give files: get"
    ) as raised:
        files_of([HUB], "fim-lines")
    assert "\n" not in str(raised.value)


def test_a_folder_of_other_files_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has none of the files of fim-lines, such as HumanEval-SingleLine"):
        files_of([tmp_path], "fim-lines")
    with pytest.raises(DataError, match="nl2code needs data; get HumanEval"):
        files_of([], "nl2code")


def test_files_of_a_folder_are_found_packed_or_not(tmp_path: Path) -> None:
    packed = tmp_path / "HumanEval-SingleLineInfilling.jsonl.gz"
    plain = tmp_path / "HumanEval-MultiLineInfilling.jsonl"
    for path in (packed, plain):
        path.touch()
    assert set(files_of([tmp_path], "fim-lines")) == {packed, plain}


def test_an_even_draw_takes_what_small_groups_have_and_the_rest_of_large_ones() -> None:
    rows = [
        Sample(f"{name}{number}", name, "line", "", "", "", "")
        for name, n in (("a", 10), ("b", 2))
        for number in range(n)
    ]
    drawn = evenly(rows, 6, 0)
    assert [sample.language for sample in drawn] == ["a"] * 4 + ["b"] * 2
    assert evenly(rows, 6, 0) == drawn
    assert evenly(rows, 0, 0) == rows


def test_of_crosscodeeval_only_the_settings_files_are_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def kept(repository: str, file: str, *, repo_type: str) -> str:
        asked.append(file)
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", kept)
    with pytest.raises(DataError, match="cannot be read"):
        CrossCodeEval(HUB, "none").load(0, 0)
    languages = ("python", "java", "typescript", "csharp")
    assert asked == [f"crosscodeeval_data/{language}/line_completion.jsonl" for language in languages]
