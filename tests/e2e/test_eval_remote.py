"""A benchmark's run on a server: `transformers serve` with the embedded model, several requests in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

from aix_lsp.cli.eval_benchmark import answered
from aix_lsp.engine.remote import RemoteEngine
from aix_lsp.engine.remote_errors import RemoteError
from aix_lsp.evaluation.asked import Asked
from aix_lsp.evaluation.run_folder import read_run
from aix_lsp.types import Generation, GenerationRequest
from tests.e2e.test_remote import free_port, transformers_server
from tests.e2e.tiny_benchmark import TinyBenchmark

__all__ = ["transformers_server"]


@pytest.fixture
def server(
    transformers_server: dict[str, str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The user's settings name the server, in the environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name, value in transformers_server.items():
        monkeypatch.setenv(f"AIX_LSP_REMOTE__{name.upper()}", value)
    return transformers_server


def test_a_run_on_a_server_has_several_requests_in_flight(
    server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = RemoteEngine.generate
    running = most = 0

    async def counted(self: RemoteEngine, request: GenerationRequest) -> Generation:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await generate(self, request)
        finally:
            running -= 1

    monkeypatch.setattr(RemoteEngine, "generate", counted)
    folder = tmp_path / "out"
    data = answered(TinyBenchmark(), Asked(engine="remote", batch=4), out=folder)
    assert most == 4
    assert [result.output.error for result in data.results] == [""] * 10
    assert all(result.output.texts and result.output.milliseconds > 0 for result in data.results)
    assert (data.config["engine"], data.config["answered_by"]["at_once"]) == ("remote", 4)
    assert data.config["model"] == "aix-mini"
    assert server["url"] not in (folder / "run.json").read_text()
    one_by_one = answered(TinyBenchmark(), Asked(engine="remote", batch=1), out=None)
    assert [result.output.texts for result in data.results] == [result.output.texts for result in one_by_one.results]
    assert len(read_run(folder).results) == 10


def test_a_server_that_is_not_there_is_one_line_and_nothing_is_lost(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIX_LSP_REMOTE__URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RemoteError, match="refuses the connection"):
        answered(TinyBenchmark(), Asked(engine="remote"), out=tmp_path / "out")
    assert read_run(tmp_path / "out").results == []
