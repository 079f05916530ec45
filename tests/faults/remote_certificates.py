"""A model's server whose certificate cannot be trusted."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import trustme

from tests.faults.fault import Stage, fault
from tests.faults.remote_stage import remote_editor, told_once, until_offers
from tests.unit.remote_server import ModelServer


def context_of(authority: trustme.CA, name: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
    """What a server with such a certificate serves with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC) if expired else None
    authority.issue_cert(name, not_after=until).configure_cert(context)
    return context


async def _refused(stage: Stage, context: ssl.SSLContext, words: str, advice: str, **options: Any) -> str:
    """What an editor is told that must not send anything there."""
    async with ModelServer(tls=context) as server:
        editor = await remote_editor(stage, server, ready=False, **options)
        told = await told_once(editor, words)
        assert advice in told, told
        await editor.works(offers=False)
        assert not server.seen, "something was sent to a server that is not trusted"
        assert len(editor.shown()) == 1, editor.shown()
        return told


@fault("nothing is sent to a server that is not trusted, and the line says what helps", group="remote", quick=False)
async def remote_is_self_signed(stage: Stage) -> str:
    """Refused by default; with `remote.ca_file` it is trusted."""
    authority = trustme.CA()
    context = context_of(authority)
    told = await _refused(stage, context, "is not trusted", "remote.ca_file")
    async with ModelServer(tls=context) as server:
        await (await remote_editor(stage, server, ca_file=_file(authority, stage.folder))).works()
    return told


@fault("a certificate of another host is refused, and found when it is the right one", group="remote", quick=False)
async def remote_has_the_certificate_of_another_host(stage: Stage) -> str:
    """The authority is trusted, the name is another one; later the server has its own."""
    authority = trustme.CA()
    async with ModelServer(tls=context_of(authority, "models.example.org")) as server:
        editor = await remote_editor(stage, server, ready=False, ca_file=_file(authority, stage.folder))
        told = await told_once(editor, "is not trusted")
        assert "the name that it was issued for" in told, told
        assert not server.seen
        await server.stop()
        server.tls = context_of(authority)
        await server.listen()
        await until_offers(editor)
        return told


@fault("an expired certificate is refused, and the line does not say to trust it", group="remote", quick=False)
async def remote_has_an_expired_certificate(stage: Stage) -> str:
    """The authority is trusted, the certificate is of the year 2000."""
    authority = trustme.CA()
    context = context_of(authority, expired=True)
    return await _refused(stage, context, "is not trusted", "renew", ca_file=_file(authority, stage.folder))


def _file(authority: trustme.CA, folder: Path) -> str:
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
