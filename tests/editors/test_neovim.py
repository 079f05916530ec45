"""The plugin in a real Neovim with the real server and the embedded model, installed as its README says and with no
setting at all. The tests share one Neovim and one server; each begins with its own text."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aix_lsp.server.parent import is_alive
from tests.e2e.conftest import INVOICE, environment_in, workspace_in
from tests.editors.conftest import editor_or_skip
from tests.editors.neovim_session import LIMIT_S, Session, environment_with_plugin, session

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Debian's Neovim and signals")

BEGUN = INVOICE.splitlines()[-1]
"""The line that ends within a name."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of Python in a project."""
    root = workspace_in(tmp_path_factory.mktemp("neovim"))
    (root / ".git").mkdir()
    return root


@pytest.fixture(scope="module")
def started(folder: Path, model_host: dict[str, str]) -> Iterator[Session]:
    """The one Neovim, whose servers share the model of other tests: how it is loaded and how sure it is are not the
    subject."""
    editor = editor_or_skip("neovim")
    sure = {"AIX_LSP_COMPLETION__CONFIDENCE": "off"}
    environment = environment_with_plugin({**environment_in(folder.parent), **model_host, **sure}, folder.parent)
    with session(editor, environment) as running:
        yield running


@pytest.fixture
def nvim(started: Session, folder: Path) -> Session:
    """Neovim with the invoice as it is on disk, and a server that is ready."""
    invoice = folder / "shop" / "invoice.py"
    invoice.write_text(INVOICE)
    started.open(invoice)
    started.until_ready()
    started.command("messages clear")
    return started


def begin(nvim: Session) -> str:
    """Go to the end of the text and wait for an offer there."""
    nvim.keys("<Esc>GA")
    offer = nvim.ghost_comes()
    assert offer.startswith("total("), offer
    return offer


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """It stands still meanwhile."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_an_offer_is_seen_and_accepted_and_the_server_is_told(nvim: Session) -> None:
    offer = begin(nvim)
    assert BEGUN + offer in nvim.screen()
    assert nvim.line() == BEGUN  # seen, and not in the text

    before = nvim.execute("aix.status")["counts"].get("accepted", 0)
    nvim.keys("<M-l>")
    nvim.wait(lambda: nvim.line() == BEGUN + offer, "accepted text")
    assert nvim.nvim.request("nvim_win_get_cursor", 0)[1] == len(nvim.line())
    nvim.wait(lambda: nvim.execute("aix.status")["counts"].get("accepted", 0) == before + 1, "count of acceptances")

    nvim.keys("<Esc>u")
    nvim.wait(lambda: nvim.line() == BEGUN, "undo of the acceptance alone")


def test_typing_through_an_offer_keeps_it_on_the_screen_without_a_gap(nvim: Session) -> None:
    offer = begin(nvim)
    whole = BEGUN + offer
    nvim.screen()
    seen = len(nvim.flushed)
    asked = nvim.asked()
    for key in "tota":
        nvim.keys(key)
    nvim.wait(lambda: nvim.line() == BEGUN + "tota", "typed text")
    nvim.wait(lambda: nvim.asked() > asked and nvim.answered() == nvim.asked(), "answer to what was typed")
    assert nvim.ghost() == offer.removeprefix("tota")
    nvim.screen()
    assert all(whole in screen for screen in nvim.flushed[seen:])

    # typed and accepted within the time that Neovim waits before it asks again (neovim #36529)
    nvim.keys("l<M-l>")
    nvim.wait(lambda: nvim.line() != BEGUN + "tota", "accepted text")
    nvim.wait(lambda: nvim.line() == whole, "whole text")


def test_what_is_typed_against_an_offer_takes_it_away_at_once(nvim: Session) -> None:
    offer = begin(nvim)
    nvim.screen()
    seen = len(nvim.flushed)
    nvim.keys("x")
    nvim.wait(lambda: nvim.line() == BEGUN + "x", "typed text")
    nvim.screen()
    assert not any(BEGUN + "x" + offer[1:] in screen for screen in nvim.flushed[seen:])
    nvim.keys("<M-l>")
    nvim.keys("y")
    nvim.wait(lambda: nvim.line().startswith(BEGUN + "xy"), "text without the offer")


def test_a_word_is_accepted_and_the_rest_stays_on_the_screen(nvim: Session) -> None:
    offer = begin(nvim)
    whole = BEGUN + offer
    nvim.screen()
    seen = len(nvim.flushed)
    nvim.keys("<M-w>")
    nvim.wait(lambda: nvim.line() == BEGUN + "total", "accepted word")
    assert nvim.ghost() == offer.removeprefix("total")
    nvim.keys("<M-w>")
    nvim.wait(lambda: nvim.line() == BEGUN + "total(", "accepted bracket")
    nvim.keys("<M-e>")
    nvim.wait(lambda: nvim.line() == whole, "accepted line")
    nvim.screen()
    assert all(whole in screen for screen in nvim.flushed[seen:])
    assert nvim.ghost() == ""


def test_an_offer_over_several_lines_is_accepted_line_by_line(nvim: Session) -> None:
    nvim.keys("<Esc>GA")
    nvim.ghost_comes()
    nvim.lua(
        """
        local shown, client = require('aix.shown'), vim.lsp.get_clients({ name = 'aix' })[1]
        shown.show(vim.api.nvim_get_current_buf(), client.id, 'total(\\n        amounts,\\n    )', nil)
        """
    )
    assert nvim.ghost() == "total(\n        amounts,\n    )"
    nvim.keys("<M-e>")
    nvim.wait(lambda: nvim.line() == BEGUN + "total(", "first line")
    nvim.keys("<M-e>")
    nvim.wait(lambda: nvim.text()[-1] == "        amounts,", "second line")


def test_an_offer_is_asked_for_where_none_comes_by_itself(nvim: Session) -> None:
    nvim.lua("vim.api.nvim_buf_set_lines(0, -2, -1, true, { 'total = compute_gra' })")
    nvim.keys("<Esc>G$i")  # before the last letter: within a word
    answered = nvim.answered()
    nvim.wait(lambda: nvim.answered() > answered, "answer")
    assert nvim.ghost() == ""
    nvim.keys("<M-/>")
    assert nvim.ghost_comes()
    trace = nvim.execute("aix.trace", "summary")
    assert trace["trigger"] == "invoked"


def test_other_candidates_are_asked_for_and_shown_in_turn(nvim: Session) -> None:
    first = begin(nvim)
    nvim.keys("<M-]>")
    candidates = "return require('aix.shown').candidates(vim.api.nvim_get_current_buf())"
    nvim.wait(lambda: nvim.lua(candidates) > 1, "more than the one that came by itself")
    assert nvim.ghost_comes() == first
    nvim.keys("<M-]>")
    second = nvim.wait(lambda: "(2/" in (shown := nvim.ghost()) and shown, "second candidate")
    assert second.partition(" (2/")[0] != first
    nvim.keys("<M-[>")
    nvim.wait(lambda: nvim.ghost().startswith(f"{first} (1/"), "first candidate")
    nvim.keys("<M-]><M-l>")
    nvim.wait(lambda: nvim.line() == BEGUN + second.partition(" (2/")[0], "accepted second candidate")


def test_candidates_that_what_was_typed_does_not_agree_with_are_passed_over(nvim: Session) -> None:
    begin(nvim)
    with stopped(nvim.until_ready()):
        nvim.lua(
            """
            local buffer, client = vim.api.nvim_get_current_buf(), vim.lsp.get_clients({ name = 'aix' })[1]
            local row, col = unpack(vim.api.nvim_win_get_cursor(0))
            local here = { line = row - 1, character = col }
            local items = vim.tbl_map(function(text)
              return { insertText = text, range = { start = here, ['end'] = here } }
            end, { 'total(a)', 'sum(b)', 'total(c)' })
            local shown = require('vim.lsp._capability').all.inline_completion.active[buffer]
            shown:handler(nil, { items = items }, { client_id = client.id, bufnr = buffer })
            """
        )
        nvim.keys("t<M-]>")
        nvim.wait(lambda: nvim.ghost().startswith("otal(c)"), "the third")
        nvim.keys("<M-l>")
        nvim.wait(lambda: nvim.line() == BEGUN + "total(c)", "accepted text")


def test_an_offer_is_accepted_by_a_mapping_that_is_an_expression(nvim: Session) -> None:
    offer = begin(nvim)
    nvim.lua(
        """
        vim.keymap.set('i', '<Tab>', function()
          return require('aix').accept() and '' or '<Tab>'
        end, { expr = true, buffer = true })
        """
    )
    nvim.keys("<Tab>")
    nvim.wait(lambda: nvim.line() == BEGUN + offer, "accepted text")
    nvim.keys("<M-q># x<Tab>y")
    nvim.wait(lambda: re.search(r"# x\s+y$", nvim.line()), "the key itself")
    nvim.lua("vim.keymap.del('i', '<Tab>', { buffer = true })")


def test_an_acceptance_is_undone_alone_also_where_more_was_typed_after_it(nvim: Session) -> None:
    offer = begin(nvim)
    nvim.keys("to<M-l>")
    nvim.wait(lambda: nvim.line() == BEGUN + offer, "accepted text")
    nvim.keys("  # x<Esc>u")
    nvim.wait(lambda: nvim.mode() == "n" and nvim.line() == BEGUN + offer, "undo of what was typed after it")
    nvim.keys("u")
    nvim.wait(lambda: nvim.line() == BEGUN + "to", "undo of the acceptance")


def test_an_offer_is_accepted_beside_the_menu_of_completions(nvim: Session) -> None:
    nvim.command("setlocal completeopt=menuone,noselect")
    begin(nvim)
    nvim.keys("<C-n>")
    nvim.wait(lambda: nvim.lua("return vim.fn.pumvisible()") == 1, "menu")
    offer = nvim.ghost_comes()
    nvim.keys("<M-l>")
    nvim.wait(lambda: nvim.line() == BEGUN + offer, "accepted text")
    nvim.keys(" # x")
    nvim.wait(lambda: nvim.line() == BEGUN + offer + " # x", "what was typed after it")


def test_nothing_is_shown_in_replace_mode(nvim: Session) -> None:
    begin(nvim)
    nvim.keys("<Insert>")
    nvim.wait(lambda: nvim.mode() == "R", "replace mode")
    assert nvim.ghost() == ""
    nvim.keys("<Insert>t")
    nvim.ghost_comes()


@pytest.mark.parametrize("end", ["bwipeout!", "lua vim.lsp.inline_completion.enable(false, { bufnr = 0 })"])
def test_an_answer_that_nobody_waits_for_any_more_is_no_error(nvim: Session, end: str) -> None:
    begin(nvim)
    asked = nvim.asked()
    with stopped(nvim.until_ready()):
        nvim.keys("t")
        nvim.wait(lambda: nvim.asked() > asked, "request on its way")
        nvim.command(end)
    nvim.wait(lambda: nvim.answered() == nvim.asked() or "bwipe" in end, "answer")
    nvim.execute("aix.status")  # an answer that comes later than the one to the request
    assert nvim.messages() == ""
    assert nvim.ghost() == ""
    nvim.command("bwipeout!" if "enable" in end else "messages clear")


def test_an_offer_is_asked_for_as_soon_as_the_server_is_there_for_who_types_already(
    nvim: Session, folder: Path
) -> None:
    other = folder / "shop" / "other.py"
    other.write_text(INVOICE)
    nvim.keys("<Esc>i")
    nvim.wait(lambda: nvim.mode() == "i", "insert mode")
    nvim.lua("vim.cmd.edit(...); vim.api.nvim_win_set_cursor(0, { vim.fn.line('$'), 999 })", str(other))
    nvim.ghost_comes()
    other.unlink()


def test_an_offer_is_dismissed_until_something_is_typed(nvim: Session) -> None:
    offer = begin(nvim)
    nvim.keys("<M-q>")
    nvim.wait(lambda: nvim.ghost() == "", "screen without the offer")
    nvim.keys(offer[0])
    nvim.ghost_comes(ends=offer[1:])


def test_emoji_and_chinese_before_the_cursor_do_not_move_the_offer(nvim: Session) -> None:
    line = '    note = "🎉👩‍💻 総計 é"; return apply_seasonal_rebate(compute_grand_'
    nvim.lua("vim.api.nvim_buf_set_lines(0, -2, -1, true, { ... })", line)
    nvim.keys("<Esc>GA")
    offer = nvim.ghost_comes()
    assert offer.startswith("total")
    assert offer != "total"
    nvim.keys("to<M-w>")
    nvim.wait(lambda: nvim.line() == line + "total", "accepted word")
    nvim.keys("<M-l>")
    nvim.wait(lambda: nvim.line() == line + offer, "accepted text")


def test_positions_are_counted_as_the_server_counts_them(nvim: Session) -> None:
    line = "総🎉x"
    nvim.lua("vim.api.nvim_buf_set_lines(0, -2, -1, true, { ... })", line)
    found = nvim.lua(
        """
        local offer, line, all = require('aix.offer'), vim.api.nvim_buf_line_count(0) - 1, {}
        for _, encoding in ipairs({ 'utf-8', 'utf-16', 'utf-32' }) do
          local position = offer.to_position(0, { row = line, col = 7 }, encoding)
          table.insert(all, { position.character, offer.to_place(0, position, encoding).col })
        end
        return all
        """
    )
    assert found == [[7, 7], [3, 7], [2, 7]]


def test_a_file_with_carriage_returns_keeps_them_in_every_line(nvim: Session, folder: Path) -> None:
    path = folder / "shop" / "crlf.py"
    path.write_bytes(INVOICE.replace("\n", "\r\n").encode())
    nvim.open(path)
    nvim.keys("<Esc>GA")
    offer = nvim.ghost_comes()
    assert offer.startswith("total("), offer
    assert "\r" not in offer
    nvim.keys("<M-l><CR># end<Esc>")
    nvim.wait(lambda: nvim.line().endswith("# end"), "typed line")
    nvim.command("write")
    saved = path.read_bytes()
    assert f"{BEGUN}{offer}\r\n".encode() in saved
    assert saved.count(b"\n") == saved.count(b"\r\n") == saved.count(b"\r")
    # what was written here would be copied in the tests that follow
    nvim.command("bwipeout!")
    path.unlink()


@pytest.mark.parametrize("away", ["<Up>", "zz", "<Left>"])
def test_an_answer_that_comes_late_is_not_shown_where_the_cursor_has_gone(nvim: Session, away: str) -> None:
    offer = begin(nvim)
    nvim.keys("<Esc>")
    nvim.wait(lambda: nvim.mode() == "n", "normal mode")
    server = nvim.until_ready()
    asked = nvim.asked()
    with stopped(server):
        nvim.keys("A")
        nvim.wait(lambda: nvim.asked() > asked, "request on its way")
        nvim.keys(away)
        nvim.wait(lambda: nvim.mode() == "i" and nvim.lua("return vim.fn.getcharstr(1)") == "", "keys that are read")
        nvim.screen()
        seen = len(nvim.flushed)
    nvim.wait(lambda: nvim.asked() > asked + 1 and nvim.answered() == nvim.asked(), "answers")
    nvim.screen()
    assert not any(BEGUN + offer in screen or offer[3:] in screen for screen in nvim.flushed[seen:])


def test_completions_are_switched_off_and_on_again(nvim: Session) -> None:
    begin(nvim)
    nvim.command("AixToggle")
    nvim.wait(lambda: "switched off" in nvim.messages(), "message")
    nvim.wait(lambda: nvim.ghost() == "", "screen without the offer")
    answered = nvim.answered()
    nvim.keys("t")
    nvim.wait(lambda: nvim.answered() > answered, "answer")
    assert nvim.ghost() == ""
    nvim.wait(lambda: nvim.lua("return require('aix').statusline()") == "aix (off)", "word in the status line")

    nvim.command("AixToggle")
    nvim.wait(lambda: "completions are on" in nvim.messages(), "message")
    nvim.keys("o")
    nvim.ghost_comes()

    nvim.command("AixToggle python")
    nvim.wait(lambda: nvim.ghost() == "", "screen without the offer")
    assert nvim.execute("aix.status")["switch"]["languages"] == {"python": False}
    nvim.command("AixToggle python")
    nvim.wait(lambda: nvim.execute("aix.status")["status"]["state"] == "ready", "server that is on")


def test_a_pause_ends_with_the_command_once_more(nvim: Session) -> None:
    nvim.command("AixPause 5")
    nvim.wait(lambda: nvim.lua("return require('aix').statusline()") == "aix (paused)", "word in the status line")
    nvim.command("AixPause")
    nvim.wait(lambda: nvim.lua("return require('aix').statusline()").startswith("aix"), "status line")
    nvim.wait(lambda: nvim.execute("aix.status")["switch"]["enabled"], "server that is on")
    nvim.command("AixPause soon")
    assert "minutes must be a number" in nvim.messages()


def test_the_page_that_says_why_is_shown_in_a_split_that_no_server_sees(nvim: Session) -> None:
    begin(nvim)
    nvim.keys("<Esc>")
    nvim.wait(lambda: nvim.mode() == "n", "normal mode")
    nvim.command("AixInspect")
    nvim.wait(lambda: nvim.text()[0].startswith("# aix-lsp"), "page")
    facts = nvim.lua(
        "return { vim.bo.buftype, vim.bo.modifiable, #vim.lsp.get_clients({ bufnr = 0 }), vim.fn.winnr('$') }"
    )
    assert facts == ["nofile", False, 0, 2]
    page = nvim.lua("return vim.api.nvim_get_current_buf()")
    nvim.command("AixInspect")
    nvim.wait(lambda: not nvim.lua("return vim.api.nvim_buf_is_valid(...)", page), "another page in its place")
    assert nvim.lua("return vim.fn.winnr('$')") == 2
    nvim.command("close")
    nvim.command("AixInspect 100000")
    nvim.wait(lambda: "not remembered" in nvim.messages(), "message")


def test_the_status_is_one_line(nvim: Session) -> None:
    nvim.command("AixStatus")
    nvim.wait(lambda: "aix-mini is ready" in nvim.messages(), "status")


def test_settings_of_a_running_server_change_beside_those_of_the_project(nvim: Session) -> None:
    nvim.lua("vim.lsp.config('aix', { settings = { aix = { completion = { max_lines = 7 } } } })")
    nvim.lua("require('aix').setup({ settings = { completion = { enabled = false } } })")
    nvim.wait(lambda: nvim.lua("return require('aix').statusline()") == "aix (off)", "word in the status line")
    held = "return vim.lsp.get_clients({ name = 'aix' })[1].settings.aix"
    assert nvim.lua(held) == {"completion": {"enabled": False, "max_lines": 7}}
    assert nvim.messages() == ""
    nvim.lua("require('aix').setup({ settings = { model = { threads = 1 } } })")
    assert nvim.messages().count("hold after a restart of the server: :AixRestart") == 1
    nvim.lua("require('aix').setup()")
    nvim.wait(lambda: nvim.lua("return require('aix').statusline()") == "aix", "word in the status line")


def test_a_model_that_is_chosen_from_the_menu_answers_after_a_restart_of_the_server(nvim: Session) -> None:
    before = nvim.until_ready()
    nvim.lua(
        """
        vim.ui.select = function(entries, options, chosen)
          menu = vim.iter(entries):map(options.format_item):totable()
          chosen({ name = 'a-large-model', onDisk = false })
          chosen(vim.iter(entries):find(function(entry) return entry.name == 'aix-mini' end))
        end
        """
    )
    nvim.command("AixModel")
    nvim.wait(lambda: "the model is aix-mini until Neovim ends" in nvim.messages(), "message")
    assert "run `aix-lsp download a-large-model` first" in nvim.messages()
    menu = nvim.lua("return menu")
    assert menu[0].startswith("  auto")
    assert any(line.startswith("* aix-mini (") for line in menu)
    nvim.wait(lambda: (children := nvim.children()) and before not in children, "new server")
    assert nvim.until_ready() != before
    begin(nvim)
    assert "ended" not in nvim.messages()
    assert len(nvim.children()) == 1
    sent = "return vim.lsp.get_clients({ name = 'aix' })[1].config.init_options"
    assert nvim.lua(sent) == {"model": {"name": "aix-mini"}}


def test_the_log_is_shown_and_no_server_reads_it(nvim: Session) -> None:
    nvim.command("AixLog")
    facts = nvim.lua("return { vim.api.nvim_buf_get_name(0), vim.bo.readonly, #vim.lsp.get_clients({ bufnr = 0 }) }")
    assert facts == [nvim.lua("return vim.lsp.log.get_filename()"), True, 0]
    nvim.command("tabclose")


def test_the_health_check_finds_nothing_wrong(nvim: Session) -> None:
    nvim.command("checkhealth aix")
    report = "\n".join(nvim.text())
    nvim.command("bwipeout")
    for good in ("aix-lsp 0", "a server runs for", "aix-mini is ready", "accept_word: <M-w>"):
        assert good in report
    for bad in ("ERROR", "WARN"):
        assert bad not in report


def test_one_server_serves_several_projects_and_no_buffer_that_is_not_a_file(nvim: Session, folder: Path) -> None:
    other = folder.parent / "other"
    (other / ".git").mkdir(parents=True, exist_ok=True)
    (other / "main.py").write_text("import os\n")
    nvim.open(other / "main.py")
    nvim.wait(
        lambda: {Path(shown["path"]).name for shown in nvim.execute("aix.status")["folders"]} == {"workspace", "other"},
        "second folder",
    )
    assert len(nvim.children()) == 1
    nvim.command("enew")
    nvim.command("setlocal filetype=python")
    assert nvim.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 0
    nvim.command("bwipeout")


def test_a_server_that_is_killed_is_started_again_and_completions_come_again(nvim: Session) -> None:
    begin(nvim)
    killed = nvim.until_ready()
    os.kill(killed, signal.SIGKILL)
    nvim.wait(lambda: "the server ended (signal 9) and is started again" in nvim.messages(), "message")
    nvim.wait(lambda: (children := nvim.children()) and killed not in children, "new server")
    assert nvim.until_ready() != killed
    nvim.ghost_comes()  # with nothing typed since
    assert nvim.messages().count("ended") == 1
    assert "exit code" not in nvim.messages()


def test_neovim_ends_without_a_word_and_takes_the_server_with_it(nvim: Session) -> None:
    server = nvim.until_ready()
    begin(nvim)
    nvim.nvim.send("nvim_command", "qall!")
    assert nvim.nvim.wait(60) == (0, "")
    until = time.monotonic() + LIMIT_S
    while is_alive(server):
        assert time.monotonic() < until, "the server lives on"
        time.sleep(0.02)
