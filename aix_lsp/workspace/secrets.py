"""What must never be indexed or quoted: files that hold secrets by their name, and text that holds one.

Both err on the side of leaving a file out: a missed snippet costs little. Program source is the exception by name
(`secrets.py` is source), because it is judged by its text as well.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from fnmatch import translate
from typing import Final

_ALWAYS: Final = (
    *(".env", ".env.*", "*.env", ".envrc"),
    *("*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.pkcs12", "*.ppk", "*.jks", "*.keystore", "*.keytab", "*.kdbx"),
    *("*.gpg", "*.asc", "*.age", "*.ovpn", "*.keychain", "*.keychain-db", "*.mobileprovision", "*.agekey"),
    *("*.tfvars", "*.tfvars.json", "*.tfstate", "*.tfstate.*", ".terraformrc", "terraform.rc"),
    *(".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf"),
    *(".dockercfg", ".dockerconfigjson", ".s3cfg", ".boto", ".vault-token", ".vault_pass*", ".htpasswd", "htpasswd"),
    *(".*_history", ".gem-credentials", "wp-config.php", "wp-config-*.php", "local.settings.json", "kubeconfig"),
)
"""Names that are secret whatever their extension."""

_UNLESS_SOURCE: Final = (
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *("credentials", "credentials.*", "credential.*", "*-credentials.*", "*_credentials.*", "*.credentials"),
    *("secret", "secret.*", "secrets", "secrets.*", "*-secret.*", "*-secrets.*", "*_secret.*", "*_secrets.*"),
    *("*.secret", "*.secrets", "password.*", "passwords", "passwords.*", "*.password", "vault.yml", "vault.yaml"),
    *("service-account*", "service_account*", "serviceaccount*", "*-service-account*.json", "client_secret*"),
    *("firebase-adminsdk*", "*-firebase-adminsdk*", "google-services.json", "googleservice-info.plist"),
    *("token", "token.json", "tokens.json", ".token", "*.token", "auth.json", "oauth*.json"),
)
"""Names that are secret unless the extension is one of program source or prose."""

_FOLDERS: Final = frozenset({".aws", ".azure", ".gnupg", ".ssh", ".gcloud", ".password-store", ".secrets", ".vault"})
"""Everything below these folders is secret, public keys apart."""

_FOLDERS_UNLESS_SOURCE: Final = frozenset({"secrets", "credentials"})

_PATHS: Final = (
    *("/.kube/config", "/.docker/config.json", "/.m2/settings.xml", "/.m2/settings-security.xml", "/.gem/credentials"),
    *("/.config/gh/hosts.yml", "/.config/hub", "/.config/rclone/rclone.conf", "/.terraform.d/credentials.tfrc.json"),
)
"""Ends of paths that are secret."""

_FOLDER_PATHS: Final = ("/.config/gcloud/",)

_SOURCE: Final = frozenset(
    {
        *("py", "pyi", "pyx", "ipynb", "js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte"),
        *("java", "kt", "kts", "scala", "groovy", "clj", "go", "rs", "c", "h", "cc", "cpp", "cxx", "hh"),
        *("hpp", "hxx", "m", "mm", "cs", "fs", "vb", "swift", "dart", "rb", "php", "pl", "pm", "lua"),
        *("r", "jl", "ex", "exs", "erl", "hrl", "hs", "ml", "mli", "elm", "zig", "nim", "v", "sh"),
        *("bash", "zsh", "fish", "ps1", "bat", "sql", "proto", "graphql", "html", "css", "scss", "less", "md", "rst"),
        *("adoc", "tex"),
    }
)
"""Extensions of program source and prose."""

_ALWAYS_PATTERN: Final = re.compile("|".join(map(translate, _ALWAYS)))
_UNLESS_SOURCE_PATTERN: Final = re.compile("|".join(map(translate, _UNLESS_SOURCE)))


def is_secret_path(path: str) -> bool:
    """True if a file of this name, in these folders, is expected to hold secrets. Looks at the text of the path only.

    Either slash separates; upper and lower case are one.
    """
    path = "/" + path.lower().replace("\\", "/")
    *folders, name = path.split("/")
    if name.endswith(".pub"):
        return False
    if _ALWAYS_PATTERN.match(name) or not _FOLDERS.isdisjoint(folders):
        return True
    if path.endswith(_PATHS) or any(folder in path for folder in _FOLDER_PATHS):
        return True
    _, dot, extension = name.rpartition(".")
    if dot and extension in _SOURCE:
        return False
    return bool(_UNLESS_SOURCE_PATTERN.match(name)) or not _FOLDERS_UNLESS_SOURCE.isdisjoint(folders)


_SHAPES: Final = tuple(
    (needle, re.compile(pattern))
    for needle, pattern in (
        ("PRIVATE KEY", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("PuTTY-User-Key-File", r"PuTTY-User-Key-File-\d"),
        ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
        ("AKIA", r"\bAKIA[0-9A-Z]{16}\b"),
        ("ASIA", r"\bASIA[0-9A-Z]{16}\b"),
        *((f"gh{kind}_", rf"\bgh{kind}_[A-Za-z0-9]{{36}}") for kind in "oprsu"),
        ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
        ("glpat-", r"\bglpat-[\w-]{20,}"),
        ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("hooks.slack.com", r"hooks\.slack\.com/services/T\w+/B\w+/\w{20,}"),
        ("k_live_", r"\b[rs]k_live_[A-Za-z0-9]{16,}"),
        ("k_test_", r"\b[rs]k_test_[A-Za-z0-9]{16,}"),
        ("whsec_", r"\bwhsec_[A-Za-z0-9+/]{24,}"),
        ("AIza", r"\bAIza[\w-]{35}"),
        ("GOCSPX-", r"\bGOCSPX-[\w-]{20,}"),
        ("ya29.", r"\bya29\.[\w-]{30,}"),
        ("sk-", r"\bsk-(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{32,}"),
        ("hf_", r"\bhf_[A-Za-z0-9]{30,}"),
        ("npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("pypi-", r"\bpypi-AgE[\w-]{40,}"),
        ("SG.", r"\bSG\.[\w-]{16,}\.[\w-]{32,}"),
        ("dop_v1_", r"\bdop_v1_[a-f0-9]{64}"),
        *((f"shp{kind}_", rf"\bshp{kind}_[a-fA-F0-9]{{32}}") for kind in ("at", "ca", "pa", "ss")),
        ("dckr_pat_", r"\bdckr_pat_[\w-]{20,}"),
        ("AccountKey=", r"AccountKey=[A-Za-z0-9+/]{80,}"),
        (":AA", r"\b\d{8,10}:AA[\w-]{33}"),
        ("eyJ", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    )
)
"""Shapes of keys and tokens, each with plain text that it must contain: searching for that first is a lot faster."""

_QUOTED: Final = re.compile(r"[\"'`]([A-Za-z0-9+/_=.~!@#$%^&*-]{20,200})(?=[\"'`])")
_SECRET_NAME: Final = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token(?!i)|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key|credential)"
    r"[\w-]*[\"']?\]?\s*(?::\s*[\w.\[\]]+\s*)?(?:=>|:=|[:=])\s*$",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(r"your|example|change|replace|placeholder|dummy|sample|xxxx|here", re.IGNORECASE)
_URL_PASSWORD: Final = re.compile(r"://[^\s:/@\"']{1,64}:([^\s:/@\"']{12,128})@")
_NAME_WINDOW: Final = 80
_MIN_DIGITS: Final = 2
_MIN_BITS_PER_CHARACTER: Final = 3.5


def contains_secret(text: str) -> bool:
    """True if `text` has a private key, a token of a well-known shape, or a long random value given to a password.

    The last is kept narrow: a quoted value of 20 characters or more, with letters and digits that look random, right
    after a name such as `api_key`; or a password of that kind within a URL.
    """
    return secret_span(text) is not None


def secret_span(text: str) -> tuple[int, int] | None:
    """Where a secret stands in `text`, as start and end, with the name that tells what it is; None without one."""
    for needle, pattern in _SHAPES:
        if needle in text and (found := pattern.search(text)):
            return found.span()
    if "://" in text:
        for match in _URL_PASSWORD.finditer(text):
            if _looks_random(match[1]):
                return match.span()
    for match in _QUOTED.finditer(text):
        if _looks_random(match[1]):
            start = max(0, match.start() - _NAME_WINDOW)
            name = _SECRET_NAME.search(text[start : match.start()])
            if name:
                return start + name.start(), match.end() + 1
    return None


def _looks_random(value: str) -> bool:
    """True for letters mixed with digits whose distribution is that of random characters (Shannon entropy)."""
    digits = sum(each.isdigit() for each in value)
    if digits < _MIN_DIGITS or not any(each.isalpha() for each in value) or _PLACEHOLDER.search(value):
        return False
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
    return bits >= min(_MIN_BITS_PER_CHARACTER, 0.85 * math.log2(len(value)))
