"""Samples are exact pieces of files, prompts are the server's, and snippets come from other files."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.languages import language_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.prompt.fim import FimFamily, family_of, plain_family
from aix_lsp.settings import PromptSettings
from aix_lsp.text import parts_with_line_feeds, with_line_feeds
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.samples import FimSample, Sampler, SamplerSettings, document_of, encode, stretches
from aix_lsp.training.snippets import SnippetFinder
from aix_lsp.types import DocumentSnapshot, ModelInfo, Snippet

from .test_holes import SOURCES, read, variants
from .tiny_models import embedded_folder

FILES = [SourceFile("fixtures", path.name, language_of(path.name).name, read(path)) for path in SOURCES]
MANY = [
    replace(file, text=text, path=f"{name}/{file.path}") for file in FILES for name, text in variants(file.text).items()
]
BY_NAME = {file.path: file for file in FILES}
SETTINGS = SamplerSettings(stretch=250, longest_middle=200, random_span_rate=0.2)


@pytest.fixture(scope="module")
def tokenizer() -> ModelTokenizer:
    return the_tokenizer()


@pytest.fixture(scope="module")
def family(tokenizer: ModelTokenizer) -> FimFamily:
    found = family_of(tokenizer)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def finder() -> SnippetFinder:
    return SnippetFinder(FILES)


@pytest.mark.parametrize("file", MANY, ids=lambda file: file.path)
def test_the_parts_of_a_sample_are_the_file_byte_for_byte(file: SourceFile) -> None:
    kinds = set()
    for seed in range(6):
        for sample in Sampler(replace(SETTINGS, seed=seed)).samples(file):
            assert (sample.prefix + sample.middle + sample.suffix).encode() == file.text.encode()
            assert sample.middle
            assert (sample.kind == "left to right") == (sample.order == "l2r")
            assert (sample.project, sample.path, sample.language) == (file.project, file.path, file.language)
            kinds.add(sample.kind)
    assert {"left to right", "rest of line", "random span"} < kinds


@given(st.text(st.sampled_from("ab (\n\r\té😀"), max_size=200), st.integers(1, 60))
def test_stretches_cover_a_text_in_order(text: str, longest: int) -> None:
    found = list(stretches(text, longest))
    assert "".join(text[part.start : part.stop] for part in found) == text
    assert all(0 < len(part) <= longest for part in found)


def test_samples_from_left_to_right_cover_the_file() -> None:
    file = BY_NAME["readings.py"]
    samples = list(Sampler(replace(SETTINGS, fim_rate=0.0)).samples(file))
    assert {sample.order for sample in samples} == {"l2r"}
    assert "".join(sample.middle for sample in samples) == file.text
    assert all(sample.prefix.endswith("\n") for sample in samples[1:])


def test_the_shares_of_samples_are_those_of_the_settings() -> None:
    orders: Counter[str] = Counter()
    spans = 0
    for seed in range(25):
        for file in FILES:
            for sample in Sampler(SamplerSettings(seed=seed, stretch=200, random_span_rate=0.5)).samples(file):
                orders[sample.order] += 1
                spans += sample.kind == "random span"
    total = sum(orders.values())
    assert total > 2000
    assert abs(orders["l2r"] / total - 0.3) < 0.03
    assert abs(orders["spm"] / (orders["spm"] + orders["psm"]) - 0.5) < 0.03
    assert abs(spans / (total - orders["l2r"]) - 0.5) < 0.03


def test_the_same_seed_project_and_path_give_the_same_samples() -> None:
    file = BY_NAME["queue.js"]

    def drawn(file: SourceFile, seed: int = 0) -> list[tuple[str, str]]:
        sampler = Sampler(replace(SETTINGS, seed=seed))
        list(sampler.samples(FILES[0]))  # what came before makes no difference
        return [(sample.order, sample.middle) for sample in sampler.samples(file)]

    assert drawn(file) == [(sample.order, sample.middle) for sample in Sampler(SETTINGS).samples(file)]
    assert drawn(file) != drawn(file, seed=1)
    assert drawn(file) != drawn(replace(file, path="other.js"))
    assert drawn(file) != drawn(replace(file, project="other"))


def test_an_empty_file_has_no_samples() -> None:
    assert list(Sampler().samples(SourceFile("p", "a.py", "python", ""))) == []
    blank = list(Sampler().samples(SourceFile("p", "a.py", "python", "\n\n")))
    assert [(sample.order, sample.middle) for sample in blank] == [("l2r", "\n\n")]


@pytest.mark.parametrize("changes", [{"fim_rate": 1.5}, {"spm_rate": -0.1}, {"stretch": 0}, {"longest_middle": 0}])
def test_settings_out_of_bounds_are_told_in_one_line(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))) as caught:
        SamplerSettings(**changes)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("healing", [True, False])
def test_the_prompt_of_a_sample_is_what_the_server_builds(
    tokenizer: ModelTokenizer, family: FimFamily, finder: SnippetFinder, healing: bool
) -> None:
    info = ModelInfo("aix-mini", 8192)
    formats, required = Counter[str](), 0
    for file in FILES:
        for sample in Sampler(replace(SETTINGS, snippet_rate=0.5)).samples(file, finder):
            encoded = encode(tokenizer, family, sample, healing=healing, longest=4096)
            # as the server has it: the whole document without the middle, its own settings and limits
            text = file.text[: len(sample.prefix)] + ("" if sample.order == "l2r" else sample.suffix)
            document = DocumentSnapshot(f"file:///work/{file.path}", text, file.language, 7, file.path)
            prompt = build_prompt(
                tokenizer,
                replace(info, format=sample.order),
                document,
                len(sample.prefix),
                sample.snippets,
                PromptSettings(token_healing=healing),
                160,
            )
            assert encoded.ids[: encoded.middle.start] == prompt.ids
            assert encoded.format == prompt.format
            formats[encoded.format] += 1
            required += bool(prompt.required)
            answer = encoded.ids[encoded.middle.start :]
            _, middle = parts_with_line_feeds(sample.prefix, sample.middle)
            assert tokenizer.decode(answer) == prompt.required + middle
            whole = sample.order != "l2r" or not sample.suffix
            assert (family.end is not None and answer[-1] == family.end.id) == whole
            assert encoded.middle == range(len(prompt.ids), len(encoded.ids))
    assert min(formats[order] for order in ("psm", "spm", "l2r")) > 5
    assert (required > 10) == healing


@settings(max_examples=60)
@given(st.sampled_from(MANY), st.data())
def test_any_cut_of_any_file_comes_back_from_its_tokens(file: SourceFile, data: st.DataObject) -> None:
    tokenizer = the_tokenizer()
    family = family_of(tokenizer)
    assert family is not None
    start = data.draw(st.integers(0, len(file.text) - 1))
    end = data.draw(st.integers(start + 1, min(len(file.text), start + 80)))
    sample = sample_of(file, start, end, data.draw(st.sampled_from(("psm", "spm"))))
    encoded = encode(tokenizer, family, sample, healing=True, longest=512)
    answer = tokenizer.decode(encoded.ids[encoded.middle.start :])
    assert len(encoded.ids) <= 512
    prefix, middle, suffix = parts_with_line_feeds(sample.prefix, sample.middle, sample.suffix)
    assert prefix + middle + suffix == with_line_feeds(file.text)
    assert answer.endswith(middle)
    assert prefix.endswith(answer.removesuffix(middle))


@cache
def the_tokenizer() -> ModelTokenizer:
    return load_tokenizer(embedded_folder())


def sample_of(file: SourceFile, start: int, end: int, order: str = "psm") -> FimSample:
    return FimSample(
        file.project,
        file.path,
        file.language,
        file.text[:start],
        file.text[start:end],
        file.text[end:],
        "random span",
        "spm" if order == "spm" else "psm",
    )


@pytest.mark.parametrize("longest", [64, 100, 300])
def test_a_sample_is_never_longer_than_asked(tokenizer: ModelTokenizer, family: FimFamily, longest: int) -> None:
    for sample in Sampler(SamplerSettings(stretch=900)).samples(BY_NAME["mood.ts"]):
        encoded = encode(tokenizer, family, sample, healing=True, longest=longest)
        assert len(encoded.ids) <= longest
        assert len(encoded.middle) > 0


def test_a_middle_that_does_not_fit_has_no_end_marker(tokenizer: ModelTokenizer, family: FimFamily) -> None:
    sample = sample_of(BY_NAME["arena.rs"], 100, 2000)
    encoded = encode(tokenizer, family, sample, healing=False, longest=128)
    assert len(encoded.ids) == 128
    assert family.end is not None
    assert family.end.id not in encoded.ids[encoded.middle.start :]
    assert sample.middle.startswith(tokenizer.decode(encoded.ids[encoded.middle.start :]))


def test_no_room_for_a_prompt_is_told(tokenizer: ModelTokenizer, family: FimFamily) -> None:
    with pytest.raises(ValueError, match="no room"):
        encode(tokenizer, family, sample_of(BY_NAME["arena.rs"], 100, 200), healing=False, longest=1)


def test_a_model_without_markers_gets_the_prefix_alone(tokenizer: ModelTokenizer) -> None:
    class Plain:
        """The same tokenizer without special tokens."""

        vocabulary_size = tokenizer.vocabulary_size
        encode = staticmethod(tokenizer.encode)
        decode = staticmethod(tokenizer.decode)

        @staticmethod
        def special(*names: str) -> int | None:
            return None

    plain = Plain()
    encoded = encode(plain, plain_family(plain), sample_of(BY_NAME["queue.js"], 300, 330), healing=True, longest=512)
    assert encoded.format == "l2r"
    assert tokenizer.decode(encoded.ids).endswith(BY_NAME["queue.js"].text[:330])


def test_the_document_of_a_sample_lacks_its_middle() -> None:
    sample = sample_of(BY_NAME["queue.js"], 300, 330)
    document = document_of(sample)
    assert document.text == sample.prefix + sample.suffix
    assert document_of(replace(sample, order="l2r", kind="left to right")).text == sample.prefix


def test_snippets_are_lines_of_other_files(finder: SnippetFinder) -> None:
    numbers: Counter[int] = Counter()
    for seed in range(2):
        for file in FILES:
            for sample in Sampler(replace(SETTINGS, snippet_rate=1.0, seed=seed)).samples(file, finder):
                numbers[len(sample.snippets)] += 1
                for snippet in sample.snippets:
                    assert snippet.path != file.path
                    lines = BY_NAME[snippet.path].text.replace("\r\n", "\n").split("\n")
                    assert snippet.text == "\n".join(lines[snippet.start_line - 1 : snippet.end_line])
    assert set(numbers) <= {0, 1, 2, 3}
    assert all(numbers[count] > 10 for count in (1, 2, 3))


def test_a_snippet_shows_what_another_file_of_the_project_defines(finder: SnippetFinder) -> None:
    text = BY_NAME["station_report.py"].text
    cut = text.index("daily_means(readings)")
    found = finder.find("station_report.py", text[:cut], text[text.index("\n", cut) :], 3)
    assert {snippet.path for snippet in found} >= {"readings.py"}
    assert any("def daily_means" in snippet.text or "UNITS = " in snippet.text for snippet in found)
    assert {snippet.kind for snippet in found} == {"similar", "definition"}


def test_a_query_does_not_see_the_middle() -> None:
    middle = "quantize_the_gramophone(needle)"
    asking = f"def play(record):\n    needle = lower(record)\n    {middle}\n    return needle\n"
    other = f"def quantize_the_gramophone(needle):\n    return needle\n\n\n{middle}\n"
    near = "def stop(record):\n    needle = lift(record)\n    return needle\n"
    files = [("play.py", asking), ("gramophone.py", other), ("stop.py", near)]
    finder = SnippetFinder([SourceFile("p", path, "python", text) for path, text in files])
    start = asking.index(middle)
    seen: list[tuple[str, str]] = []

    class Recorder(SnippetFinder):
        def find(self, path: str, prefix: str, suffix: str, count: int, language: str = "") -> tuple[Snippet, ...]:
            seen.append((prefix, suffix))
            return finder.find(path, prefix, suffix, count, language)

    recorder = Recorder([])
    for seed in range(20):
        sampler = Sampler(SamplerSettings(seed=seed, snippet_rate=1.0))
        for sample in sampler.samples(SourceFile("p", "play.py", "python", asking), recorder):
            prefix, suffix = seen.pop()
            assert prefix == sample.prefix
            assert suffix == ("" if sample.order == "l2r" else sample.suffix)
    found = finder.find("play.py", asking[:start], asking[start + len(middle) :], 1)
    assert [snippet.path for snippet in found] == ["stop.py"]


def test_nothing_is_found_where_there_is_nothing_else() -> None:
    file = BY_NAME["arena.rs"]
    assert SnippetFinder([file]).find(file.path, file.text, "", 3) == ()
    assert SnippetFinder([]).find(file.path, file.text, "", 3) == ()
    assert SnippetFinder(FILES).find(file.path, file.text, "", 0) == ()


def test_the_rates_do_not_change_where_holes_are() -> None:
    file = BY_NAME["limiter.go"]
    draws = [
        [sample.middle for sample in Sampler(replace(SETTINGS, spm_rate=rate, snippet_rate=rate)).samples(file)]
        for rate in (0.0, 1.0)
    ]
    assert draws[0] == draws[1]
