"""Every option once: its default, its meaning, where it may be set from, and whether it needs a restart.

The JSON Schema, the editors' settings pages and README's table are generated from these classes
(`aix-lsp config --schema`, `aix-lsp config --markdown`). Reading the sources and laying one over the other
is `configuration.py`.

Scopes: `machine` options decide what is loaded and where code could go; they are never read from a file
inside a workspace nor from a client's per-folder settings. `window` options hold for the server,
`resource` options may differ by workspace folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from aix_lsp.settings_completion import CompletionSettings as CompletionSettings
from aix_lsp.settings_model import ModelSettings as ModelSettings
from aix_lsp.settings_option import Scope, Section, option
from aix_lsp.settings_remote import RemoteSettings


class PromptSettings(Section):
    """How the text around the cursor and the snippets become the model's prompt."""

    format: Literal["auto", "psm", "spm", "l2r"] = option(
        "auto",
        "Order of the prompt: prefix-suffix-middle, suffix-prefix-middle or left to right. `auto` takes the model's "
        "own, which is psm unless the catalog says otherwise.",
        scope="resource",
    )
    snippet_layout: Literal["documents", "comments"] = option(
        "documents",
        "Snippets as documents of their own before the file (as the model saw them in training), or as a commented "
        "block at its top (as CrossCodeEval does).",
        scope="resource",
    )
    max_tokens: int = option(
        4096,
        "Most tokens of a prompt. The model's own limit less the completion's tokens holds where it is lower, and so "
        "does the length at which it answers best.",
        scope="resource",
        ge=64,
        le=65_536,
    )
    snippet_share: float = option(0.35, "Largest share of the prompt for snippets.", scope="resource", ge=0, le=0.8)
    token_healing: bool = option(
        True,
        "Let the model choose the tokens of an unfinished word anew, instead of forcing it to go on from where the "
        "cursor cuts the word in two.",
        scope="resource",
    )
    suffix_share: float = option(
        0.25,
        "Share of what snippets leave over that the text after the cursor may take; more when the text before the "
        "cursor is short, less for a model that answers best with less.",
        scope="resource",
        ge=0,
        le=0.8,
    )


class RetrievalSettings(Section):
    """Which lines of other files are put before the model."""

    enabled: bool = option(True, "Quote similar lines of other files in the prompt.", scope="resource")
    snippets: int = option(3, "How many snippets are quoted.", scope="resource", ge=0, le=20)
    chunk_lines: int = option(10, "Non-blank lines in one snippet.", scope="resource", restart=True, ge=2, le=100)
    query_lines: int = option(
        10, "Non-blank lines before the cursor that make the query.", scope="resource", ge=1, le=100
    )
    suffix_lines: int = option(
        5, "Non-blank lines after the cursor that join the query.", scope="resource", ge=0, le=100
    )
    definitions: bool = option(
        True,
        "Besides the similar lines, quote the first lines of up to two definitions of what is imported or used near "
        "the cursor.",
        scope="resource",
    )
    recent: bool = option(
        True,
        "Files that you opened or edited lately count a little more than others that fit as well.",
        scope="resource",
    )
    stable: bool = option(
        True,
        "While you type on, keep the snippets of the last request as long as others fit only a little better: other "
        "snippets mean that the model has to read its whole prompt anew.",
        scope="resource",
    )
    scheme: Literal["aix", "crosscodeeval"] = option(
        "aix",
        "How similar lines are searched for. `crosscodeeval` does as that benchmark does: the last lines as they are, "
        "and of what is found the lines behind it; no suffix, no definitions.",
        scope="resource",
    )


class WorkspaceSettings(Section):
    """Which files are read for retrieval."""

    ignore: tuple[str, ...] = option(
        (),
        "More patterns in the form of a .gitignore line; matching files are never read. A file `.aixignore` at the "
        "root does the same.",
        scope="resource",
        restart=True,
    )
    max_file_kb: int = option(
        512, "Files over this size, in KiB, are left out.", scope="resource", restart=True, ge=1, le=65_536
    )
    max_files: int = option(
        20_000,
        "Most files indexed in one folder; the most recently changed come first.",
        scope="resource",
        restart=True,
        ge=0,
        le=1_000_000,
    )
    cache_index: bool = option(
        True,
        "Keep the index of each folder in the user's cache folder, so that the next start reads only what changed. It "
        "holds hashed terms, paths, sizes, times and line ranges, no text of yours.",
        restart=True,
    )
    watch: Literal["auto", "poll", "off"] = option(
        "auto",
        "Notice changes on disk through the system's events, by looking every few seconds, or only through the "
        "editor. `auto` falls back to looking when the system's limit is reached.",
        scope="window",
        restart=True,
    )


class StatisticsSettings(Section):
    """The local count of what was offered and accepted."""

    enabled: bool = option(
        True,
        "Keep counts (never text) of offered and accepted completions in a file that only you can read; nothing "
        "leaves the machine.",
    )


class InspectSettings(Section):
    """What the server remembers of the latest requests, so that you can see why. In memory only."""

    requests: int = option(
        50,
        "How many of the latest requests are remembered with their snippets, prompts and timings; 0 remembers none.",
        ge=0,
        le=1000,
    )
    socket: bool = option(
        True,
        "Let `aix-lsp inspect` of the same user ask this server, through a socket that only the user can reach.",
        scope="machine",
        restart=True,
    )


class LogSettings(Section):
    """What the server writes to its standard error, which editors show, and to a log file. Never source text."""

    level: Literal["error", "warning", "info", "debug"] = option(
        "warning",
        "How much of the log the editor gets; never source text. `debug` follows each request by its id, in the log "
        "file too.",
    )
    file: str = option(
        "auto",
        "The log file, JSON lines from `info` on: `auto` is `aix-lsp.jsonl` in the system's place for logs (`aix-lsp "
        "doctor` names it), which only you can read; `none`, or a path. All servers share it. At 1 MB it is renamed to "
        "`….1`, and the one before that is removed.",
        scope="machine",
        restart=True,
    )

    @field_validator("file")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        try:
            usable = "\0" not in str(Path(value).expanduser())
        except RuntimeError:  # ~somebody, who is not known here
            usable = False
        if not usable:
            raise ValueError("this is no path on this machine")
        return value


class Settings(BaseModel):
    """All options. Names are `section.option`; editors prefix them with `aix.`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: ModelSettings = Field(default_factory=ModelSettings, description=ModelSettings.__doc__)
    remote: RemoteSettings = Field(default_factory=RemoteSettings, description=RemoteSettings.__doc__)
    completion: CompletionSettings = Field(default_factory=CompletionSettings, description=CompletionSettings.__doc__)
    prompt: PromptSettings = Field(default_factory=PromptSettings, description=PromptSettings.__doc__)
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings, description=RetrievalSettings.__doc__)
    workspace: WorkspaceSettings = Field(default_factory=WorkspaceSettings, description=WorkspaceSettings.__doc__)
    statistics: StatisticsSettings = Field(default_factory=StatisticsSettings, description=StatisticsSettings.__doc__)
    inspect: InspectSettings = Field(default_factory=InspectSettings, description=InspectSettings.__doc__)
    log: LogSettings = Field(default_factory=LogSettings, description=LogSettings.__doc__)


class Option(BaseModel):
    """One option as the generated documents show it."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: Annotated[str, Field(description="section.option")]
    default: Any
    doc: str
    scope: Scope
    restart: bool
    secret: bool
    annotation: Any


def options() -> list[Option]:
    """All options in the order of their definition."""
    found = []
    for section, outer in Settings.model_fields.items():
        group = outer.annotation
        assert isinstance(group, type)
        assert issubclass(group, Section)
        for name, field in group.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict)
            found.append(
                Option(
                    name=f"{section}.{name}",
                    default=field.default,
                    doc=field.description or "",
                    scope=extra["scope"],  # type: ignore[arg-type]
                    restart=bool(extra["restart"]),
                    secret=bool(extra["secret"]),
                    annotation=field.annotation,
                )
            )
    return found
