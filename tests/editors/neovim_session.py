"""A Neovim with the plugin and the real server, as a person uses it: keys go in, the screen comes back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.editors.conftest import SERVER
from tests.editors.install.place import Editor
from tests.editors.neovim_rpc import Nvim

PLUGIN = Path(__file__).parents[2] / "editors" / "neovim"
COLUMNS, ROWS = 200, 40
LIMIT_S = 120.0
"""For whatever is waited for: what takes longer than that on a machine this loaded is broken."""

T = TypeVar("T")

_COUNT_ANSWERS = """
    answered, asked = 0, 0
    vim.api.nvim_create_autocmd('LspRequest', {
      callback = function(event)
        local request = event.data.request
        if request.method == 'textDocument/inlineCompletion' then
          asked = asked + (request.type == 'pending' and 1 or 0)
          answered = answered + (request.type == 'complete' and 1 or 0)
        end
      end,
    })
"""


class Session:
    """One Neovim. `flushed` are all screens that were drawn, for who wants to see what lay between two looks."""

    def __init__(self, editor: Editor, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> None:
        program = [*editor.command, "--embed", "-i", "NONE", *arguments]
        self.flushed: list[str] = []
        self._lines = [[" "] * COLUMNS for _ in range(ROWS)]
        self.nvim = Nvim(program, {**environment, **editor.environment, "NVIM_LOG_FILE": os.devnull}, self._drawn)
        self.nvim.request("nvim_ui_attach", COLUMNS, ROWS, {"rgb": True, "ext_linegrid": True})
        self.lua(_COUNT_ANSWERS)

    # acting

    def keys(self, text: str) -> None:
        """Type, in Neovim's notation (<Esc>, <CR>, <lt>)."""
        self.nvim.request("nvim_input", text)

    def lua(self, code: str, *arguments: Any) -> Any:
        """Run Lua in Neovim; returns what it returns."""
        return self.nvim.request("nvim_exec_lua", code, list(arguments))

    def command(self, text: str) -> None:
        """Run an Ex command."""
        self.nvim.request("nvim_command", text)

    def open(self, path: Path) -> None:
        """Edit a file, in normal mode."""
        self.keys("<Esc>")
        self.wait(lambda: self.mode() == "n", "normal mode")
        self.lua("vim.cmd.edit({ vim.fn.fnameescape(...), bang = true })", str(path))

    # looking

    def mode(self) -> str:
        """n, i, ..."""
        mode: str = self.nvim.request("nvim_get_mode")["mode"]
        return mode

    def text(self) -> list[str]:
        """The lines of the current buffer."""
        lines: list[str] = self.nvim.request("nvim_buf_get_lines", 0, 0, -1, True)
        return lines

    def line(self) -> str:
        """The line of the cursor."""
        line: str = self.nvim.request("nvim_get_current_line")
        return line

    def ghost(self) -> str:
        """What Neovim's module shows as virtual text in the current buffer; empty for nothing."""
        shown: str = self.lua(
            """
            local space = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
            local lines = {}
            for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })) do
              for _, line in ipairs({ mark[4].virt_text or {}, unpack(mark[4].virt_lines or {}) }) do
                table.insert(lines, vim.iter(line):map(function(chunk) return chunk[1] end):join(''))
              end
            end
            return table.concat(lines, '\\n')
            """
        )
        return shown

    def screen(self) -> str:
        """What is drawn now, virtual text included."""
        self.command("redraw")
        return "\n".join("".join(line).rstrip() for line in self._lines)

    def messages(self) -> str:
        """All that was told."""
        told: str = self.nvim.request("nvim_exec2", "messages", {"output": True})["output"]
        return told

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Look until there is something to see."""
        until = time.monotonic() + LIMIT_S
        while True:
            if found := condition():
                return found
            assert time.monotonic() < until, f"no {what}\n{self.messages()}\n{self.screen()}"
            time.sleep(0.02)

    def ghost_comes(self, *, ends: str = "") -> str:
        """Wait for virtual text (that ends so)."""
        return self.wait(lambda: shown if (shown := self.ghost()).endswith(ends) else "", f"ghost text {ends!r}")

    def asked(self) -> int:
        """How many completions were asked for until now."""
        count: int = self.lua("return asked")
        return count

    def answered(self) -> int:
        """How many of them have their answer, also an empty one."""
        count: int = self.lua("return answered")
        return count

    # the server

    def execute(self, command: str, *arguments: Any) -> Any:
        """One of the server's commands, and its answer."""
        answer = self.lua(
            """
            local client = vim.lsp.get_clients({ name = 'aix' })[1]
            local params = { command = select(1, ...), arguments = { select(2, ...) } }
            local answer = client and client:request_sync('workspace/executeCommand', params, 60000)
            return vim.json.encode(answer and answer.result or vim.NIL)
            """,
            command,
            *arguments,
        )
        return json.loads(answer)

    def until_ready(self) -> int:
        """Wait for a server with model and index; returns its process."""

        def ready() -> bool:
            if not self.lua("return #vim.lsp.get_clients({ name = 'aix' }) > 0"):
                return False
            status = self.execute("aix.status") or {}
            return status.get("state") == "ready" and not any(folder["indexing"] for folder in status["folders"])

        self.wait(ready, "server that is ready")
        (child,) = self.children()
        return child

    def children(self) -> list[int]:
        """The processes that Neovim has started."""
        found: list[int] = self.lua("return vim.api.nvim_get_proc_children(vim.fn.getpid())")
        return found

    def _drawn(self, method: str, params: list[Any]) -> None:
        """Follow the screen (`:help ui-linegrid`)."""
        if method != "redraw":
            return
        for name, *calls in params:
            for call in calls:
                if name == "grid_line":
                    self._put(call)
                elif name == "grid_scroll":
                    self._scroll(call)
                elif name == "grid_clear":
                    self._lines = [[" "] * COLUMNS for _ in range(ROWS)]
                elif name == "flush":
                    self.flushed.append("\n".join("".join(line).rstrip() for line in self._lines))

    def _put(self, call: list[Any]) -> None:
        _, row, column, cells = call[:4]
        for cell in cells:
            for _ in range(cell[2] if len(cell) > 2 else 1):
                self._lines[row][column] = cell[0]
                column += 1

    def _scroll(self, call: list[Any]) -> None:
        _, top, bottom, left, right, count = call[:6]
        rows = range(top, bottom - count) if count > 0 else range(bottom - 1, top - count - 1, -1)
        for row in rows:
            self._lines[row][left:right] = self._lines[row + count][left:right]


def environment_with_plugin(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a user has who followed the plugin's README and set nothing: the plugin among the packages, `aix-lsp` on the
    PATH."""
    package = folder / "data" / "nvim" / "site" / "pack" / "aix" / "start" / "aix"
    package.parent.mkdir(parents=True)
    package.symlink_to(PLUGIN)
    program = folder / "bin" / "aix-lsp"
    program.parent.mkdir()
    python, *_, _serve, _stdio = SERVER
    program.write_text(f'#!/bin/sh\nexec "{python}" -m aix_lsp "$@"\n')
    program.chmod(0o755)
    return {
        **environment,
        "PATH": f"{program.parent}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": str(PLUGIN.parents[1]),
        "XDG_DATA_HOME": str(folder / "data"),
        # the offers of so small a model are often kept back
        "AIX_LSP_COMPLETION__CONFIDENCE": "off",
    }


@contextmanager
def session(editor: Editor, environment: Mapping[str, str], arguments: Sequence[str] = ()) -> Iterator[Session]:
    """A Neovim that is gone with the context."""
    started = Session(editor, environment, arguments)
    try:
        yield started
    finally:
        started.nvim.kill()
