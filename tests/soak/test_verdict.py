"""What a soak says of samples that are made up: each planted failure breaks its own promise and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from tests.findings import report
from tests.soak.measure import MIB, Rest, Sample
from tests.soak.verdict import Seen, growth, judge, table

SECONDS = 3600
WARM = 600


def calm() -> Seen:
    """An hour of a server that holds what is promised, on a machine that is not quiet."""
    draw = Random(0)
    seen = Seen(warm_until=WARM, ended=SECONDS, requests=4000, checks=80, done=Counter(key=20_000))
    for second in range(0, SECONDS, 2):
        size = round((400 + 100 * min(1, second / WARM) + draw.uniform(-10, 10)) * MIB)
        threads, handles = 20 + draw.randrange(3), 15 + draw.randrange(4)
        load = draw.uniform(1, 3)
        runs = second // 2
        seen.samples.append(
            Sample(second, size, size, size, threads, handles, 0, 0, second / 5, 6 * second, runs, load)
        )
        # each tenth has the same ones
        seen.answers.append((second, 40 + second % 300))
        seen.references.append((second, 50 + second % 300 / 20))
    names = {"handle pipe": 4, "thread python": 20}
    seen.rests = [
        Rest(second, 20, 15, 3, 0, 4, 9000, 0.004, 480 * MIB, names=names) for second in range(WARM, SECONDS + 1, 300)
    ]
    return seen


def leaking(seen: Seen, **more: float) -> None:
    """Each request takes some of something and does not give it back; one request a second."""
    seen.samples = [
        replace(sample, **{what: round(getattr(sample, what) + each * sample.seconds) for what, each in more.items()})
        for sample in seen.samples
    ]


def memory(seen: Seen) -> None:
    leaking(seen, own=MIB / 10, rss=MIB / 10)


def threads(seen: Seen) -> None:
    seen.rests[-1] = replace(seen.rests[-1], threads=21, names={"handle pipe": 4, "thread python": 21})


def handles(seen: Seen) -> None:
    seen.rests[-1] = replace(seen.rests[-1], handles=16, names={"handle pipe": 5, "thread python": 20})


def sockets(seen: Seen) -> None:
    seen.rests[-1] = replace(seen.rests[-1], sockets=4)


def children(seen: Seen) -> None:
    seen.rests[-1] = replace(seen.rests[-1], children=1)


def tasks(seen: Seen) -> None:
    seen.rests[-1] = replace(seen.rests[-1], tasks=5)


def slow(seen: Seen) -> None:
    seen.answers = [(at, ms * (1.3 if at > 3200 else 1)) for at, ms in seen.answers]


def busy(seen: Seen) -> None:
    seen.rests = [replace(rest, idle=0.05) for rest in seen.rests]


def lost(seen: Seen) -> None:
    seen.lost.append("the server's text of file:///a.py is another one")


def uncompared(seen: Seen) -> None:
    seen.checks = 0


def unanswered(seen: Seen) -> None:
    seen.unanswered.append("textDocument/inlineCompletion (request 7)")


def twice(seen: Seen) -> None:
    seen.twice = 1


def failed(seen: Seen) -> None:
    seen.failed.append("aix.trace: internal error")


def logged(seen: Seen) -> None:
    seen.errors.append("ERROR aix_lsp.server: a handler failed")


PLANTED: dict[Callable[[Seen], None], str] = {
    memory: "memory grows",
    threads: "threads at rest",
    handles: "handles at rest",
    sockets: "sockets at rest",
    children: "children at rest",
    tasks: "tasks at rest",
    slow: "p95 of the last tenth",
    busy: "at rest the server takes",
    lost: "no edit is lost",
    uncompared: "no edit is lost",
    unanswered: "every request is answered once",
    twice: "every request is answered once",
    failed: "every request is answered once",
    logged: "nothing is logged at ERROR level",
}


def broken(seen: Seen, *, timing: bool = True) -> list[str]:
    return [finding.name for finding in judge(seen, timing=timing) if finding.state == "broken"]


def test_a_server_that_stays_as_it_is_holds_all_promises() -> None:
    findings = judge(calm(), timing=True)
    assert [finding.state for finding in findings] == ["ok"] * len(findings)
    assert report("soak", findings) == 0


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_failure_breaks_its_promise_and_no_other(
    plant: Callable[[Seen], None], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = calm()
    plant(seen)
    (name,) = broken(seen)
    assert name.startswith(PLANTED[plant])
    assert report("soak", judge(seen, timing=True)) == 1
    assert f"  broken   {name}" in capsys.readouterr().out


def test_of_a_leak_the_kind_that_is_more_is_told() -> None:
    seen = calm()
    handles(seen)
    (finding,) = [finding for finding in judge(seen, timing=True) if finding.state == "broken"]
    assert finding.seen.endswith("15 16 (handle pipe +1)")


def test_what_grows_in_the_warm_up_or_comes_and_goes_is_no_leak() -> None:
    seen = calm()
    seen.samples = [
        replace(sample, own=sample.own + (300 * MIB if sample.seconds % 98 == 0 else 0), handles=99)
        for sample in seen.samples
    ]
    seen.rests[3] = replace(seen.rests[3], handles=40, threads=40)
    assert broken(seen) == []
    grown = growth(seen)
    assert grown is not None
    assert abs(grown) < 0.01


def test_a_machine_that_is_slower_at_the_end_is_not_the_servers_fault() -> None:
    seen = calm()
    slow(seen)
    seen.references = [(at, ms * (1.3 if at > 3200 else 1)) for at, ms in seen.references]
    assert broken(seen) == []
    slow(seen)
    assert broken(seen) == ["p95 of the last tenth is within 20% of the first"]


def test_a_short_run_says_nothing_of_time() -> None:
    seen = calm()
    slow(seen)
    busy(seen)
    assert broken(seen, timing=False) == []
    few = calm()
    few.answers = few.answers[::20]
    findings = {finding.name: finding.state for finding in judge(few, timing=True)}
    assert findings["p95 of the last tenth is within 20% of the first"] == "skipped"


def test_the_memory_of_a_short_run_is_compared_at_rest() -> None:
    seen = calm()
    memory(seen)
    assert broken(seen, timing=False) == []
    seen.rests[-1] = replace(seen.rests[-1], own=510 * MIB)
    assert broken(seen, timing=False) == ["memory grows by at most 5% after the warm-up"]


def test_a_run_in_which_nothing_was_seen_holds_nothing() -> None:
    assert len(broken(Seen(), timing=True)) >= 8


def test_the_table_has_a_line_for_each_tenth() -> None:
    assert len(table(calm())) == 11
