"""The environment of the programs that are started here: without tokens and passwords, which none of them needs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

_PRIVATE: Final = re.compile(
    r"token(?!iz)|secret|passw|passphrase|credential|(?:api|access|private|signing|encryption|master|account)_?key"
    r"|authorization|_auth$|(?:^|_)(?:ssh)?pass$|_pwd$|(?:^|_)pat$|_dsn$|^database_url$|_webhook(?:_url)?$|^aix_lsp_remote__",
    re.IGNORECASE,
)
"""`PWD` and `SSH_AUTH_SOCK` are none; addresses of databases and of chat rooms hold their passwords."""


def without_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables but those whose names say that they hold a secret, what AIX_LSP_REMOTE__TOKEN_ENV names, and the
    settings of the server elsewhere. A child process shows its environment to whoever may look at it, hands it to its
    own children, and writes it into crash reports."""
    named = environment.get("AIX_LSP_REMOTE__TOKEN_ENV", "").strip()
    return {name: value for name, value in environment.items() if name != named and not _PRIVATE.search(name)}
