"""Places, judgements, losses and reports of infilling, with values worked out by hand."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import save_file

from aix_lsp.cli.eval_infilling import Options, run, runs_of
from aix_lsp.cli.failure import UsageError
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.likelihood import nats_of
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.evaluation.infilling import (
    COPIERS,
    Answer,
    ModelAnswers,
    Way,
    answers_needed,
    checked,
    evaluate,
    generated,
    judged,
    labels_of,
    ways_for,
)
from aix_lsp.evaluation.infilling_answers import ANSWERS, DATA, answers_of, read_earlier
from aix_lsp.evaluation.infilling_report import data_of, markdown_of, tables_of
from aix_lsp.evaluation.losses import loss_of, sample
from aix_lsp.evaluation.places import (
    Place,
    cross_file_places,
    humaneval_places,
    line_places,
    texts_in,
)
from aix_lsp.evaluation.retrieval import Workspace
from aix_lsp.types import ModelInfo, Snippet
from tests.unit.tiny_models import embedded_folder, save_model, tiny_model

LINES = "".join(
    f"def function_{i}(first, second):\n    # comment {i}\n    return first + second * {i}\n" for i in range(60)
)
TEXTS = {"a.py": LINES, "b/c.py": LINES.replace("first", "other"), "tests/test_a.py": LINES, "small.py": "x = 1\n"}


# ------------------------------------------------------------------------------------------------ places


def test_rests_of_lines_are_drawn_inside_code_lines() -> None:
    places = line_places(TEXTS, "shop", count=40, seed=3)
    assert len(places) == 40
    assert {place.name for place in places} == {"a.py", "b/c.py"}
    for place in places:
        assert place.before + place.wanted + place.after == TEXTS[place.name]
        assert place.after.startswith("\n")
        line = place.before.rpartition("\n")[2]
        assert line.strip()
        assert place.wanted.strip()
        assert not (line + place.wanted).strip().startswith("#")


def test_the_same_seed_draws_the_same_places_and_another_others() -> None:
    first = line_places(TEXTS, "shop", count=10, seed=1)
    assert line_places(TEXTS, "shop", count=10, seed=1) == first
    assert line_places(TEXTS, "shop", count=10, seed=2) != first


def test_line_ends_of_windows_are_no_part_of_what_is_wanted() -> None:
    text = LINES.replace("\n", "\r\n")
    for place in line_places({"a.py": text}, "shop", count=10):
        assert not place.wanted.endswith("\r")
        assert place.before + place.wanted + place.after == text


def test_no_place_is_drawn_twice() -> None:
    # 26 places in all: anywhere behind the first letter in the one line that is no comment
    comments = "# nothing\n" * 300
    text = comments + "x" * 26 + "y\n" + comments
    places = line_places({"a.py": text}, "shop", count=20, seed=5)
    assert len({len(place.before) for place in places}) == 20
    with pytest.raises(ValueError, match="hardly a line to complete in the languages asked for, not 27 places"):
        line_places({"a.py": text}, "shop", count=27)


def test_places_are_in_the_order_of_their_files() -> None:
    places = line_places(TEXTS, "shop", count=20)
    keys = [(place.name, len(place.before)) for place in places]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("texts", "words"),
    [({"a.py": "x = 1\n"}, "no file over 3,000 bytes"), ({"a.py": "# no code\n" * 500}, "hardly a line")],
)
def test_a_folder_without_places_is_told(texts: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        line_places(texts, "shop", count=1)


def test_only_files_of_the_languages_asked_for_are_taken() -> None:
    assert set(texts_in({"a.py": "", "b.ts": "", "c.md": ""}, {"python", "typescript"})) == {"a.py", "b.ts"}


def problems(path: Path, count: int) -> Path:
    rows = [
        {"prompt": f"def f{i}():\n", "suffix": "    return x\n", "canonical_solution": f"    x = {i}\n"}
        for i in range(count)
    ]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_humaneval_is_read_whole_or_drawn_in_order(tmp_path: Path) -> None:
    path = problems(tmp_path / "problems.jsonl.gz", 9)
    everything = humaneval_places(path)
    assert [place.wanted for place in everything] == [f"x = {i}" for i in range(9)]
    first = everything[0]
    assert (first.task, first.name, first.before, first.after) == (
        "humaneval",
        "test.py",
        "def f0():\n",
        "    return x\n",
    )
    drawn = humaneval_places(path, count=4, seed=1)
    assert len(drawn) == 4
    assert [place for place in everything if place in drawn] == drawn
    assert humaneval_places(path, count=100) == everything


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no problems"),
        (b"{}\n", "line 1: no problem"),
        (b"\xff\xfe", "cannot be read"),
        (b"\x1f\x8b", "cannot be"),
        (gzip.compress(b"x" * 100, mtime=0)[:15] + b"\xff" * 9, "cannot be read"),
        (b'{"prompt": "", "suffix": null, "canonical_solution": "x"}', "line 1: no problem"),
        (b'{"prompt": "", "suffix": "", "canonical_solution": " "}', "line 1: no problem"),
    ],
)
def test_a_file_that_is_no_humaneval_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "problems"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as caught:
        humaneval_places(path)
    assert "\n" not in str(caught.value)


def test_a_line_separator_inside_of_a_problem_does_not_cut_it(tmp_path: Path) -> None:
    row = {"prompt": "x = '\u2028'\n", "suffix": "", "canonical_solution": "y = 1"}
    (tmp_path / "problems").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    (place,) = humaneval_places(tmp_path / "problems")
    assert place.before == "x = '\u2028'\n"


STORE = "class UserStore:\n    def load_user(self, user_id):\n        return self.table[user_id]\n"
MAIN = "from store import UserStore\n\n\ndef main(which):\n    first = UserStore().load_user(which)\n    return first\n"


def test_a_line_that_needs_another_file_is_asked_for_from_its_start_and_its_middle(tmp_path: Path) -> None:
    (tmp_path / "store.py").write_text(STORE)
    (tmp_path / "main.py").write_text(MAIN)
    start, middle = cross_file_places([Workspace(tmp_path)], {"python"}, count=5)
    assert (start.task, start.wanted) == ("start", "first = UserStore().load_user(which)")
    assert (middle.task, middle.wanted) == ("middle", " = UserStore().load_user(which)")
    assert start.names == middle.names == {"load_user"}
    assert middle.before.endswith("    first")
    for place in (start, middle):
        assert place.before + place.wanted + place.after == MAIN
        assert any(snippet.path == "store.py" for snippet in place.snippets)
        assert all(snippet.path != "main.py" for snippet in place.snippets)


def test_folders_take_turns(tmp_path: Path) -> None:
    workspaces = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "store.py").write_text(STORE)
        for number in range(3):
            (folder / f"main_{number}.py").write_text(MAIN)
        workspaces.append(Workspace(folder))
    groups = [place.group for place in cross_file_places(workspaces, {"python"}, count=4) if place.task == "start"]
    assert groups == ["one", "one", "two", "two"]


# ------------------------------------------------------------------------------------------------ answers

LINE = Place("line", "shop", "a.py", "total = ", "\n", "sum(amounts)")
CROSS = Place(
    "middle",
    "shop",
    "a.py",
    "x",
    "\n",
    " = store.load(key)",
    frozenset({"load", "store"}),
    (Snippet("s.py", 1, 1, 1.0, "similar", "y = store.load(key)"),),
)
PROBLEM = Place("humaneval", "HumanEval", "test.py", "def f():\n", "", "return 1")


def test_an_answer_is_judged_by_its_first_line() -> None:
    assert judged(LINE, "sum(amounts)  \nmore").exact
    assert not judged(LINE, " sum(amounts)").exact
    # "sum(amount)" and "sum(amounts)" share 11 characters: 2 * 11 / (11 + 12)
    assert judged(LINE, "sum(amount)").similarity == pytest.approx(100 * 22 / 23)
    assert judged(LINE, "").names is None


def test_indentation_is_no_matter_in_humaneval() -> None:
    assert judged(PROBLEM, "    return 1\n").exact


def test_names_count_as_whole_words() -> None:
    assert judged(CROSS, " = store.loads(key)").names == 0.5


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    def folder(*parts: str) -> str:
        return str(tmp_path.joinpath(*parts))

    assert labels_of(["aix-mini", folder("v1")]) == ["aix-mini", "v1"]
    assert labels_of([folder("a", "v1"), folder("b", "v1")]) == ["./a/v1", "./b/v1"]
    assert labels_of([folder("a", "b", "v1"), folder("c", "b", "v1"), folder("v2")]) == ["./a/b/v1", "./c/b/v1", "v2"]
    # a catalog name means what is in the catalog
    assert labels_of(["aix-mini", folder("aix-mini")]) == ["aix-mini", "./aix-mini"]
    assert labels_of([folder("aix-mini")]) == ["./aix-mini"]
    with pytest.raises(ModelError, match="there is no model"):
        labels_of(["nonsense"])


def test_a_model_is_measured_once(tmp_path: Path) -> None:
    for models in (["aix-mini", "aix-mini"], [str(tmp_path / "v1"), str(tmp_path / "x" / ".." / "v1")]):
        with pytest.raises(ModelError, match="given twice"):
            labels_of(models)


def adapter_of(folder: Path, base: str) -> Path:
    """An adapter's folder, of one factor that changes nothing."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 1}))
    (folder / "aix.json").write_text(json.dumps({"base": base, "languages": []}))
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    factors = {f"{module}.lora_A.weight": torch.zeros(1, 384), f"{module}.lora_B.weight": torch.zeros(384, 1)}
    save_file(factors, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_is_measured_beside_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, Path | None]] = []

    def answered(model: str, places: Sequence[Place], **rest: Any) -> ModelAnswers:
        asked.append((model, rest["adapter"]))
        nothing: list[Answer | None] = [judged(place, "") for place in places]
        return ModelAnswers(rest["label"], ModelInfo(model, 1024), {Way("PSM"): nothing})

    monkeypatch.setattr("aix_lsp.evaluation.infilling.evaluate", answered)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.py").write_text(LINES)
    house, other = adapter_of(tmp_path / "house", "aix-mini"), adapter_of(tmp_path / "other", "aix-mini")
    run(options(tmp_path / "shop", models=[], adapters=[house]), as_json=True, out=tmp_path / "out")
    assert asked == [("aix-mini", None), ("aix-mini", house)]
    told = json.loads(capsys.readouterr().out)
    assert list(told["models"]) == ["aix-mini", "aix-mini+house"]
    assert " --model aix-mini --adapter house --places " in told["command"]
    # the model alone is not asked again when its answers are there
    run(options(tmp_path / "shop", adapters=[other], earlier=tmp_path / "out"), as_json=True, out=None)
    assert asked[2:] == [("aix-mini", other)]
    with pytest.raises(UsageError, match="one --model"):
        run(options(tmp_path / "shop", models=["aix-mini", "v0"], adapters=[house]), as_json=True, out=None)
    with pytest.raises(ModelError, match="two adapters are called house"):
        labels_of(["aix-mini"], [house, adapter_of(tmp_path / "b" / "house", "aix-mini")])
    with pytest.raises(ModelError, match="nothing, which is in no catalog; name the model with --model"):
        run(
            options(tmp_path / "shop", models=[], adapters=[adapter_of(tmp_path / "lost", "nothing")]),
            as_json=True,
            out=None,
        )


def test_a_folder_with_the_embedded_models_name_answers_itself(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "aix-mini")
    done = evaluate(str(folder), [LINE], label="./aix-mini", formats=("psm",), threads=1)
    assert done.info.parameters < 1_000_000 < inspect(embedded_folder()).parameters
    assert list(done.answers) == ways_for(("psm",), snippets=False)
    assert all(len(answers) == 1 for answers in done.answers.values())


def test_a_model_that_knows_no_such_prompt_is_refused(tmp_path: Path) -> None:
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator([], tokenizers.trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    folder = save_model(tmp_path / "plain", tokenizer=False)
    inner.save(str(folder / "tokenizer.json"))
    with pytest.raises(ModelError, match="no prompt in the order psm, spm"):
        checked(str(folder), ("psm", "spm", "l2r"))
    checked(str(folder), ("l2r",))
    checked("aix-mini", ("psm", "spm", "l2r"))


async def test_the_model_is_asked_as_the_product_asks_it() -> None:
    engine = ScriptedEngine(" = store.load(key)\nand more")
    assert (await generated(engine, CROSS, Way("PSM", snippets=True))).split("\n")[0] == " = store.load(key)"
    await generated(engine, CROSS, Way("SPM"))
    engine.close()
    quoted, plain = engine.prompts
    assert (quoted.format, len(quoted.snippets)) == ("psm", 1)
    assert (plain.format, len(plain.snippets)) == ("spm", 0)
    assert quoted.required == "x"
    assert "# the file path is: a.py\n" in quoted.text


def test_answers_needed_counts_every_question_to_the_model() -> None:
    assert answers_needed([LINE, PROBLEM, CROSS], ("psm", "spm")) == 2 * (1 + 1 + 2)
    assert len(ways_for(("psm", "spm"), snippets=True)) == 2 * (2 + len(COPIERS))


# ------------------------------------------------------------------------------------------------ report


def model(label: str, psm: list[str], spm: list[str]) -> ModelAnswers:
    places = [LINE, CROSS]
    nothing = judged(LINE, ""), judged(CROSS, "")
    answers: dict[Way, list[Answer | None]] = {
        way: [None if way.snippets else nothing[0], nothing[1]] for way in ways_for(("psm", "spm"), snippets=True)
    }
    answers[Way("PSM")] = [judged(place, text) for place, text in zip(places, psm, strict=True)]
    answers[Way("SPM", snippets=True)] = [None, judged(CROSS, spm[1])]
    return ModelAnswers(label, ModelInfo(label, 1024), answers)


def test_measures_and_paired_differences_by_hand() -> None:
    models = [model("old", ["", " = store"], ["", ""]), model("new", ["sum(amounts)", ""], ["", " = store.load(key)"])]
    data = data_of([LINE, CROSS], models, command="aix-lsp eval infilling")
    found = {(r["task"], r["slice"], r["model"], r["way"], r["snippets"]): r for r in data["measures"]}
    assert found["line", "", "new", "PSM", False]["exact"] == {"value": 1.0, "error": 0.0, "count": 1}
    assert found["line", "6-15 characters left", "new", "PSM", False]["exact"]["value"] == 1.0
    assert ("line", "1-5 characters left", "new", "PSM", False) not in found
    assert found["line", "in code", "new", "PSM", False]["exact"]["value"] == 1.0
    assert ("line", "in strings and comments", "new", "PSM", False) not in found
    assert found["middle", "", "old", "PSM", False]["names"]["value"] == 0.5
    assert ("line", "", "new", "PSM", True) not in found
    differences = {(r["task"], r["what"]): r for r in data["differences"]}
    assert differences["line", "PSM: new − old"]["exact"]["value"] == 1.0
    assert differences["middle", "PSM: new − old"]["names"]["value"] == -0.5
    assert differences["middle", "new: SPM with snippets − SPM"]["exact"]["value"] == 1.0
    assert differences["line", "new: PSM − copy 10 healed"]["exact"]["value"] == 1.0
    assert ("line", "new: SPM with snippets − SPM") not in differences
    assert json.loads(json.dumps(data)) == data


def test_markdown_shows_the_command_and_every_table() -> None:
    models = [model("old", ["", ""], ["", ""]), model("new", ["sum(amounts)", ""], ["", ""])]
    data = data_of([LINE, CROSS], models, command="aix-lsp eval x", losses={"old": loss_of([8.0, 8.0], [4, 4], 5)})
    text = markdown_of(data)
    assert "| a\\|b |" in markdown_of({**data, "bits_per_byte": {"a|b": data["bits_per_byte"]["old"]}})
    assert text.startswith("    aix-lsp eval x\n\n|  | n | old PSM | old SPM | old copy 3 |")
    assert "| rest of line: exact % | 1 | 0.0 |" in text  # of one place there is no standard error
    alone = markdown_of({**data, "bits_per_byte": {"old": data["bits_per_byte"]["old"] | {"files": 1}}})
    assert "| old | 2.000 | 1 | 5 |" in alone
    assert "| old | 2.000 ± 0.000 | 2 | 5 |" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert [len({line.count("|") for line in table.splitlines()}) for table in tables] == [1, 1, 1]
    assert len(tables_of(data)) == 3


def test_a_mean_of_several_places_has_its_standard_error() -> None:
    places = [LINE, LINE, LINE, LINE]
    answers: list[Answer | None] = [judged(LINE, text) for text in ("sum(amounts)", "", "", "")]
    one = ModelAnswers("one", ModelInfo("one", 1024), {Way("PSM"): answers})
    # the deviation of 1, 0, 0, 0 is a half, over the root of four
    assert "| rest of line: exact % | 4 | 25.0 ± 25.0 |" in markdown_of(data_of(places, [one], command="x"))


def test_answers_can_be_read_again() -> None:
    (_, record) = answers_of([LINE, CROSS], [model("new", ["", " = store"], ["", ""])])
    assert (record["line"], record["column"], record["names"]) == (1, 2, ["load", "store"])
    assert record["answers"]["new"]["PSM"] == {"text": " = store", "exact": False}


def test_an_earlier_run_is_read_back_as_it_was_and_only_for_the_same_places(tmp_path: Path) -> None:
    models = [model("old", ["sum(amounts)", " = store"], ["", " = store.load(key)"])]
    losses = {"old": loss_of([8.0, 6.0], [4, 4], 5)}
    files = [("a.py", "x=1\n"), ("b.py", "y=2\n")]
    data = data_of([LINE, CROSS], models, command="x", losses=losses)
    (tmp_path / DATA).write_text(json.dumps(data))
    (tmp_path / ANSWERS).write_text("".join(json.dumps(record) + "\n" for record in answers_of([LINE, CROSS], models)))
    assert read_earlier(tmp_path, [LINE, CROSS], files) == (models, losses)
    again, _ = read_earlier(tmp_path, [LINE, CROSS], files)
    assert data_of([LINE, CROSS], again, command="x", losses=losses) == data
    for others in ([], files[:1], [("a.py", "x = 1"), *files[1:]]):
        with pytest.raises(ValueError, match="taken over other files"):
            read_earlier(tmp_path, [LINE, CROSS], others)
    with pytest.raises(ValueError, match="at other places"):
        read_earlier(tmp_path, [CROSS, LINE])
    (tmp_path / DATA).write_text("{}")
    with pytest.raises(ValueError, match="no evaluation of infilling"):
        read_earlier(tmp_path, [LINE, CROSS])
    (tmp_path / DATA).write_text("{")
    with pytest.raises(ValueError, match="cannot be compared with"):
        read_earlier(tmp_path, [LINE, CROSS])


# ------------------------------------------------------------------------------------------------ loss


def test_the_sample_for_the_loss_is_seeded_and_cut_at_lines() -> None:
    texts = {"long.py": "line\n" * 10_000, "short.py": "x\n", "empty.py": ""}
    taken = dict(sample(texts, size=10**9))
    assert set(taken) == {"long.py", "short.py"}
    assert len(taken["long.py"]) <= 16_000
    assert taken["long.py"].endswith("line\n")
    assert sample(texts, size=10**9) == sample(texts, size=10**9)
    assert len(sample(texts, size=1)) == 1
    assert sample(texts, size=0) == []


def test_bits_per_byte_by_hand() -> None:
    loss = loss_of([6.0, 2.0], [4, 4], 3)
    # residuals 2 and -2: sqrt(2 / 1 * 8) / 8
    assert (loss.value, loss.error) == (1.0, 0.5)
    assert (loss.files, loss.bytes, loss.tokens) == (2, 8, 3)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 12, 13, 30])
def test_nats_are_the_sum_over_windows_that_overlap_by_half(length: int) -> None:
    network = tiny_model()
    lead, ids = [1, 2], [3 + number * 7 % 20 for number in range(length)]
    (nats,) = nats_of("", [(lead, ids)], positions=10, model=network)
    # with 8 tokens of text in a window: the first 8 from the beginning, then 4 at a time behind 4 known ones
    expected = 0.0
    for position, token in enumerate(ids):
        start = 0 if position < 8 else (position // 4 - 1) * 4
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([[*lead, *ids[start:position]]])).logits[0, -1]
        expected -= float(torch.log_softmax(logits.float(), -1)[token])
    assert nats == pytest.approx(expected, rel=1e-4)
    assert not math.isnan(nats)


def test_a_lead_that_leaves_no_room_is_refused() -> None:
    for lead in ([1] * 9, []):
        with pytest.raises(ValueError, match="in front of it"):
            next(nats_of("", [(lead, [1])], positions=10, model=tiny_model()))


# ------------------------------------------------------------------------------------------------ the command


def options(*folders: Path, **changes: Any) -> Options:
    given: dict[str, Any] = {
        "folders": folders,
        "humaneval": None,
        "models": ["aix-mini"],
        "problems": 0,
        "places": 1,
        "cases": 0,
        "seed": 0,
        "formats": "psm",
        "languages": "python",
        "threads": 1,
        "loss_kb": 0,
    }
    return Options(**(given | changes))


def test_a_folder_is_not_measured_twice(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    for other in (tmp_path, tmp_path / "inside", tmp_path / "inside" / ".."):
        with pytest.raises(UsageError, match="drawn twice"):
            run(options(tmp_path, other), as_json=True, out=None)
        with pytest.raises(UsageError, match="drawn twice"):
            run(options(other, tmp_path), as_json=True, out=None)


def test_what_cannot_be_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match="is no folder"):
        run(options(tmp_path), as_json=True, out=tmp_path / "a.txt")
    with pytest.raises(UsageError, match="nothing to measure"):
        run(options(tmp_path, places=0), as_json=True, out=None)
    with pytest.raises(ValueError, match="no file in the languages asked for"):
        run(options(tmp_path, places=0, loss_kb=1), as_json=True, out=None)


def test_the_command_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    asked = options(tmp_path / "shop", humaneval=tmp_path / "problems.gz", models=[str(tmp_path / "v1")])
    command = asked.command(["aix-mini", "v1", "./aix-mini"])
    assert str(tmp_path) not in command
    assert "infilling shop --humaneval problems.gz" in command
    assert "--model aix-mini --model ./v1 --model ./aix-mini" in command


def test_each_models_answers_are_saved_before_the_next_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def answered(model: str, places: Sequence[Place], **rest: Any) -> ModelAnswers:
        asked.append(model)
        if len(asked) == 2:
            raise ModelError("it fails")
        nothing: list[Answer | None] = [judged(place, "") for place in places]
        return ModelAnswers(rest["label"], ModelInfo(model, 1024), {Way("PSM"): nothing})

    monkeypatch.setattr("aix_lsp.evaluation.infilling.evaluate", answered)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.py").write_text(LINES)
    other, out = save_model(tmp_path / "v1"), tmp_path / "out"
    with pytest.raises(ModelError, match="it fails"):
        run(options(tmp_path / "shop", models=["aix-mini", str(other)]), as_json=True, out=out)
    assert sorted(path.name for path in out.iterdir()) == ["answers.jsonl", "infilling.json", "infilling.md"]
    # and the next run asks the second one alone
    run(options(tmp_path / "shop", models=[str(other)], earlier=out), as_json=True, out=tmp_path / "again")
    data = json.loads(capsys.readouterr().out)
    assert list(data["models"]) == ["aix-mini", "v1"]
    assert "--model aix-mini --model ./v1" in data["command"]


COPYING = {"base": 1000, "length": 0, "agreement": 0, "model": 0, "healing": 0, "lone": 0}


def test_a_model_that_copies_is_asked_with_and_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "a.py").write_text(LINES)
    model = save_model(tmp_path / "v1")
    (model / "aix.json").write_text(json.dumps({"copy": COPYING}))
    asked = options(tmp_path / "shop", models=[str(model)], places=6, copy_prior="both")
    run(asked, as_json=True, out=None)
    data = json.loads(capsys.readouterr().out)
    found = {
        record["model"]: record["exact"]["value"]
        for record in data["measures"]
        if record["way"] == "PSM" and not record["slice"]
    }
    assert list(found) == ["v1 alone", "v1"]
    # the lines repeat one another, a random model knows nothing, and this one always copies
    assert found["v1"] > 0 == found["v1 alone"]
    assert data["command"].count("--model") == 1
    assert "--copy-prior both" in data["command"]


@pytest.mark.parametrize(
    ("choice", "labels"),
    [("auto", ["v1", "v2"]), ("off", ["v1 alone", "v2"]), ("both", ["v1 alone", "v1", "v2"])],
)
def test_only_a_model_that_copies_can_be_asked_alone(tmp_path: Path, choice: str, labels: list[str]) -> None:
    models = [save_model(tmp_path / name) for name in ("v1", "v2")]
    (models[0] / "aix.json").write_text(json.dumps({"copy": COPYING}))
    asked = runs_of(options(tmp_path, models=[str(model) for model in models], copy_prior=choice))
    assert [run.label for run in asked] == labels
    assert [run.copying for run in asked] == [not label.endswith("alone") for label in labels]


@pytest.mark.parametrize("choice", ["auto", "off", "both"])
def test_the_model_of_a_server_never_copies(tmp_path: Path, choice: str) -> None:
    asked = runs_of(options(tmp_path, models=["remote"], copy_prior=choice))
    assert [(run.label, run.copying) for run in asked] == [("remote", True)]


def test_an_unknown_choice_about_copying_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--copy-prior takes auto, off or both, not 'on'"):
        run(options(tmp_path, copy_prior="on"), as_json=True, out=None)
