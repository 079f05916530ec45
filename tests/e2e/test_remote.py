"""A model on another machine: `transformers serve` with the embedded model, as a process of its own.

`make test-remote` runs the same tests against any other server: AIX_TEST_REMOTE_URL names it (and AIX_TEST_REMOTE_MODEL
its model), which must serve the embedded model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aix_lsp.engine.base import LoadEvent
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.remote import RemoteEngine
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import DocumentSnapshot, FimFormat, GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.e2e.conftest import StartServer, status
from tests.e2e.in_process import Call
from tests.e2e.test_cli import Cli

FOLDER = str(embedded().source)
START_S = 120.0
MARK = "def area(width, height):\n    return width *"
AFTER = "\n\n\ndef volume(width, height, depth):\n    return area(width, height) * depth\n"
"""No two tokens are as likely there as that the server's 16 bits could make another one the first."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def transformers_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """`transformers serve` on a free port."""
    home = tmp_path_factory.mktemp("hub")
    (home / "hub").mkdir()
    port = free_port()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", FOLDER, "--port", str(port)]
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield {"url": wait_for(f"http://127.0.0.1:{port}", process), "model": FOLDER, "tokenizer": FOLDER}
        finally:
            process.terminate()
            process.wait(20)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                return url
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture(params=["transformers", pytest.param("named", marks=pytest.mark.remote)])
def server(request: pytest.FixtureRequest) -> dict[str, str]:
    """Settings of the server that the tests ask."""
    if request.param == "transformers":
        found: dict[str, str] = request.getfixturevalue("transformers_server")
        return found
    url = os.environ.get("AIX_TEST_REMOTE_URL", "")
    if not url:
        pytest.skip("AIX_TEST_REMOTE_URL names no server")
    return {"url": url, "model": os.environ.get("AIX_TEST_REMOTE_MODEL", ""), "tokenizer": FOLDER}


def asked(order: FimFormat, max_new_tokens: int = 4, **options: Any) -> GenerationRequest:
    document = DocumentSnapshot("file:///area.py", MARK + AFTER, "python", 0, "area.py")

    def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
        settings = PromptSettings.model_validate({"format": order})
        return build_prompt(tokenizer, info, document, len(MARK), (), settings, max_new_tokens)

    return GenerationRequest(build_prompt=build, max_new_tokens=max_new_tokens, **options)


def local_answer(order: FimFormat, *, healing: bool, max_new_tokens: int = 4) -> str:
    """What the embedded model says in this process."""
    from aix_lsp.engine.loading import load_model

    loaded = load_model(embedded().source, device="cpu", dtype="float32", threads=1)
    info = ModelInfo("aix-mini", loaded.max_positions, token_healing=healing)
    prompt = asked(order, max_new_tokens).build_prompt(loaded.tokenizer, info)
    tokens: list[int] = []
    for token in loaded.decoder.generate(prompt.ids, required=prompt.required):
        tokens.append(token)
        if len(tokens) == max_new_tokens + 8:
            break
    return loaded.tokenizer.decode(tokens).removeprefix(prompt.required)


@pytest.mark.parametrize("order", ["spm", "psm"])
async def test_the_server_answers_as_the_model_itself_does(server: dict[str, str], order: FimFormat) -> None:
    told: list[LoadEvent] = []
    engine = RemoteEngine(RemoteSettings.model_validate({**server, "first_token_timeout_s": 60}), told.append)
    try:
        shown: list[str] = []
        generation = await engine.generate(asked(order, on_text=shown.append))
        assert engine.model is not None
        healing = engine.model.token_healing
        local = await asyncio.to_thread(local_answer, order, healing=healing)
        assert len(generation.text) > 3
        assert local.startswith(generation.text)
        assert generation.prompt.format == order
        assert shown[-1] == generation.text
        assert told[-1].kind == "ready"
        stopped = await engine.generate(asked(order, 60, stop=lambda text: len(text) > 1))
        assert stopped.finish == "stop"
        assert stopped.tokens < 30
        begun = asyncio.Event()
        task = asyncio.ensure_future(engine.generate(asked(order, 400, on_text=lambda text: begun.set())))
        await asyncio.wait_for(begun.wait(), 60)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # or it was done just then
            await task
        # The server is free again, and so answers the next.
        assert (await engine.generate(asked(order))).text == generation.text
    finally:
        engine.close()
        await engine.wait_closed()


async def test_an_editor_gets_completions_from_the_server(
    server: dict[str, str], start: StartServer, workspace: Path
) -> None:
    options = {"completion": {"timeLimitMs": 60_000, "maxTokensLine": 4}, "prompt": {"maxTokens": 128}}
    arguments = [word for name, value in server.items() for word in ("--set", f"remote.{name}={value}")]
    arguments += ["--set", "remote.first_token_timeout_s=60", "--set", "remote.timeout_s=60"]
    client = await start([workspace], arguments=arguments, options=options)
    path = workspace / "shop" / "area.py"
    path.write_text(MARK + AFTER)
    client.open(path.as_uri(), MARK + AFTER)
    items = await client.inline_completion(path.as_uri(), 1, len("    return width *"))
    assert items
    now = await status(client)
    assert now["state"] == "ready"
    assert server["url"].removesuffix("/v1") in now["device"]


def told_by(cli: Cli, *arguments: str, code: int = 0) -> str:
    """What a command prints in a process of its own, where PyTorch is not loaded."""
    done = cli.run(*arguments)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_the_doctor_tells_how_the_server_was_checked(
    server: dict[str, str], environment: dict[str, str], workspace: Path, call: Call
) -> None:
    cli = Cli(environment | {"AIX_REMOTE_TOKEN": "s3cret"}, workspace, call)
    words = [word for name, value in server.items() for word in ("--set", f"remote.{name}={value}")]
    output = told_by(cli, "doctor", "--json", *words)
    assert "one token in" in output
    assert "checked with the server" in output
    assert "s3cret" not in output
    assert '"torch"' not in output
    plain = told_by(cli, "complete", "shop/invoice.py:7:1", "--json", "--set", "completion.max_tokens_line=2", *words)
    assert '"model": "aix-mini"' in plain


def test_a_server_that_is_away_is_one_line(environment: dict[str, str], workspace: Path, call: Call) -> None:
    cli = Cli(environment, workspace, call)
    words = ["--set", f"remote.url=http://127.0.0.1:{free_port()}"]
    assert "refuses the connection" in told_by(cli, "doctor", "--json", *words, code=1)
    done = cli.run("complete", "shop/invoice.py:7:1", *words)
    assert done.returncode == 1
    assert "refuses the connection; is it running?" in done.stderr
    assert "Traceback" not in done.stderr
