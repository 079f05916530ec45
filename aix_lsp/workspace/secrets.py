"""What must never be indexed or quoted: files that hold secrets by their name, and text that holds one.

Both err on the side of leaving a file out: a missed snippet costs little. Program source is the exception by name
(`secrets.py` is source), because it is judged by its text as well.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Final

from aix_lsp.workspace.secret_shapes import shape_span
from aix_lsp.workspace.secret_values import value_span

_ALWAYS: Final = (
    *(".env", ".env.*", "*.env", ".envrc", ".envrc.*", ".secrets.*"),
    *("*.pem", "*.key", "*.p8", "*.p12", "*.pfx", "*.pkcs12", "*.ppk", "*.jks", "*.keystore", "*.keytab", "*.kdbx"),
    *("*.gpg", "*.asc", "*.age", "*.ovpn", "*.keychain", "*.keychain-db", "*.mobileprovision", "*.agekey"),
    *("*.tfvars", "*.tfvars.json", "*.tfstate", "*.tfstate.*", ".terraformrc", "terraform.rc"),
    *(".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf"),
    *(".dockercfg", ".dockerconfigjson", ".s3cfg", ".boto", ".vault-token", ".vault_pass*", ".htpasswd", "htpasswd"),
    *(".*_history", ".gem-credentials", "wp-config.php", "wp-config-*.php", "local.settings.json"),
    *(
        "kubeconfig",
        "kubeconfig.*",
        "kubeconfig-*",
        "*.publishsettings",
        "connectionstrings.config",
        "keystore.properties",
    ),
    *("sftp.json", "sftp-config.json", "token.txt", "tokens.txt"),
)
"""Names that are secret whatever their extension."""

_UNLESS_SOURCE: Final = (
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *("credentials", "credentials.*", "credential.*", "*-credentials.*", "*_credentials.*", "*.credentials"),
    *("credentials-*", "credentials_*", "*-credentials", "*_credentials"),
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

_COPY: Final = re.compile(r"(?:~|\.(?:bak|backup|copy|old|orig|save|tmp))+\Z")
"""Endings of copies that editors and people leave beside a file."""

_ALWAYS_PATTERN: Final = re.compile("|".join(map(translate, _ALWAYS)))
_UNLESS_SOURCE_PATTERN: Final = re.compile("|".join(map(translate, _UNLESS_SOURCE)))


def is_secret_path(path: str) -> bool:
    """True if a file of this name, in these folders, is expected to hold secrets. Looks at the text of the path only.

    Either slash separates; upper and lower case are one.
    """
    path = "/" + path.lower().replace("\\", "/")
    *folders, name = path.split("/")
    name = _COPY.sub("", name.strip("#"))
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


def contains_secret(text: str) -> bool:
    """True if `text` has a private key, a token of a well-known shape, or a long random value given to a password.

    The last is kept narrow: a value of letters and digits that look random, right after a name such as `api_key`; or a
    password of that kind within a URL.
    """
    return secret_span(text) is not None


def secret_span(text: str) -> tuple[int, int] | None:
    """Where a secret stands in `text`, as start and end, with the name that tells what it is; None without one."""
    return shape_span(text) or value_span(text)
