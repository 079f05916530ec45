"""What the Neovim plugin does without a server: its files, options, keys and messages, in a real Neovim."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.configuration import Configuration
from tests.e2e.conftest import environment_in
from tests.editors.conftest import editor_or_skip
from tests.editors.neovim_session import PLUGIN, Session, session

FILES = sorted(path.relative_to(PLUGIN) for path in PLUGIN.rglob("*.lua"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A Neovim with the plugin, whose server is not installed."""
    editor = editor_or_skip("neovim")
    environment = environment_in(tmp_path_factory.mktemp("neovim-plugin"))
    arguments = ["--clean", "--cmd", f"set runtimepath^={PLUGIN}", "--cmd", "let g:aix = #{ cmd: ['no-such-aix-lsp'] }"]
    with session(editor, environment, arguments) as running:
        yield running


@pytest.fixture
def nvim(started: Session) -> Session:
    """Without the messages of the test before."""
    started.command("messages clear")
    return started


def options_after(nvim: Session, options: str) -> dict[str, Any]:
    """Call setup() with options in Lua; what holds then."""
    nvim.lua(f"require('aix').setup({options})")
    found: dict[str, Any] = json.loads(nvim.lua("return vim.json.encode(require('aix.config').get())"))
    return found


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_is_lua_that_neovim_reads_in_the_house_style(nvim: Session, file: Path) -> None:
    assert nvim.lua("return select(2, loadfile(...))", str(PLUGIN / file)) is None
    for number, line in enumerate((PLUGIN / file).read_text(encoding="utf-8").splitlines(), 1):
        assert "\t" not in line, f"{file}:{number}"
        assert line == line.rstrip(), f"{file}:{number}"
        indent = len(line) - len(line.lstrip())
        assert indent % 2 == 0, f"{file}:{number}"
        assert len(line) <= 120 or file.name == "options.lua", f"{file}:{number}"


def test_every_module_loads(nvim: Session) -> None:
    modules = [
        ".".join(file.with_suffix("").parts[1:]).removesuffix(".init") for file in FILES if file.parts[0] == "lua"
    ]
    assert nvim.lua("for _, name in ipairs(...) do require(name) end return true", modules)


def test_the_help_has_each_tag_once_and_none_that_leads_nowhere(nvim: Session, tmp_path: Path) -> None:
    text = (PLUGIN / "doc" / "aix.txt").read_text(encoding="utf-8")
    (tmp_path / "aix.txt").write_text(text, encoding="utf-8")
    nvim.command(f"helptags {tmp_path}")  # raises at a tag that is there twice
    own = {line.split("\t")[0] for line in (tmp_path / "tags").read_text(encoding="utf-8").splitlines()}
    for link in re.findall(r"(?<!\S)\|(\S+?)\|", text):
        assert link in own or nvim.lua("return #vim.fn.getcompletion(..., 'help')", link) > 0, link
    for command in re.findall(r"^:(Aix\w+)", text, re.MULTILINE):
        assert nvim.lua("return vim.fn.exists(':' .. ...)", command) == 2, command
    for function in re.findall(r"\*aix\.(\w+)\(\)\*", text):
        assert nvim.lua("return type(require('aix')[...])", function) == "function", function


def test_a_server_that_is_not_installed_is_told_once(nvim: Session, tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("x = 1\n")
        nvim.open(tmp_path / name)
    assert nvim.messages().count("no-such-aix-lsp is not an executable") == 1
    assert nvim.lua("return #vim.lsp.get_clients()") == 0
    nvim.command("AixStatus")
    assert "no server is running" in nvim.messages()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("{ commmand = {} }", 'no option "commmand" (:help aix-options)'),
        ("{ cmd = 'aix-lsp' }", 'option "cmd" must be a list of strings, not "aix-lsp"'),
        ("{ keymaps = { acept = '<Tab>' } }", 'no keymap "acept" (:help aix-keys)'),
        ("{ keymaps = { accept = 3 } }", 'keymap "accept" must be a key or false'),
        ("{ settings = { model = { nmae = 'auto' } } }", 'no setting "model.nmae"'),
        ("{ settings = { model = { device = 'tpu' } } }", 'setting "model.device" must be one of auto, cpu, cuda, mps'),
        ("{ settings = { ['model.threads'] = 1.5 } }", 'setting "model.threads" must be a whole number from 0 to 256'),
        ("{ settings = { completion = { not_in_strings = 'x' } } }", "must be a list of strings"),
        ("{ 'cmd' }", 'no option "1"'),
        ("{ settings = { 'x', log = { level = 'info' } } }", 'no setting "1"'),
    ],
)
def test_a_wrong_option_is_told_in_one_line_and_the_rest_holds(nvim: Session, options: str, line: str) -> None:
    held = options_after(nvim, options.replace("{", "{ root_markers = { 'here' },", 1))
    told = nvim.messages().splitlines()
    assert [found for found in told if line in found], told
    assert len(told) == 1
    assert held["root_markers"] == ["here"]
    assert held["cmd"] == ["no-such-aix-lsp"]


def test_only_what_is_set_travels_and_what_is_the_machines_travels_at_the_start_alone(nvim: Session) -> None:
    options_after(nvim, "{ settings = { model = { name = 'aix-mini' }, ['completion.candidates'] = 2 } }")
    sent = json.loads(
        nvim.lua("return vim.json.encode({ vim.lsp.config.aix.init_options, vim.lsp.config.aix.settings })")
    )
    assert sent[0] == {"model": {"name": "aix-mini"}, "completion": {"candidates": 2}}
    assert sent[1] == {"aix": {"completion": {"candidates": 2}}}
    options_after(nvim, "{}")
    nothing = nvim.lua("return vim.json.encode({ vim.lsp.config.aix.init_options, vim.lsp.config.aix.settings })")
    assert json.loads(nothing) == [{}, {"aix": {}}]


def test_the_servers_own_defaults_are_taken_by_the_check(nvim: Session) -> None:
    defaults = Configuration().settings.model_dump(mode="json")
    lines = nvim.lua("return select(2, require('aix.settings').checked(vim.json.decode(...)))", json.dumps(defaults))
    assert lines == []


def test_keys_of_others_are_left_alone_and_a_chosen_key_does_otherwise_what_it_did(nvim: Session) -> None:
    nvim.lua(
        """
        vim.keymap.set('i', '<M-w>', 'theirs', { desc = 'their key' })
        vim.keymap.set('i', '<Tab>', function() return 'before' end, { expr = true })
        require('aix').setup({ keymaps = { accept = '<Tab>', next = '<C-l>', dismiss = false } })
        require('aix.keymaps').map()
        """
    )
    mapped = nvim.lua("return require('aix.keymaps').mapped")
    assert mapped["accept_word"] == {"key": "<M-w>", "taken": "their key"}
    assert "dismiss" not in mapped
    nvim.command("enew!")
    nvim.keys("i<Tab><M-w>(<M-e>)<Esc>")
    nvim.wait(lambda: nvim.line() == "beforetheirs()", "what the keys did before")
    nvim.command("set nomodified")


def test_what_a_key_does_in_one_buffer_alone_is_nothing_to_the_others(nvim: Session) -> None:
    nvim.command("enew!")
    nvim.lua(
        """
        vim.keymap.set('i', '<C-l>', 'here alone', { buffer = true })
        require('aix').setup({ keymaps = { accept = '<C-l>' } })
        require('aix.keymaps').mapped = {}
        require('aix.keymaps').map()
        """
    )
    nvim.command("enew!")
    nvim.keys("i(<C-l>)<Esc>")
    nvim.wait(lambda: nvim.mode() == "n" and nvim.line().endswith(")"), "typed text")
    assert "here alone" not in nvim.line()
    nvim.command("set nomodified")


def test_a_program_is_never_taken_from_the_current_folder(nvim: Session, tmp_path: Path) -> None:
    program = tmp_path / "aix-of-a-stranger"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    find = """
        local name, path = ...
        local before = vim.env.PATH
        vim.env.PATH = path
        local found = require('aix.program').find(name)
        vim.env.PATH = before
        return found
    """
    nvim.command(f"cd {tmp_path}")
    for path in ("", ".", ":/usr/bin", "/usr/bin:"):
        assert nvim.lua(find, program.name, path) is None, path
    assert nvim.lua(find, f"./{program.name}", "") is None
    assert nvim.lua(find, program.name, f".:{tmp_path}") == str(program)
    assert nvim.lua(find, str(program), "") == str(program)
    nvim.command("cd /")


def test_a_server_that_does_not_start_is_given_up_after_the_second_time_until_it_is_asked_for(
    nvim: Session, tmp_path: Path
) -> None:
    (tmp_path / "one.py").write_text("x = 1\n")
    starts = tmp_path / "starts"
    script = f'echo "$PYTHONSAFEPATH" >> {starts}; exit 3'
    nvim.open(tmp_path / "one.py")
    nvim.command("messages clear")
    nvim.lua("require('aix').setup({ cmd = { 'sh', '-c', ... } })", script)
    nvim.command("AixRestart")
    nvim.wait(lambda: ":AixRestart starts it" in nvim.messages(), "message")
    assert nvim.messages().splitlines() == [
        "aix: the server ended (exit code 3) and is started again",
        "aix: the server does not start (exit code 3) and is not tried again; :AixLog has why, :AixRestart starts it",
    ]
    assert starts.read_text() == "1\n" * 2
    nvim.command("AixRestart")
    nvim.wait(lambda: nvim.messages().count(":AixRestart starts it") == 2, "message")
    assert starts.read_text() == "1\n" * 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("total(amounts) * 2", ["total", "(", "amounts", ")", " *", " 2"]),
        ("a_b:\n    return", ["a_b", ":", "\n    return"]),
        ("総計 = 🎉x", ["総計", " =", " 🎉x"]),
        ("x  \n", ["x", "  \n"]),
    ],
)
def test_words_are_taken_with_the_white_space_before_them(nvim: Session, text: str, words: list[str]) -> None:
    taken = nvim.lua(
        """
        local rest, taken = ..., {}
        while rest ~= '' do
          table.insert(taken, require('aix.accept').part_of(rest, 'word'))
          rest = rest:sub(#taken[#taken] + 1)
        end
        return taken
        """,
        text,
    )
    assert taken == words


def test_lines_are_taken_with_the_break_before_them(nvim: Session) -> None:
    part = "return require('aix.accept').part_of(..., 'line')"
    assert nvim.lua(part, "a(\n    b\n)") == "a("
    assert nvim.lua(part, "\n    b\n)") == "\n    b"


def test_neovim_ends_without_a_word(nvim: Session) -> None:
    nvim.nvim.send("nvim_command", "qall!")
    assert nvim.nvim.wait(60) == (0, "")
