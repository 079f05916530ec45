"""The part of `doctor` that tells where the model runs: in the server's process, or in one that all windows share."""

from __future__ import annotations

from aix_lsp.cli.doctor import Finding
from aix_lsp.engine.base import EngineError
from aix_lsp.engine.host_client import in_words, look
from aix_lsp.engine.host_place import place_of
from aix_lsp.engine.sharing import shares
from aix_lsp.settings import ModelSettings
from aix_lsp.text import continued


def examine_sharing(settings: ModelSettings) -> Finding:
    """Where the model runs, and who shares it now."""
    idle = "never unloaded"
    if settings.idle_minutes:
        idle = f"unloaded after {settings.idle_minutes:g} idle minutes"
    if not shares(settings):
        why = "model.share is off" if settings.share == "off" else "the embedded model is small"
        kept = idle if settings.share == "off" else "always kept"
        return Finding("sharing", "ok", f"the model runs in each window's own server ({why}); {kept}")
    place = place_of(settings)
    try:
        place.prepare()
        state = look(place)
    except EngineError as error:
        return Finding("sharing", "warn", str(error), "without it each window loads a model of its own")
    if state is None:
        return Finding("sharing", "ok", f"one process for all windows (model.share); none runs now; {idle}")
    return Finding("sharing", "ok", continued(f"{in_words(state)}: {state.get('message')}", idle))
