"""Each family of models gets its own prompt, recognised by the tokenizer's special tokens."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
import tokenizers

from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt import assemble, build_prompt, family_of
from aix_lsp.prompt.fim import plain_family
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, FimFormat, ModelInfo, Prompt, Snippet

STARCODER = ("<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>")
STARCODER2 = (*STARCODER, "<repo_name>", "<file_sep>")
QWEN = ("<|endoftext|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>")
CODEGEMMA = ("<bos>", "<eos>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>")
DEEPSEEK = (
    *("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    *("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)
BYTE_LEVEL = {
    "starcoder": STARCODER,
    "starcoder2": STARCODER2,
    "qwen": QWEN,
    "codegemma": CODEGEMMA,
    "deepseek": DEEPSEEK,
    "plain": ("<s>", "</s>"),
    "bare": (),
}
LINES = ["def f(x):", "    return x + 1", "for i in range(20):", "    if i % 5 == 0:", '        print("Hello World")']


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModelTokenizer]:
    """A small tokenizer with the special tokens of a family."""
    done: dict[str, ModelTokenizer] = {}

    def byte_level(folder: Path, names: tuple[str, ...]) -> None:
        inner = tokenizers.Tokenizer(tokenizers.models.BPE())
        inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = tokenizers.decoders.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
        inner.train_from_iterator(["\n".join(LINES)] * 3, trainer)
        inner.add_special_tokens(list(names))
        inner.save(str(folder / "tokenizer.json"))

    def codellama(folder: Path) -> None:
        written = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES * 5),
            model_writer=written,
            model_type="bpe",
            vocab_size=400,
            hard_vocab_limit=False,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            user_defined_symbols=["▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"],
            minloglevel=2,
        )
        (folder / "tokenizer.model").write_bytes(written.getvalue())

    def make(name: str) -> ModelTokenizer:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            if name == "codellama":
                codellama(folder)
            else:
                byte_level(folder, BYTE_LEVEL[name])
            done[name] = load_tokenizer(folder)
        return done[name]

    return make


def build(
    tokenizer: ModelTokenizer, form: FimFormat, *snippets: Snippet, suffix: str = "\ny\n", **options: object
) -> Prompt:
    path = Path("/home/me/project/pkg/main.py")
    document = DocumentSnapshot(path.as_uri(), "    x = " + suffix, "python", 1, "pkg/main.py", path)
    chosen = PromptSettings.model_validate({"token_healing": False, "format": form, **options})
    return build_prompt(tokenizer, ModelInfo("made", 4096), document, 8, snippets, chosen, 64)


A = Snippet("lib/a.py", 1, 1, 2.0, "similar", "a = 1")
B = Snippet("b.js", 5, 5, 1.0, "definition", "b = 2\n")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("starcoder", "starcoder"),
        ("starcoder2", "starcoder"),
        ("qwen", "qwen"),
        ("codegemma", "qwen"),
        ("deepseek", "deepseek"),
        ("codellama", "codellama"),
        ("plain", None),
        ("bare", None),
    ],
)
def test_the_family_is_known_by_the_special_tokens(
    made: Callable[[str], ModelTokenizer], name: str, family: str | None
) -> None:
    found = family_of(made(name))
    assert (found.name if found else None) == family


@pytest.mark.parametrize(
    ("name", "form", "text"),
    [
        ("starcoder", "psm", "<fim_prefix># pkg/main.py\n    x = <fim_suffix>\ny\n<fim_middle>"),
        ("starcoder", "spm", "<fim_prefix><fim_suffix>\ny\n<fim_middle># pkg/main.py\n    x = "),
        ("starcoder", "l2r", "# pkg/main.py\n    x = "),
        ("starcoder2", "psm", "<fim_prefix>    x = <fim_suffix>\ny\n<fim_middle>"),
        ("starcoder2", "l2r", "    x = "),
        ("qwen", "psm", "<|fim_prefix|>    x = <|fim_suffix|>\ny\n<|fim_middle|>"),
        ("codegemma", "psm", "<bos><|fim_prefix|>    x = <|fim_suffix|>\ny\n<|fim_middle|>"),
        (
            "deepseek",
            "psm",
            "<｜begin▁of▁sentence｜><｜fim▁begin｜># pkg/main.py\n    x = <｜fim▁hole｜>\ny\n<｜fim▁end｜>",
        ),
        ("codellama", "psm", "<s>▁<PRE> # pkg/main.py\n    x = ▁<SUF>\ny\n▁<MID>"),
        ("codellama", "spm", "<s>▁<PRE>▁<SUF>\ny\n▁<MID> # pkg/main.py\n    x = "),
        ("codellama", "l2r", "<s> # pkg/main.py\n    x = "),
        ("plain", "psm", "<s># pkg/main.py\n    x = "),
        ("bare", "spm", "# pkg/main.py\n    x = "),
    ],
)
def test_a_file_alone(made: Callable[[str], ModelTokenizer], name: str, form: FimFormat, text: str) -> None:
    prompt = build(made(name), form)
    assert prompt.text == text
    assert sum(part.tokens for part in prompt.parts) + sum(
        token in made(name).special_ids for token in prompt.ids
    ) == len(prompt.ids)


@pytest.mark.parametrize(
    ("name", "form", "text"),
    [
        (
            "starcoder2",
            "psm",
            "<repo_name>project<file_sep>b.js\nb = 2\n<file_sep>lib/a.py\na = 1\n<file_sep>"
            "<fim_prefix>pkg/main.py\n    x = <fim_suffix>\ny\n<fim_middle>",
        ),
        (
            "starcoder2",
            "spm",
            "<repo_name>project<file_sep>b.js\nb = 2\n<file_sep>lib/a.py\na = 1\n<file_sep>"
            "<fim_prefix><fim_suffix>\ny\n<fim_middle>pkg/main.py\n    x = ",
        ),
        (
            "qwen",
            "psm",
            "<|repo_name|>project\n<|file_sep|>b.js\nb = 2\n<|file_sep|>lib/a.py\na = 1\n<|file_sep|>pkg/main.py\n"
            "<|fim_prefix|>    x = <|fim_suffix|>\ny\n<|fim_middle|>",
        ),
        (
            "codegemma",
            "psm",
            "<bos><|file_separator|>b.js\nb = 2\n<|file_separator|>lib/a.py\na = 1\n<|file_separator|>pkg/main.py\n"
            "<|fim_prefix|>    x = <|fim_suffix|>\ny\n<|fim_middle|>",
        ),
        (
            "deepseek",
            "psm",
            "<｜begin▁of▁sentence｜><｜fim▁begin｜># lib/a.py\na = 1\n\n// b.js\nb = 2\n\n# pkg/main.py\n    x = "
            "<｜fim▁hole｜>\ny\n<｜fim▁end｜>",
        ),
        (
            "codellama",
            "psm",
            "<s>▁<PRE> # lib/a.py\na = 1\n\n// b.js\nb = 2\n\n# pkg/main.py\n    x = ▁<SUF>\ny\n▁<MID>",
        ),
        ("plain", "l2r", "<s># lib/a.py\na = 1\n\n// b.js\nb = 2\n\n# pkg/main.py\n    x = "),
    ],
)
def test_a_file_with_snippets(made: Callable[[str], ModelTokenizer], name: str, form: FimFormat, text: str) -> None:
    prompt = build(made(name), form, A, B)
    assert prompt.text == text
    assert prompt.snippets == (A, B)


@pytest.mark.parametrize("name", ["starcoder2", "qwen", "codellama", "deepseek"])
def test_snippets_as_comments_need_no_marker(made: Callable[[str], ModelTokenizer], name: str) -> None:
    with_comments = build(made(name), "psm", A, snippet_layout="comments")
    alone = build(made(name), "psm")
    special = made(name).special_ids
    assert [t for t in with_comments.ids if t in special] == [t for t in alone.ids if t in special]
    assert "# the below code fragment can be found in:\n# lib/a.py\n# a = 1\n\n    x = " in with_comments.text


@pytest.mark.parametrize("name", ["deepseek", "qwen"])
def test_a_family_that_never_saw_spm_gets_psm(made: Callable[[str], ModelTokenizer], name: str) -> None:
    assert build(made(name), "spm") == build(made(name), "psm")
    assert build(made(name), "spm").format == "psm"


@pytest.mark.parametrize("name", ["starcoder2", "qwen", "deepseek", "codellama"])
def test_without_a_suffix_there_are_no_markers(made: Callable[[str], ModelTokenizer], name: str) -> None:
    prompt = build(made(name), "psm", suffix="")
    assert prompt.format == "l2r"
    assert len([token for token in prompt.ids if token in made(name).special_ids]) <= 1


def test_a_model_without_markers_says_that_it_left_the_suffix_out(made: Callable[[str], ModelTokenizer]) -> None:
    assert build(made("plain"), "psm").cut == ("suffix: left out, this model only writes from left to right",)
    assert build(made("plain"), "l2r").cut == ()


def test_codellamas_prefix_begins_with_sentencepieces_own_space_and_its_suffix_does_not(
    made: Callable[[str], ModelTokenizer],
) -> None:
    tokenizer = made("codellama")
    family = family_of(tokenizer)
    assert family is not None
    assert family.lead == " "
    marked = [tokenizer.special(name) for name in ("<s>", "▁<PRE>", "▁<SUF>", "▁<MID>")]
    prompt = build(tokenizer, "psm", suffix="return x")
    top = tokenizer.encode(" # pkg/main.py\n")
    expected = [*marked[:2], *top, *tokenizer.encode("    x = "), marked[2], *tokenizer.encode("return x"), marked[3]]
    assert list(prompt.ids) == expected


def test_the_space_in_front_counts_in_the_budget(made: Callable[[str], ModelTokenizer]) -> None:
    tokenizer = made("codellama")
    text = "return x\n" * 300
    document = DocumentSnapshot("untitled:1", text, "", 1, "x")
    for room in range(3, 90):
        model = ModelInfo("made", 64 + room)
        prompt = build_prompt(tokenizer, model, document, 1500, [A, B], PromptSettings(token_healing=False), 64)
        assert len(prompt.ids) <= room


@pytest.mark.parametrize("name", [*BYTE_LEVEL, "codellama"])
def test_lines_that_join_into_other_tokens_stay_within_the_budget(
    made: Callable[[str], ModelTokenizer], name: str
) -> None:
    text = "def f(x):\n\n    return x + 1\r\n\n\n" * 100
    document = DocumentSnapshot("untitled:1", text, "python", 1, "x.py")
    for offset in range(1000, 1060):
        prompt = build_prompt(
            made(name), ModelInfo("made", 300), document, offset, [A, B], PromptSettings(token_healing=False), 64
        )
        assert len(prompt.ids) <= 236


@pytest.mark.parametrize("name", ["starcoder2", "qwen", "deepseek", "codellama"])
def test_markers_written_out_in_code_stay_text(made: Callable[[str], ModelTokenizer], name: str) -> None:
    tokenizer = made(name)
    special = tokenizer.special_ids
    written = "".join((*STARCODER2, *QWEN, *DEEPSEEK, " <PRE> <SUF> <MID>"))
    path = Path("/home/me/project/main.py")
    document = DocumentSnapshot(path.as_uri(), written + "\n" + written, "python", 1, "main.py", path)
    model = ModelInfo("made", 4096)
    prompt = build_prompt(
        tokenizer, model, document, len(written), [], PromptSettings(token_healing=False, format="psm"), 64
    )
    plain = build_prompt(
        tokenizer,
        model,
        DocumentSnapshot("", "x\nx", "python", 1, "main.py"),
        1,
        [],
        PromptSettings(token_healing=False),
        64,
    )
    assert [token for token in prompt.ids if token in special] == [token for token in plain.ids if token in special]


def test_assembly_is_the_same_for_segments_that_are_already_encoded(made: Callable[[str], ModelTokenizer]) -> None:
    tokenizer = made("starcoder2")
    family = family_of(tokenizer)
    assert family is not None
    prefix, suffix = tokenizer.encode("    x = "), tokenizer.encode("\ny\n")
    assert assemble(family, "psm", prefix=prefix, suffix=suffix) == list(build(tokenizer, "psm").ids)
    assert assemble(family, "spm", prefix=prefix, suffix=suffix) == list(build(tokenizer, "spm").ids)
    assert assemble(family, "psm", prefix=prefix) == prefix


def test_an_order_that_a_family_cannot_do_is_an_error(made: Callable[[str], ModelTokenizer]) -> None:
    with pytest.raises(ValueError, match="plain models know no psm order"):
        plain_family(made("plain")).template("psm")
    deepseek = family_of(made("deepseek"))
    assert deepseek is not None
    with pytest.raises(ValueError, match="deepseek models know no spm order"):
        deepseek.template("spm")


@pytest.mark.parametrize("layout", ["documents", "comments"])
@pytest.mark.parametrize("form", ["psm", "spm", "l2r"])
@pytest.mark.parametrize("name", ["starcoder", "starcoder2", "qwen", "deepseek", "codellama", "plain", "bare"])
def test_each_part_knows_which_characters_of_the_prompt_it_is(
    made: Callable[[str], ModelTokenizer], name: str, form: FimFormat, layout: str
) -> None:
    prompt = build(made(name), form, A, B, snippet_layout=layout)
    at = 0
    for part in prompt.parts:
        assert part.start >= at
        at = part.start + part.characters
        text = prompt.text[part.start : at]
        wanted = {"snippet": "a = 1" if part.label == "lib/a.py:1-1" else "b = 2", "prefix": "x =", "suffix": "y"}
        assert wanted.get(part.role, "main.py") in text
    assert at <= len(prompt.text)
