"""The options of a model that runs on another machine. All of scope `machine`: where code goes is never up to a
workspace."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import SecretStr, field_validator

from aix_lsp.settings_option import Section, option

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONG: Final = 20
"""Characters. A shorter token nobody gives out; a longer name with both cases and digits nobody chooses."""


class RemoteSettings(Section):
    """A model on another machine: any server with OpenAI's `/v1/completions`, such as vLLM or llama.cpp's."""

    url: str = option(
        "",
        "Address of the server, such as `https://models.example.org` (with or without `/v1`). Prompts, that is source "
        "code, are sent there. Empty: the model runs on this machine.",
        scope="machine",
        restart=True,
    )
    model: str = option(
        "", "The model's name on the server. Empty: the first that the server lists.", scope="machine", restart=True
    )
    tokenizer: str = option(
        "",
        "Where the served model's tokenizer is on this machine: a folder with `tokenizer.model` or `tokenizer.json`, a "
        "name from the catalog, or a Hugging Face name in the local cache. Empty: looked up by the model's name.",
        scope="machine",
        restart=True,
    )
    format: Literal["auto", "psm", "spm", "l2r"] = option(
        "auto",
        "Order of the prompt that the served model was trained for. `auto`: as the catalog or the tokenizer's folder "
        "says, else psm.",
        scope="machine",
        restart=True,
    )
    prompt: Literal["auto", "tokens", "text"] = option(
        "auto",
        "How prompts are sent. `auto`: as token ids where the server takes them, else as text, and not at all when the "
        "check at start finds that the server reads them otherwise. The other two warn instead of refusing.",
        scope="machine",
        restart=True,
    )
    context: int = option(
        0,
        "Tokens that prompt and completion may have together; 0 asks the server.",
        scope="machine",
        restart=True,
        ge=0,
        le=1_000_000,
    )
    token: SecretStr = option(
        "",
        "Token for the server (`Authorization: Bearer`). The environment variable of `token_env` comes first.",
        scope="machine",
        restart=True,
        secret=True,
    )
    token_env: str = option(
        "AIX_REMOTE_TOKEN",
        "Environment variable that holds the token for the server.",
        scope="machine",
        restart=True,
        min_length=1,
    )

    @field_validator("token_env")
    @classmethod
    def _is_no_token(cls, value: str) -> str:
        """Messages name the variable: a token that was put here by mistake would stand in them, and in the log."""
        kinds = (str.islower, str.isupper, str.isdigit)
        by_chance = len(value) >= _LONG and all(any(map(kind, value)) for kind in kinds)
        if by_chance or not _VARIABLE.fullmatch(value):
            raise ValueError("this is no name of a variable; a token itself goes into remote.token")
        return value

    ca_file: str = option(
        "",
        "PEM file of the only certificate authorities that are trusted. Empty: the system's.",
        scope="machine",
        restart=True,
    )
    proxy: str = option(
        "",
        "Address of an HTTP proxy. Empty: what the environment says (`HTTPS_PROXY`, `NO_PROXY`), and none for this "
        "machine. `none`: no proxy.",
        scope="machine",
        restart=True,
    )
    connect_timeout_s: float = option(
        3.0, "How long connecting may take, in seconds.", scope="machine", restart=True, gt=0, le=60
    )
    first_token_timeout_s: float = option(
        10.0,
        "How long the server may take to its first token, in seconds.",
        scope="machine",
        restart=True,
        gt=0,
        le=300,
    )
    timeout_s: float = option(
        30.0,
        "How long a whole answer may take, in seconds; `completion.time_limit_ms` holds where it is shorter.",
        scope="machine",
        restart=True,
        gt=0,
        le=600,
    )
    fallback: bool = option(
        False,
        "Let the embedded model answer while the server cannot be reached. Off, because it is a far smaller model.",
        scope="machine",
        restart=True,
    )
