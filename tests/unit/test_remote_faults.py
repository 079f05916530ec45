"""Everything that a server, or the way to it, can do wrong: one clear line each, and back as soon as it can be."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from aix_lsp.engine import remote
from aix_lsp.engine.base import EngineError, LoadEvent, ModelError
from aix_lsp.engine.remote import RemoteEngine
from aix_lsp.engine.remote_check import check
from aix_lsp.engine.remote_errors import RemoteError, shown_name
from aix_lsp.engine.remote_http import Address, RemoteClient
from aix_lsp.settings_remote import RemoteSettings
from aix_lsp.types import GenerationRequest
from tests.unit.remote_server import FOLDER, Fault, ModelServer, request, settings_for, until

SECRET = "what_the_user_typed"


async def failure(engine: RemoteEngine, **options: Any) -> str:
    """The line that a request fails with; it never holds the user's text."""
    with pytest.raises(EngineError) as failed:
        await engine.generate(request(f"{SECRET} = ", **options))
    line = str(failed.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


async def first_look(settings: RemoteSettings, environment: dict[str, str] | None = None) -> str:
    """What an engine says that never gets to a server."""
    engine = RemoteEngine(settings, environment=environment or {})
    try:
        with pytest.raises(ModelError) as failed:
            await engine.ready()
        assert engine.state.phase == "failed"
        assert engine.model is None
        return str(failed.value)
    finally:
        engine.close()
        await engine.wait_closed()


STATUSES = [
    (401, "", "wants a token (401); set AIX_REMOTE_TOKEN"),
    (403, "", "wants a token (403)"),
    (404, '{"error": {"message": "The model `aix-mini` does not exist."}}', "does not know the model aix-mini"),
    (404, "<html>nginx</html>", "there is no /v1/completions"),
    (400, f"maximum context length is 1024 tokens: {SECRET}", "takes no prompt of that length"),
    (400, f'{{"detail": "{SECRET}"}}', "refused the request (400)"),
    (429, "", "has too many requests (429); it asks to wait 1 s"),
    (500, f"Traceback: {SECRET}", "failed (500); its log says why"),
    (503, '{"error": {"message": "Loading model"}}', "is not ready (503)"),
    (307, "", "sends us elsewhere (307)"),
]


@pytest.mark.parametrize(("status", "body", "line"), STATUSES)
async def test_each_status_is_one_line(status: int, body: str, line: str) -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        server.fault = Fault(status, body, headers=["Retry-After: 1", "Location: http://elsewhere.example/"])
        assert line in await failure(engine)
        # What concerns one request alone leaves the server in its place.
        assert (engine.state.phase == "ready") == (status in (400, 500))
        server.fault = None
        await until(lambda: engine.state.phase == "ready")
        assert (await engine.generate(request())).text == "b + c\n"
        engine.close()
        await engine.wait_closed()


@pytest.mark.parametrize("length", [0, 200_000])
async def test_an_error_is_told_by_its_status_however_long_its_page_is(length: int) -> None:
    async def broken_off(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1000000\r\n\r\n" + b"x" * length)
        await writer.drain()

    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        for fault in (Fault(502, "x" * length), Fault(reply=broken_off)):
            server.fault = fault
            assert "is not ready (502)" in await failure(engine)
            assert engine.state.phase == "failed"
            server.fault = None
            await until(lambda: engine.state.phase == "ready")
        engine.close()
        await engine.wait_closed()


@pytest.mark.parametrize(
    ("ends", "line"),
    [("cut", "broke off its answer"), ("garbage", "text that is no JSON"), ("error", "an error of its own")],
)
@pytest.mark.parametrize("after", [0, 2])
async def test_a_stream_that_breaks_is_one_line(ends: Any, line: str, after: int) -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        server.fault = Fault(after=after, ends=ends)
        assert line in await failure(engine)
        assert engine.state.phase == "ready"
        engine.close()
        await engine.wait_closed()


async def test_a_server_that_hangs_is_given_up_and_its_stream_closed() -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server, first_token_timeout_s=0.3, timeout_s=0.6), environment={})
        await engine.ready()
        server.fault = Fault(after=0, ends="hang")
        assert "sent no token within 0.3 s" in await failure(engine)
        await asyncio.wait_for(server.completions[0].gone.wait(), 60)
        server.fault = Fault(after=2, ends="hang")
        generation = await engine.generate(request())
        assert (generation.text, generation.finish) == ("b +", "timeout")
        engine.close()
        await engine.wait_closed()


async def test_a_server_that_is_away_is_told_once_and_found_again() -> None:
    told: list[LoadEvent] = []
    async with ModelServer() as server:
        await server.stop()
        engine = RemoteEngine(settings_for(server), told.append, environment={})
        assert "refuses the connection; is it running?" in await failure(engine)
        began = time.monotonic()
        assert "refuses the connection" in await failure(engine)
        assert time.monotonic() - began < 0.45, "nobody waits for a server that is known to be away"
        await asyncio.sleep(0.8)
        assert [event.kind for event in told].count("warning") == 1
        await server.listen()
        await until(lambda: engine.state.phase == "ready")
        assert (await engine.generate(request())).text == "b + c\n"
        assert [event.kind for event in told if event.kind != "progress"] == ["warning", "ready"]
        engine.close()
        await engine.wait_closed()


async def test_connecting_alone_is_tried_again() -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        server.fault = Fault(500)
        asked = len(server.seen)
        await failure(engine)
        assert len(server.seen) == asked + 1
        await server.stop()
        again = asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(server.listen()))
        server.fault = None
        assert (await engine.generate(request())).text == "b + c\n"
        again.cancel()
        engine.close()
        await engine.wait_closed()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"url": "models.example.org"}, "remote.url is no address"),
        ({"url": "ftp://models.example.org"}, "remote.url is no address"),
        ({"url": "http://no-such-host.invalid:1"}, "cannot be reached|is not known"),
        ({"url": "https://127.0.0.1:1", "ca_file": "/no/such.pem"}, "remote.ca_file /no/such.pem cannot be used"),
        ({"url": "http://10.0.0.1", "proxy": "socks9://there"}, "the proxy socks9://there cannot be used"),
        ({"url": "http://10.0.0.1:9", "proxy": "http://me:pw@127.0.0.1:1"}, "refuses the connection"),
        ({"url": "http://10.0.0.1", "proxy": "me:pw@there:3128"}, "the proxy there:3128 cannot be used"),
        ({"url": "http://me:pw@127.0.0.1:1/v1"}, "server at http://127.0.0.1:1 refuses"),
        ({"url": "http://me:pw@127.0.0.1:1", "token": "secret"}, "only one can be sent"),
    ],
)
async def test_an_address_that_cannot_work_is_one_line(options: dict[str, Any], line: str) -> None:
    said = await first_look(RemoteSettings.model_validate({"tokenizer": FOLDER, **options}))
    assert "pw" not in said
    assert any(part in said for part in line.split("|")), said


async def test_a_token_that_no_header_can_hold_is_refused_unseen() -> None:
    said = await first_look(RemoteSettings(url="http://127.0.0.1:1"), {"AIX_REMOTE_TOKEN": "gehe\nim"})
    assert "AIX_REMOTE_TOKEN" in said
    assert "gehe" not in said


async def test_certificates_are_checked_against_the_named_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with ModelServer(tls=context) as server:
        said = await first_look(settings_for(server))
        assert "is not trusted" in said
        assert "remote.ca_file" in said
        plain = settings_for(server, url=server.url.replace("https", "http"))
        assert "127.0.0.1" in await first_look(plain)
        engine = RemoteEngine(settings_for(server, ca_file=str(tmp_path / "ca.pem")), environment={})
        assert (await engine.generate(request())).text == "b + c\n"
        engine.close()
        await engine.wait_closed()
    async with ModelServer() as server:
        said = await first_look(settings_for(server, url=server.url.replace("http", "https")))
        assert "does the server speak https there?" in said


async def test_a_server_with_another_tokenizer_is_refused() -> None:
    async with ModelServer() as server:
        server.count = lambda text: 3  # type: ignore[method-assign]
        for kind, line in (("counting", "has another tokenizer"), ("text", "reads prompts as other tokens")):
            server.kind = kind  # type: ignore[assignment]
            said = await first_look(settings_for(server))
            assert line in said
            assert "remote.tokenizer" in said
        server.kind = "silent"
        assert "does not tell how it reads a prompt" in await first_look(settings_for(server))
        engine = RemoteEngine(settings_for(server, prompt="tokens"), environment={})
        assert (await engine.generate(request())).text == "b + c\n"
        assert engine.server is not None
        assert "does not tell" in engine.server.warnings[0]
        engine.close()
        await engine.wait_closed()


async def test_a_tokenizer_that_is_not_there_is_told() -> None:
    async with ModelServer(models=("company/secret-model",)) as server:
        settings = settings_for(server, tokenizer="")
        assert "the tokenizer of company/secret-model is not on this machine" in await first_look(settings)
        assert "holds no tokenizer" in await first_look(settings_for(server, tokenizer=str(Path(FOLDER).parent)))
        assert "hf download owner/none" in await first_look(settings_for(server, tokenizer="owner/none"))


async def test_an_answer_that_is_no_stream_is_taken_whole_and_a_page_refused() -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        whole = '{"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}]}'
        server.fault = Fault(200, whole, headers=["Content-Type: application/json"])
        assert (await engine.generate(request())).text == "b"
        server.fault = Fault(200, "<html>log in</html>", headers=["Content-Type: text/html"])
        assert "check remote.url" in await failure(engine)
        engine.close()
        await engine.wait_closed()


async def test_an_empty_answer_is_no_missing_token() -> None:
    async with ModelServer(text="") as server:
        engine = RemoteEngine(settings_for(server, first_token_timeout_s=0.3), environment={})
        await engine.ready()
        server.fault = Fault(ends="linger")
        generation = await engine.generate(request())
        assert (generation.text, generation.finish) == ("", "end")
        engine.close()
        await engine.wait_closed()


async def test_what_only_the_user_can_mend_is_not_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE_S", 0.01)
    async with ModelServer(models=("other",)) as server:
        engine = RemoteEngine(settings_for(server, model="aix-mini"), environment={})
        assert "has no model aix-mini" in await failure(engine)
        asked = len(server.seen)
        await asyncio.sleep(0.2)
        await failure(engine)
        assert len(server.seen) == asked
        engine.close()
        await engine.wait_closed()


async def test_a_name_that_cannot_be_sent_is_none() -> None:
    async with ModelServer(models=("half \ud83d",)) as server:
        assert "lists no model; name one in remote.model" in await first_look(settings_for(server))
    async with ModelServer(models=("half \ud83d", "aix-mini")) as server:
        engine = RemoteEngine(settings_for(server), environment={})
        assert (await engine.generate(request())).text == "b + c\n"
        engine.close()
        await engine.wait_closed()


async def test_a_path_that_the_server_names_is_not_looked_for_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "model")
    for name in ("./model", str(tmp_path / "model")):
        async with ModelServer(models=(name,)) as server:
            assert "is not on this machine" in await first_look(settings_for(server, tokenizer=""))


async def test_code_that_goes_unencrypted_to_another_machine_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ModelServer() as server:
        for token, words in (("", "all code goes to http://127"), ("t", "the token for http://127")):
            client = RemoteClient(settings_for(server), {"AIX_REMOTE_TOKEN": token})
            assert not (await check(client, settings_for(server))).warnings
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(Address, "is_local", False)
                (warning,) = (await check(client, settings_for(server))).warnings
            assert warning.startswith(words)
            assert warning.endswith("unencrypted; use an https address")
            await client.close()


async def test_a_compressed_answer_is_refused_unread() -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        for status in (200, 500):
            server.fault = Fault(status, "no gzip", headers=["Content-Encoding: gzip"])
            line = await failure(engine)
            assert ("compresses its answers" if status == 200 else "failed (500)") in line
        engine.close()
        await engine.wait_closed()


class Panic(BaseException):
    """What a library in Rust raises that panics."""


async def test_a_panic_while_a_server_is_checked_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def panics(*_: object) -> None:
        raise Panic("no such piece")

    async with ModelServer() as server:
        with monkeypatch.context() as patched:
            patched.setattr(remote, "check", panics)
            engine = RemoteEngine(settings_for(server), environment={})
            line = await asyncio.wait_for(failure(engine), 30)
            assert line == "the server could not be checked: Panic: no such piece"
        await until(lambda: engine.state.phase == "ready")
        engine.close()
        await engine.wait_closed()


async def test_a_panic_over_one_prompt_is_one_line_and_the_next_is_sent() -> None:
    def build(tokenizer: object, info: object) -> Any:
        raise Panic(SECRET)

    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        broken = GenerationRequest(build_prompt=build, max_new_tokens=4)
        with pytest.raises(EngineError, match=r"^the prompt could not be built: Panic at ") as failed:
            await engine.generate(broken)
        assert SECRET not in str(failed.value)
        assert (await engine.generate(request())).text == "b + c\n"
        engine.close()
        await engine.wait_closed()


async def test_cookies_come_back_and_never_pile_up() -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        whole = '{"choices": [{"index": 0, "text": "b", "finish_reason": "stop"}]}'
        longest = 0
        for number in range(12):
            cookie = f"Set-Cookie: name{number}={'x' * 1000}"
            server.fault = Fault(200, whole, headers=["Content-Type: application/json", cookie])
            assert (await engine.generate(request())).text == "b"
            sent = server.completions[-1].headers.get("cookie", "")
            assert number != 1 or sent.startswith("name0=xxx")
            longest = max(longest, len(sent))
        assert longest < 4200
        engine.close()
        await engine.wait_closed()


async def test_no_more_is_taken_than_was_asked_for() -> None:
    async with ModelServer(kind="counting") as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        pieces = [{"index": index, "text": "b", "finish_reason": None} for index in (0, 7, -1, 0, 0, 0)]
        server.fault = Fault(200, json.dumps({"choices": pieces}), headers=["Content-Type: application/json"])
        generation = await engine.generate(request(max_new_tokens=2))
        assert (generation.text, generation.finish) == ("bb", "length")
        engine.close()
        await engine.wait_closed()


@pytest.mark.parametrize("wait", ["9" * 4000, "-1", "0", "²", "Wed, 21 Oct 2065 07:28:00 GMT", "7200"])
async def test_a_wait_that_nobody_can_mean_is_not_repeated(wait: str) -> None:
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        server.fault = Fault(429, "", headers=[f"Retry-After: {wait}"])
        assert (await failure(engine)).endswith("(429); try again in a moment")
        assert engine.state.phase == "ready"
        engine.close()
        await engine.wait_closed()


async def test_a_server_that_asks_to_wait_is_left_alone_and_then_asked_as_before() -> None:
    told: list[LoadEvent] = []
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), told.append, environment={})
        await engine.ready()
        server.fault = Fault(429, "", headers=["Retry-After: 2"])
        began = time.monotonic()
        assert "asks to wait 2 s" in await failure(engine)
        server.fault = None
        asked = len(server.seen)
        for _ in range(3):
            assert "asks to wait 2 s" in await failure(engine)
        assert time.monotonic() - began < 1.5, "nobody waits for a server that is known to be busy"
        await until(lambda: engine.state.phase == "ready")
        assert time.monotonic() - began >= 2
        assert len(server.seen) == asked, "a request was sent meanwhile, or the server was checked anew"
        assert (await engine.generate(request())).text == "b + c\n"
        assert [event.kind for event in told if event.kind != "progress"] == ["ready", "warning", "ready"]
        engine.close()
        await engine.wait_closed()


async def test_no_server_is_waited_for_longer_than_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_LONGEST_WAIT_S", 0.2)
    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        server.fault = Fault(429, "", headers=["Retry-After: 3600"])
        assert "asks to wait 3600 s" in await failure(engine)
        server.fault = None
        await until(lambda: engine.state.phase == "ready")
        assert (await engine.generate(request())).text == "b + c\n"
        engine.close()
        await engine.wait_closed()


async def test_a_server_that_asks_to_wait_at_the_first_look_is_not_looked_at_meanwhile() -> None:
    async with ModelServer() as server:
        server.fault = Fault(429, "", headers=["Retry-After: 2"], everywhere=True)
        engine = RemoteEngine(settings_for(server), environment={})
        assert "asks to wait 2 s" in await failure(engine)
        asked = len(server.seen)
        await asyncio.sleep(1.2)
        assert len(server.seen) == asked
        server.fault = None
        await until(lambda: engine.state.phase == "ready")
        engine.close()
        await engine.wait_closed()


async def test_a_server_that_fails_while_it_asks_to_wait_is_checked_anew() -> None:
    failed = asyncio.Event()

    async def fail(writer: asyncio.StreamWriter) -> None:
        await failed.wait()
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with ModelServer() as server:
        engine = RemoteEngine(settings_for(server), environment={})
        await engine.ready()
        server.fault = Fault(reply=fail)
        other = asyncio.create_task(engine.generate(request(document="other")))
        await until(lambda: server.completions)
        server.fault = Fault(429, "", headers=["Retry-After: 1"])
        assert "asks to wait 1 s" in await failure(engine)
        failed.set()
        with pytest.raises(RemoteError, match="is not ready"):
            await other
        server.fault = None
        asked = len(server.seen)
        await until(lambda: engine.state.phase == "ready")
        assert len(server.seen) > asked
        engine.close()
        await engine.wait_closed()


def test_a_name_that_a_server_chose_is_harmless_in_a_message() -> None:
    assert shown_name("company/model-7b (q4)") == "company/model-7b (q4)"
    assert shown_name("a\x1b[31m\u202e\nb") == "a\ufffd[31m\ufffd\ufffdb"
    assert len(shown_name("m" * 5000)) == 81


def test_errors_keep_what_the_engine_needs() -> None:
    error = RemoteError("a line", down=True, status=503)
    assert (str(error), error.down, error.status) == ("a line", True, 503)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"http_proxy": "http://me:pw@127.0.0.1:1"}, "HTTP_PROXY of the environment"),
        ({"all_proxy": "http://me:pw@127.0.0.1:1"}, "ALL_PROXY of the environment"),
    ],
)
async def test_a_proxy_of_the_environment_is_named_with_its_variable(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("http", "https", "all", "no"):
        monkeypatch.setenv(f"{kind}_proxy", variables.get(f"{kind}_proxy", ""))
    line = await first_look(RemoteSettings.model_validate({"url": "http://10.0.0.1:9", "tokenizer": FOLDER}))
    assert line == f"the proxy http://127.0.0.1:1 refuses the connection; check {words}"
