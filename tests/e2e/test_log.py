"""The log of a real server, what it tells of a request, and the report for a bug that is made of it."""

from __future__ import annotations

import asyncio
import io
import json
import stat
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.cli import bundle_parts, bundle_servers, doctor
from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import StartServer, trace
from tests.e2e.in_process import Call

CANARIES = {
    "text": "zanzibarText",
    "prompt": "zanzibarPrompt",
    "snippet": "zanzibarSnippet",
    "file": "zanzibarFile",
    "folder": "zanzibarFolder",
    "token": "zanzibarToken",
    "setting": "zanzibarSetting",
    "log": "zanzibarLog",
    "language": "zanzibarLanguage",
    "user file": "zanzibaroption",
}


@pytest.fixture
def environment(environment: dict[str, str], model_host: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """With a socket for `aix-lsp log`, a token, a setting, and an option that is none."""
    settings = tmp_path / "config.toml"
    settings.write_text(f'{CANARIES["user file"]} = "x"\n[workspace]\nignore = ["{CANARIES["setting"]}/"]\n')
    kept = {name: value for name, value in environment.items() if name != "AIX_LSP_INSPECT__SOCKET"}
    own = {"AIX_LSP_CONFIG": str(settings), "AIX_LSP_REMOTE__TOKEN": CANARIES["token"]}
    return {**kept, **model_host, **own}


def log_file(environment: dict[str, str]) -> Path:
    if sys.platform != "linux":
        pytest.skip("the place is that of Linux")
    return Path(environment["XDG_STATE_HOME"]) / "aix-lsp" / "log" / "aix-lsp.jsonl"


def traces(client: LspClient) -> list[dict[str, Any]]:
    return [message["params"] for message in client.notifications if message["method"] == "$/logTrace"]


def found_in(report: bytes) -> set[str]:
    """The canaries that a report holds."""
    with zipfile.ZipFile(io.BytesIO(report)) as archive:
        whole = "\n".join(f"{name}\n{archive.read(name).decode()}" for name in archive.namelist()).lower()
    return {name for name, canary in CANARIES.items() if canary.lower() in whole}


async def test_one_completion_can_be_followed_and_a_report_holds_nothing_of_the_users(
    start: StartServer,
    environment: dict[str, str],
    call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / CANARIES["folder"]
    root.mkdir()
    (root / "other.py").write_text(f"def {CANARIES['snippet']}(amounts):\n    return sum(amounts)\n")
    client = await start([root])
    uri = path_to_uri(root / f"{CANARIES['file']}.py")
    text = f"# {CANARIES['text']}\ndef {CANARIES['prompt']}(amounts):\n    return su"
    client.open(uri, text)
    client.open("untitled:x", text, CANARIES["language"])
    path = log_file(environment)

    # by default the file is there before the bug, and says nothing of requests
    await client.inline_completion(uri, 2, 13)
    quiet = call("log", "--json")
    assert quiet.returncode == 0
    assert str(path) in quiet.stderr
    events = [json.loads(line) for line in quiet.stdout.splitlines()]
    assert any("started" in event["event"] for event in events)
    assert not any("request" in event for event in events)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    # the level is raised while it runs; then one id leads through
    assert traces(client) == []
    raised = call("log", "--level", "debug", "--json")
    assert [told["log"] for told in json.loads(raised.stdout)] == [str(path)]
    client.notify("$/setTrace", {"value": "verbose"})
    await client.inline_completion(uri, 2, 12)
    await client.inline_completion("untitled:x", 2, 13)
    client.notify("$/setTrace", {"value": "messages"})
    request_id = (await trace(client))["request_id"]
    client.notify("$/setTrace", {"value": "off"})
    await trace(client)
    async with asyncio.timeout(60):
        while not any("answered" in line and request_id in line for line in path.read_text().splitlines()):
            await asyncio.sleep(0.02)
    followed = call("log", "--json", "--request", request_id)
    stages = {json.loads(line)["event"]: json.loads(line) for line in followed.stdout.splitlines()}
    wanted = ("received", "decided", "waits for a run", "asks the model", "generated", "fitted", "answered")
    assert [event for event in stages if event in wanted] == list(wanted)
    assert {stage["request"] for stage in stages.values()} == {request_id}
    assert {"snippets", "retrieval"} <= stages["asks the model"].keys()
    assert {"queue_ms", "prompt", "first_token_ms", "total_ms"} <= stages["generated"].keys()
    assert request_id in call("log").stdout

    # LSP's own trace: methods and times, sizes if asked for, never a body
    told = traces(client)
    answered = [one for one in told if one["message"].startswith("answered textDocument/inlineCompletion (")]
    assert len(answered) == 2
    assert " ms" in answered[0]["message"]
    assert "bytes came" in answered[0]["verbose"]
    assert [one.get("verbose") for one in told if "workspace/executeCommand" in one["message"]] == [None]
    assert "zanzibar" not in json.dumps(told)

    # whoever edits the log cannot make the report tell more
    with path.open("a") as file:
        hostile = {"time": CANARIES["log"], "event": CANARIES["log"], CANARIES["log"]: 1, "at": [CANARIES["log"]]}
        file.write(f"{json.dumps(hostile)}\n{CANARIES['log']}\n")
    made = call("doctor", "--bundle", tmp_path / "report.zip", "--json", "--workspace", root)
    assert made.returncode == 0, made.stderr
    manifest = json.loads(made.stdout)
    report = (tmp_path / "report.zip").read_bytes()
    assert stat.S_IMODE((tmp_path / "report.zip").stat().st_mode) == 0o600
    assert manifest["bytes"] == len(report)
    assert manifest["left_out"]
    with zipfile.ZipFile(io.BytesIO(report)) as archive:
        assert archive.namelist() == ["manifest.json", *(member["name"] for member in manifest["members"])]
        servers = json.loads(archive.read("servers.json"))["servers"]
        kept = [json.loads(line) for line in archive.read("log.jsonl").decode().splitlines()]
        options = json.loads(archive.read("settings.json"))["options"]
    assert [one["request_id"] for one in servers[0]["requests"]][-1] == request_id
    assert servers[0]["requests"][-1]["prompt"]["tokens"] > 0
    assert stages["generated"]["total_ms"] in [one.get("total_ms") for one in kept]
    assert options["workspace.ignore"] == {"value": "(1 items)", "from": "user file"}
    assert options["remote.token"]["value"] == "(hidden)"
    assert str(tmp_path) not in json.dumps([servers, kept, options])
    assert found_in(report) == set()

    assert {
        name for name in ("text", "prompt", "snippet", "file", "token") if CANARIES[name] in path.read_text()
    } == set()
    again = call("doctor", "--bundle", tmp_path / "report.zip")
    assert again.returncode == 2
    assert "exists already" in again.stderr

    # this test would see it
    for module in (bundle_parts, bundle_servers):
        monkeypatch.setattr(module, "own_words", str)
    monkeypatch.setattr(bundle_servers, "language", str)
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: [])
    assert call("doctor", "--bundle", tmp_path / "leaks.zip", "--workspace", root).returncode == 0
    assert {"log", "language", "user file"} <= found_in((tmp_path / "leaks.zip").read_bytes())
