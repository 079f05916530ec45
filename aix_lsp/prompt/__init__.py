"""Prompts: the order of segments per model family, the token budget, and how snippets are quoted."""

from __future__ import annotations

from aix_lsp.prompt.build import build_prompt
from aix_lsp.prompt.fim import FimFamily, assemble, family_of

__all__ = ["FimFamily", "assemble", "build_prompt", "family_of"]
