"""aix-lsp: inline code completions over the Language Server Protocol, from a model on your own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aix_lsp.completion.inference import infer

__version__ = "0.1.0"

__all__ = ["__version__", "infer"]


def __getattr__(name: str) -> object:
    # `infer` is loaded on first use, so that importing the package stays free of the model's libraries.
    if name == "infer":
        from aix_lsp.completion.inference import infer

        return infer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
