"""The real Emacs in a real terminal: offers of the real server, with a connection of the package's own, with eglot's
and with lsp-mode's."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import INVOICE
from tests.editors.emacs.scene import BEGUN, LISP, PID, REST, Scene, scene
from tests.editors.emacs.session import GHOST, go_on, quoted, stop

pytestmark = pytest.mark.editor


@pytest.fixture(scope="module", params=list(LISP))
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("emacs"), request.param) as made:
        yield made


def test_an_offer_is_shown_at_point_and_a_key_takes_it(here: Scene) -> None:
    here.begin()
    before = here.accepted()
    rest = here.offered()
    lines = here.emacs.until_screen(lambda lines: any(line.endswith("compute_grand_" + rest) for line in lines))
    row = next(number for number, line in enumerate(lines) if line.endswith("compute_grand_" + rest))
    assert here.emacs.cursor() == (lines[row].index(rest), row)
    assert here.emacs.text() == INVOICE
    here.emacs.keys("M-Enter")
    here.emacs.until('(not (looking-back "compute_grand_" (pos-bol)))')
    assert here.emacs.text().startswith(INVOICE + rest)
    assert here.emacs.eval("(eobp)")
    assert here.accepted() == before + 1


def test_what_was_taken_is_one_step_of_undo(here: Scene) -> None:
    here.begin()
    rest = here.offered()
    here.emacs.keys("M-Enter")
    here.emacs.until(f'(string-suffix-p "{rest}" (buffer-string))')
    here.emacs.keys("C-_")
    here.emacs.until('(string-suffix-p "compute_grand_" (buffer-string))')


def test_an_offer_shrinks_while_it_is_typed_without_another_request(here: Scene) -> None:
    here.begin()
    rest = here.offered()
    asked = here.asked()
    here.emacs.eval("(setq aix-test-hidden 0)")
    here.emacs.eval(
        "(progn (advice-add 'aix-lsp-ghost-hide :before (lambda (&rest _) (setq aix-test-hidden (1+ aix-test-hidden)))"
        " '((name . aix-test))) t)"
    )
    for typed in range(1, 6):
        here.emacs.type(rest[typed - 1])
        here.emacs.until_ghost(rest[typed:])
    here.emacs.keys("BSpace")
    here.emacs.until_ghost(rest[4:])
    assert (here.asked(), here.emacs.eval("aix-test-hidden")) == (asked, 0)
    here.emacs.eval("(progn (advice-remove 'aix-lsp-ghost-hide 'aix-test) t)")
    here.emacs.keys("M-Enter")
    here.emacs.until("(not aix-lsp-ghost--shown)")
    assert here.emacs.text().startswith(INVOICE + rest)


def test_an_offer_goes_away_with_another_key_and_another_one_comes(here: Scene) -> None:
    here.begin()
    here.offered()
    asked = here.asked()
    here.emacs.type("s")
    here.emacs.until("aix-test-asked", lambda now: bool(now > asked))
    assert not (here.emacs.ghost() or "").startswith("otal")


def test_words_and_lines_of_an_offer_are_taken_and_the_rest_stays_shown(here: Scene) -> None:
    here.begin()
    before = here.accepted()
    rest = here.offered()
    for left in (rest[5:], rest[6:], rest[13:]):
        here.emacs.keys("M-Right")
        here.emacs.until_ghost(left)
    here.emacs.keys("M-Down")
    here.emacs.until(f'(string-suffix-p "{rest}" (buffer-string))')
    assert here.accepted() == before + 1


def test_characters_of_two_units_before_the_cursor_do_not_shift_an_offer(here: Scene) -> None:
    text = BEGUN.replace("    return", '    note = "🎉 漢字 👩‍👩‍👧"; return')
    here.begin(text)
    rest = here.offered(begins="")
    here.emacs.keys("M-Enter")
    here.emacs.until(f'(string-suffix-p "{rest}" (buffer-string))')
    assert here.emacs.text() == text + "_" + rest


def test_a_file_with_crlf_keeps_it_everywhere(here: Scene) -> None:
    path = here.begin(line_break="\r\n")
    assert here.emacs.eval("(symbol-name buffer-file-coding-system)").endswith("-dos")
    rest = here.offered()
    here.emacs.keys("M-Enter")
    here.emacs.until(f'(string-suffix-p "{rest}" (buffer-string))')
    here.emacs.keys("Enter")
    here.emacs.keys("C-x", "C-s")
    here.emacs.until("(not (buffer-modified-p))")
    assert path.read_bytes() == (INVOICE + rest + "\n").replace("\n", "\r\n").encode()


def test_an_answer_that_comes_late_is_not_shown(here: Scene) -> None:
    here.begin()
    pid = here.pid()
    assert pid is not None
    stop(pid)
    try:
        asked = here.asked()
        here.emacs.type("_")
        here.emacs.until("aix-test-asked", lambda now: bool(now > asked))
        here.emacs.keys("Up")
        here.emacs.until("(not (eobp))")
    finally:
        go_on(pid)
    here.execute("aix.status")  # answered behind it
    assert here.emacs.ghost() is None
    assert not here.emacs.eval("aix-lsp-ghost--shown")


def test_moving_away_hides_an_offer(here: Scene) -> None:
    here.begin()
    here.offered()
    here.emacs.keys("C-a")
    here.emacs.until("(not aix-lsp-ghost--shown)")
    assert here.emacs.eval('(null (key-binding (kbd "M-RET")))')


def test_an_offer_can_be_asked_for_and_dismissed(here: Scene) -> None:
    here.begin(INVOICE)
    here.emacs.keys("M-x")
    here.emacs.type("aix-lsp-complete")
    here.emacs.keys("Enter")
    assert here.emacs.until(GHOST).startswith(REST)
    here.emacs.keys("C-g")
    here.emacs.until("(not aix-lsp-ghost--shown)")
    assert here.emacs.text() == INVOICE


def test_switched_off_there_is_no_offer_and_on_again_there_is(here: Scene) -> None:
    here.begin()
    command(here, "aix-lsp-toggle")
    here.emacs.until('(equal (plist-get (aix-lsp-commands--status) :state) "off")')
    here.emacs.until_screen(lambda lines: any("aix:off" in line for line in lines))
    asked = here.asked()
    here.emacs.type("_")
    here.emacs.until("(and (null aix-lsp--request) aix-test-asked)", lambda now: bool(now and now > asked))
    assert here.emacs.ghost() is None
    here.emacs.keys("BSpace")
    command(here, "aix-lsp-toggle")
    here.emacs.until('(equal (plist-get (aix-lsp-commands--status) :state) "ready")')
    here.offered()


def test_the_page_of_inspect_opens(here: Scene) -> None:
    here.begin()
    here.offered()
    command(here, "aix-lsp-inspect")
    here.emacs.until('(and (string-match-p "apply_seasonal_rebate" (buffer-string)) (not aix-lsp-ghost--shown))')
    here.emacs.until('(and buffer-file-name (string-suffix-p ".md" buffer-file-name))')


def test_another_model_is_chosen_among_those_that_the_server_knows(here: Scene) -> None:
    here.begin()
    pid = here.pid()
    command(here, "aix-lsp-change-model")
    here.emacs.until_screen(lambda lines: lines[-1].startswith("Model (default aix-mini)"))
    here.emacs.type("aix-mini")
    here.emacs.keys("Enter")
    here.emacs.until(PID[here.backend], lambda now: bool(now and now != pid))
    here.until_ready()
    here.offered()
    assert here.emacs.eval("aix-lsp-model-name") == "aix-mini"


def test_a_server_that_was_killed_starts_again_and_offers(here: Scene) -> None:
    here.begin()
    pid = here.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    here.emacs.until(f"(not (equal {PID[here.backend]} {pid}))")
    here.emacs.until(PID[here.backend], lambda now: bool(now and now != pid))
    here.until_ready()
    here.offered()


def test_tab_takes_an_offer_where_that_is_wanted(tmp_path: Path) -> None:
    with scene(tmp_path, "own", "(setopt aix-lsp-accept-with-tab t)") as here:
        here.begin()
        rest = here.offered()
        here.emacs.keys("Tab")
        here.emacs.until(f'(string-suffix-p "{rest}" (buffer-string))')
        here.emacs.eval("(progn (setopt aix-lsp-accept-with-tab nil) t)")
        assert not here.emacs.eval('(keymap-lookup aix-lsp-ghost-map "TAB")')


def test_what_a_folders_variables_say_holds_for_its_files(tmp_path: Path) -> None:
    with scene(tmp_path, "own", "(setq enable-local-variables :safe)") as here:
        languages = '((nil . ((aix-lsp-completion-disabled-languages . ("python")))))'
        (here.workspace / ".dir-locals.el").write_text(languages)
        here.begin()
        here.emacs.type("_")
        here.emacs.until("(and (> aix-test-asked 0) (null aix-lsp--request))")
        assert "completion.disabled_languages" in here.execute("aix.trace", "summary")["reason"]
        assert here.emacs.ghost() is None


_OFFER = """(progn (aix-lsp-ghost-show (mapcar (lambda (text) (make-aix-lsp-candidate :beg (point) :text text))
                                               (list {})) #'ignore) (redisplay) t)"""


def test_an_offer_of_several_lines_stands_between_the_lines_and_the_cursor_before_it(tmp_path: Path) -> None:
    with scene(tmp_path, "own", "(setq aix-lsp-automatic nil)") as here:
        emacs = here.emacs
        path = here.workspace / "shop" / "pricing.py"
        emacs.open(path)
        emacs.eval('(progn (erase-buffer) (insert "one()\\ntwo") (goto-char 5) (switch-to-buffer (current-buffer)) t)')
        emacs.eval(_OFFER.format(quoted("a,\n    b") + quoted("other")))
        lines = emacs.until_screen(lambda lines: "one(a," in lines)
        row = lines.index("one(a,")
        assert lines[row + 1 : row + 3] == ["    b)", "two"]
        assert emacs.cursor() == (4, row)
        emacs.keys("M-n")
        emacs.until_screen(lambda lines: "one(other)" in lines)
        emacs.keys("M-p")
        emacs.until_screen(lambda lines: "one(a," in lines)
        emacs.keys("M-Down")
        emacs.until('(equal (buffer-string) "one(a,)\\ntwo")')
        emacs.until_screen(lambda lines: "    b)" in lines)
        emacs.keys("M-Enter")
        emacs.until('(equal (buffer-string) "one(a,\\n    b)\\ntwo")')
        emacs.eval("(progn (end-of-line) t)")
        emacs.eval(_OFFER.format(quoted("\nnext")))
        lines = emacs.until_screen(lambda lines: "next" in lines)
        assert emacs.cursor() == (6, lines.index("next") - 1)


def test_offers_come_beside_the_language_server_that_eglot_runs(tmp_path: Path) -> None:
    lisp = """
(require 'eglot)
(add-to-list 'eglot-server-programs (cons 'python-mode aix-lsp-server-command))
(add-hook 'python-mode-hook #'eglot-ensure)
"""
    with scene(tmp_path, "own", lisp) as here:
        here.begin()
        here.emacs.until("(and (eglot-managed-p) (eglot-current-server) t)")
        assert here.emacs.eval(PID["eglot"]) != here.pid()
        rest = here.offered()
        here.emacs.keys("M-Enter")
        here.emacs.until(f'(string-suffix-p "{rest}" (buffer-string))')


def command(here: Scene, name: str) -> None:
    """Call a command as one does."""
    here.emacs.keys("M-x")
    here.emacs.type(name)
    here.emacs.keys("Enter")
