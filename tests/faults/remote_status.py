"""A model's server that answers, but with an error or with directions to somewhere else."""

from __future__ import annotations

from tests.faults.fault import Stage, fault
from tests.faults.remote_stage import SERVER_TEXT, fails_and_comes_back, served
from tests.unit.remote_server import Fault, ModelServer

_REFUSALS = [
    (401, [], "refuses the token (401)"),
    (403, [], "refuses the token (403)"),
    (404, [], "there is no /v1/completions"),
    (413, [], "takes no prompt of that length (413)"),
    (418, [], "refused the request (418)"),
    (429, ["Retry-After: 1"], "has too many requests (429); it asks to wait 1 s"),
]
_FAILURES = [
    (500, [], "failed (500)"),
    (502, [], "is not ready (502)"),
    (503, ["Retry-After: 1"], "is not ready (503)"),
    (504, [], "is not ready (504)"),
    (599, [], "failed (599)"),
]


@fault("each status is told in one line, and offers come back", group="remote", quick=False)
async def remote_refuses_or_fails_with_a_status(stage: Stage) -> str:
    """Every status that a server or something in front of it may send, one after the other."""
    async with served(stage) as (server, editor):
        for status, headers, words in _REFUSALS + _FAILURES:
            server.fault = Fault(status, f"{SERVER_TEXT} def total(amounts)", headers=headers)
            await fails_and_comes_back(server, editor, words)
        return f"{len(_REFUSALS + _FAILURES)} statuses"


@fault("a wait that no server can mean is not repeated, and requests go on", group="remote", quick=False)
async def remote_asks_to_wait_for_ever(stage: Stage) -> str:
    """429 with a Retry-After of centuries."""
    async with served(stage) as (server, editor):
        server.fault = Fault(429, SERVER_TEXT, headers=[f"Retry-After: {'9' * 4000}"])
        return await fails_and_comes_back(server, editor, "has too many requests (429)")


@fault("nothing is sent to the address that a redirect names", group="remote", quick=False)
async def remote_redirects_elsewhere(stage: Stage) -> str:
    """Every kind of redirect, to another server that would answer."""
    async with ModelServer() as elsewhere, served(stage) as (server, editor):
        for status in (301, 302, 303, 307, 308):
            server.fault = Fault(status, SERVER_TEXT, headers=[f"Location: {elsewhere.url}/v1/completions"])
            told = await fails_and_comes_back(server, editor, f"sends us elsewhere ({status})")
        assert not elsewhere.connections, "a redirect was followed"
        return told
