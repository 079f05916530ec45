"""The part of `doctor` that says whether the libraries that this program needs are there and can be imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re

from aix_lsp.cli.doctor import Finding, in_words

_LONGEST = 100
_WITH_A_CHECK_OF_ITS_OWN = "torch"
_ON_TORCH = frozenset(("transformers",))
"""Imports PyTorch: only whether it is there, for a PyTorch that is broken is told once."""


def required() -> list[str]:
    """The names of the packages that this one is declared to need, without those of extras; empty where it was not
    installed by its metadata."""
    try:
        lines = importlib.metadata.requires("aix-lsp") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted({re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line})


def examine_libraries() -> Finding:
    """Whether each can be imported: an installation may have been broken off, or another may have replaced a part.
    Without PyTorch, which may be left out on purpose, what builds on it is not missed either."""
    alone = importlib.util.find_spec(_WITH_A_CHECK_OF_ITS_OWN) is None
    names = [name for name in required() if name != _WITH_A_CHECK_OF_ITS_OWN and not (alone and name in _ON_TORCH)]
    broken = []
    for name in names:
        module = name.replace("-", "_")
        try:
            if name not in _ON_TORCH:
                importlib.import_module(module)
            elif importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(f"No module named {module!r}")
        except Exception as error:  # noqa: BLE001  # a library that does not fit another fails with errors of any kind
            broken.append(f"{name} ({in_words(error, _LONGEST)})")
    if broken:
        remedy = "install aix-lsp again, in an environment of its own"
        return Finding("libraries", "fail", f"cannot be imported: {'; '.join(broken)}", remedy)
    return Finding("libraries", "ok", f"{len(names)} are there")
