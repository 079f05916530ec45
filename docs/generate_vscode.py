"""VS Code's settings page: `contributes.configuration` in `editors/vscode/package.json`."""

from __future__ import annotations

import json
import re
from typing import Any

from option_facts import field_of

from aix_lsp.settings import Option, options

_RESTART_NOTE = " *A change needs a restart of the server.*"
_NOT_KNOWN_THERE = ("description", "format", "writeOnly")


def configuration() -> list[dict[str, Any]]:
    """One category per section of the settings, in their order; the element in front of them is written by hand."""
    sections: dict[str, dict[str, Any]] = {}
    for order, item in enumerate(options(), 1):
        section = item.name.partition(".")[0]
        if section not in sections:
            sections[section] = {"title": f"aix-lsp: {section}", "order": len(sections) + 1, "properties": {}}
        sections[section]["properties"][f"aix.{item.name}"] = {
            **{name: value for name, value in field_of(item).items() if name not in _NOT_KNOWN_THERE},
            "markdownDescription": _with_links(item.doc) + (_RESTART_NOTE if item.restart else ""),
            **_tags(item),
            "order": order,
        }
    return list(sections.values())


def with_configuration(package: str) -> str:
    """The text of a package.json with the generated categories behind the first one. All else stays as it is; of the
    form, two spaces of indentation are kept."""
    data = json.loads(package)
    contributes = data.setdefault("contributes", {})
    by_hand = contributes.get("configuration", [])
    by_hand = by_hand if isinstance(by_hand, list) else [by_hand]
    contributes["configuration"] = [*by_hand[:1], *configuration()]
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _with_links(doc: str) -> str:
    """Names of other options become links to them on the settings page."""
    names = {item.name for item in options()}
    return re.sub(r"`([a-z_.]+)`", lambda found: f"`#aix.{found[1]}#`" if found[1] in names else found[0], doc)


def _tags(item: Option) -> dict[str, list[str]]:
    return {"tags": ["usesOnlineServices"]} if item.name.startswith("remote.") else {}
