"""What became of offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.completion.acceptance import AcceptanceLog
from aix_lsp.completion.statistics import Statistics
from tests.unit.fake_clock import FakeClock

URI = "file:///a.py"
Edit = tuple[int, int, str]


class Offers:
    """A log with what it counted and told, and a document that edits change."""

    def __init__(self, text: str = "x" * 10) -> None:
        self.statistics = Statistics(None)
        self.clock = FakeClock()
        self.texts = {URI: text}
        self.told: list[tuple[str, str]] = []
        self.log = AcceptanceLog(self.statistics, self.clock, self.texts.get)
        self.log.on_outcome = lambda item, what: self.told.append((item, what))

    def ask(self, *offers: tuple[str, int, str], uri: str = URI) -> None:
        """One request that is answered with these items."""
        self.log.asked()
        for item_id, offset, text in offers:
            self.log.offered(item_id, uri, "python", offset, text)

    def edit(self, start: int, end: int, text: str) -> None:
        self.log.edited(URI, start, end, text)
        before = self.texts[URI]
        self.texts[URI] = before[:start] + text + before[end:]

    def type(self, offset: int, text: str) -> None:
        for number, character in enumerate(text):
            self.edit(offset + number, offset + number, character)

    @property
    def counts(self) -> dict[str, int]:
        return {name: number for name, number in self.statistics.totals.items() if number}


@pytest.fixture
def offers() -> Offers:
    offers = Offers()
    offers.ask(("1", 10, "return x"))
    return offers


def test_the_command_counts_once(offers: Offers) -> None:
    offers.edit(10, 10, "return x")
    assert offers.log.accepted("1")
    assert offers.log.accepted("1")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 8}
    assert offers.told == [("1", "shown"), ("1", "accepted")]


def test_the_command_may_come_before_the_edit(offers: Offers) -> None:
    assert offers.log.accepted("1")
    offers.edit(10, 10, "return x")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 8}


def test_an_unknown_item_is_no_acceptance(offers: Offers) -> None:
    assert not offers.log.accepted("2")
    assert "accepted" not in offers.counts


@pytest.mark.parametrize(
    "edit",
    [(10, 10, "return x"), (8, 10, "xxreturn x")],
    ids=["inserted", "with what stands before it"],
)
def test_inserting_it_in_one_go_is_an_acceptance(offers: Offers, edit: Edit) -> None:
    offers.edit(*edit)
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 8}


def test_the_documents_own_line_breaks_are_no_difference() -> None:
    offers = Offers()
    offers.ask(("1", 10, "if x:\r\n    y"))
    offers.edit(10, 10, "if x:\r\n    y")
    offers.ask(("2", 22, "\n    z"))
    offers.edit(22, 22, "\r\n    z")
    assert offers.counts["accepted"] == 2


def test_typing_through_is_told_from_accepting(offers: Offers) -> None:
    offers.type(10, "return x")
    assert offers.counts == {"offered": 1, "typed_through": 1}
    assert offers.told == [("1", "shown"), ("1", "typed through")]


def test_a_bracket_that_closes_itself_is_typed(offers: Offers) -> None:
    offers.ask(("2", 10, "f()"))
    offers.edit(10, 10, "f")
    offers.edit(11, 11, "()")
    assert offers.counts == {"offered": 2, "typed_through": 1}


def test_an_offer_of_one_character_is_accepted_by_its_command_alone() -> None:
    offers = Offers()
    offers.ask(("1", 10, ")"))
    offers.edit(10, 10, ")")
    assert offers.log.accepted("1")
    assert offers.counts == {"offered": 1, "accepted": 1}


def test_accepting_a_word_is_partial(offers: Offers) -> None:
    offers.edit(10, 10, "return")
    offers.edit(16, 16, " x")
    assert offers.counts == {"offered": 1, "partly_accepted": 1, "accepted_characters": 8}
    assert offers.told == [("1", "shown"), ("1", "partly accepted")]


def test_the_rest_of_what_was_typed_into_is_accepted_and_only_it_was_saved(offers: Offers) -> None:
    offers.type(10, "re")
    offers.edit(12, 12, "turn x")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 6}


def test_what_is_left_of_an_offer_is_not_counted_twice(offers: Offers) -> None:
    offers.type(10, "re")
    offers.ask(("1", 12, "turn x"))
    offers.edit(12, 12, "turn x")
    offers.log.accepted("1")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 6}
    assert offers.told == [("1", "shown"), ("1", "accepted")]


def test_an_offer_that_is_shown_again_can_still_be_accepted(offers: Offers) -> None:
    offers.edit(10, 10, "z")
    offers.edit(10, 11, "")
    offers.ask(("1", 10, "return x"))
    offers.edit(10, 10, "return x")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 8}
    assert offers.told == [("1", "shown"), ("1", "dismissed"), ("1", "accepted")]


def test_what_is_undone_and_accepted_again_counts_once(offers: Offers) -> None:
    offers.edit(10, 10, "return x")
    offers.edit(10, 18, "")
    offers.ask(("1", 10, "return x"))
    offers.edit(10, 10, "return x")
    offers.log.accepted("1")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 8}


def test_candidates_of_one_request_are_one_offer() -> None:
    offers = Offers()
    offers.ask(("1", 10, "value"), ("2", 10, "values()"), ("3", 10, "other"))
    offers.edit(10, 10, "values()")
    assert offers.counts == {"offered": 1, "accepted": 1, "accepted_characters": 8}
    assert ("2", "accepted") in offers.told
    assert ("3", "dismissed") in offers.told


def test_candidates_that_begin_alike_are_accepted_in_part_once() -> None:
    offers = Offers()
    offers.ask(("1", 10, "value one"), ("2", 10, "value two"))
    offers.edit(10, 10, "value")
    offers.edit(15, 15, " two")
    assert offers.counts == {"offered": 1, "partly_accepted": 1, "accepted_characters": 9}


def test_the_next_request_dismisses_what_was_shown(offers: Offers) -> None:
    offers.ask(("2", 10, "raise"))
    assert offers.told == [("1", "shown"), ("1", "dismissed"), ("2", "shown")]
    assert offers.counts == {"offered": 2}


@pytest.mark.parametrize("edit", [(10, 10, "z"), (4, 4, "return x"), (9, 10, "return x"), (10, 10, "")])
def test_another_edit_ends_the_offer(offers: Offers, edit: Edit) -> None:
    offers.edit(*edit)
    offers.edit(10, 10, "return x")
    assert offers.counts == {"offered": 1}
    assert offers.told == [("1", "shown"), ("1", "dismissed")]


def test_edits_elsewhere_do_not_matter(offers: Offers) -> None:
    offers.log.edited("file:///b.py", 0, 0, "q")
    offers.edit(10, 10, "return x")
    assert offers.counts["accepted"] == 1


def test_a_document_that_is_sent_whole_is_followed_by_what_differs(offers: Offers) -> None:
    before = offers.texts[URI]
    offers.log.replaced(URI, before, before + "return x")
    assert offers.counts["accepted"] == 1


def test_closing_the_document_dismisses_its_offer(offers: Offers) -> None:
    offers.log.closed("file:///b.py")
    assert offers.told[-1] == ("1", "shown")
    offers.log.closed(URI)
    assert offers.told[-1] == ("1", "dismissed")


def test_old_offers_are_forgotten() -> None:
    offers = Offers()
    for number in range(200):
        offers.ask((str(number), 10, "x"))
    assert not offers.log.accepted("0")
    assert offers.log.accepted("199")


# what is still there later


@pytest.fixture
def accepting(offers: Offers, tmp_path: Path) -> Offers:
    """With counts that are kept, so that accepted texts are followed."""
    offers.statistics.keep_in(tmp_path / "statistics.jsonl")
    return offers


def test_what_stays_is_kept_after_30_and_120_seconds(accepting: Offers) -> None:
    accepting.edit(10, 10, "return x")
    accepting.edit(0, 0, "import os\n")
    accepting.clock.pass_by(31)
    assert accepting.counts["looked_30"] == accepting.counts["kept_30"] == 1
    accepting.edit(20, 28, "pass")
    accepting.clock.pass_by(100)
    assert accepting.counts["looked_120"] == 1
    assert "kept_120" not in accepting.counts


@pytest.mark.parametrize("first", ["command", "edit", "odd edit"])
def test_it_is_followed_whatever_tells_of_the_acceptance_first(accepting: Offers, first: str) -> None:
    if first == "command":
        accepting.log.accepted("1")
        accepting.edit(10, 10, "return x")
    elif first == "edit":
        accepting.edit(10, 10, "return x")
        accepting.log.accepted("1")
    else:
        accepting.edit(9, 10, "xreturn")
        accepting.edit(16, 16, " x")
        accepting.log.accepted("1")
    accepting.clock.pass_by(200)
    assert accepting.counts == {
        "offered": 1,
        "accepted": 1,
        "accepted_characters": 8,
        "looked_30": 1,
        "kept_30": 1,
        "looked_120": 1,
        "kept_120": 1,
    }


def test_closing_the_document_counts_as_it_stands_then(accepting: Offers) -> None:
    accepting.edit(10, 10, "return x")
    accepting.clock.pass_by(5)
    accepting.log.closed(URI)
    assert accepting.counts["kept_30"] == accepting.counts["kept_120"] == 1
    assert accepting.clock.waiting == []


def test_without_statistics_no_text_is_followed(offers: Offers) -> None:
    offers.edit(10, 10, "return x")
    assert not offers.log.follows(URI)
    assert offers.clock.waiting == []


def test_switching_statistics_off_lets_go_of_texts(accepting: Offers) -> None:
    accepting.edit(10, 10, "return x")
    assert accepting.log.follows(URI)
    accepting.log.forget()
    assert not accepting.log.follows(URI)
    assert accepting.clock.waiting == []
