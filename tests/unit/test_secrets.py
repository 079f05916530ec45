"""Files and texts that must be neither indexed nor quoted. Examples are joined from parts: none is a real secret."""

from __future__ import annotations

import random
import string
import time

import pytest

from aix_lsp.workspace.secrets import contains_secret, is_secret_path

_random = random.Random(7)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Random characters with digits and both cases among them."""
    return "a1B2" + "".join(_random.choice(alphabet) for _ in range(length - 4))


UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    "path",
    [
        *(
            ".env",
            "a/.env",
            ".env.local",
            ".env.production",
            ".env.example",
            ".env.sample",
            ".env.template",
            "prod.env",
        ),
        *(
            "server.pem",
            "tls/private.key",
            "AuthKey_1.p8",
            "a.p12",
            "a.pfx",
            "a.jks",
            "a.keystore",
            "a.kdbx",
            "vpn.ovpn",
        ),
        *("id_rsa", "id_rsa.bak", "deploy/id_ed25519", "id_ecdsa", "keys/id_rsa_github"),
        *(".netrc", "_netrc", ".npmrc", ".pypirc", ".git-credentials", ".pgpass", ".htpasswd", ".my.cnf", ".s3cfg"),
        *("credentials", "credentials.json", "credentials.yml", "config/credentials.toml", "db-credentials.xml"),
        *("secrets.yml", "secrets.json", "secrets.toml", "secret.yaml", "app-secrets.yaml", "k8s/db_secret.yaml"),
        *(".aws/config", "home/.aws/credentials", ".ssh/config", ".ssh/known_hosts", ".gnupg/pubring.kbx"),
        *(".env~", "#.env#", ".env.old", ".pgpass.bak", "prod.tfvars.orig", "secrets.yml.save", "id_rsa.pem~"),
        *(
            ".secrets.toml",
            ".envrc.local",
            "credentials-prod.json",
            "prod-credentials",
            "kubeconfig-prod",
            "tokens.txt",
        ),
        *(
            "kubeconfig.yaml",
            "x.publishsettings",
            "ConnectionStrings.config",
            "keystore.properties",
            ".vscode/sftp.json",
        ),
        *(".kube/config", "x/.docker/config.json", ".m2/settings.xml", ".config/gcloud/legacy/x/adc.json"),
        *("prod.tfvars", "x.auto.tfvars.json", "terraform.tfstate", "terraform.tfstate.backup"),
        *("service-account.json", "service-account-prod.json", "my-service-account.json", "client_secret_1.json"),
        *("wp-config.php", ".psql_history", ".bash_history", "kubeconfig", "passwords.txt", "vault.yml"),
        *("secrets/db.yaml", "deploy/secrets/token", "credentials/prod.xml"),
        *(".ENV", "SERVER.PEM", "Credentials.JSON", "a\\.aws\\config", "C:\\x\\.Env", "/home/me/.ssh/id_rsa"),
    ],
)
def test_path_is_secret(path: str) -> None:
    assert is_secret_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "a.py", "src/main.rs", "environment.py", "env.py", "src/env.ts", "dotenv.js", "env/bin/activate.fish"),
        *("secrets.py", "src/secrets.go", "credentials.ts", "credentials.rs", "secret.java", "token.go", "tokens.py"),
        *("secrets/__init__.py", "secrets/manager.ts", "credentials/store.java", "secrets.md", "password.vue"),
        *("id_rsa.pub", ".ssh/id_ed25519.pub", "id_rsa_parser.c", "service_account.py", "client_secrets.py"),
        *(
            "key.py",
            "keys.ts",
            "keyboard.c",
            "monkey.js",
            "config.json",
            "kube/config",
            "docker/config.json",
            "aws/config.ts",
        ),
        *(
            "credentials-store.py",
            "kubeconfig_parser.go",
            "tokens.css",
            "keystore.java",
            "main.py~",
            "main.c.orig",
            "#a.py#",
        ),
        *("settings.xml", "package.json", "tsconfig.json", "history.py", "config.php", "wp-content/index.php"),
    ],
)
def test_path_is_not_secret(path: str) -> None:
    assert not is_secret_path(path)


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE",
        "-----BEGIN " + "PRIVATE KEY-----",
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----",
        "AKI" + "A" + "J" * 8 + "1234ABCD",
        "gh" + "p_" + drawn(36),
        "gh" + "s_" + drawn(36),
        "github" + "_pat_" + drawn(40),
        "glp" + "at-" + drawn(20),
        "xox" + "b-" + drawn(12, string.digits) + "-" + drawn(20),
        "https://hooks.slack" + ".com/services/T" + drawn(8, UPPER) + "/B" + drawn(8, UPPER) + "/" + drawn(24),
        "sk" + "_live_" + drawn(24),
        "AI" + "za" + drawn(35),
        "GOC" + "SPX-" + drawn(28),
        "ya" + "29." + drawn(60),
        "s" + "k-" + drawn(48),
        "s" + "k-proj-" + drawn(48),
        "s" + "k-ant-api03-" + drawn(60),
        "h" + "f_" + drawn(34),
        "npm" + "_" + drawn(36),
        "pypi" + "-AgEIcHlwaS5vcmc" + drawn(60),
        "S" + "G." + drawn(22) + "." + drawn(43),
        "ey" + "J" + drawn(20) + ".ey" + "J" + drawn(40) + "." + drawn(43),
        "AccountKey" + "=" + drawn(86) + "==",
        "123456789" + ":AA" + drawn(33),
    ],
)
@pytest.mark.parametrize("around", ["{}", 'x = "{}"\n', "# {} in a comment\nprint()\n", "key: {}\n"])
def test_text_with_a_key_or_token_of_known_shape_is_secret(secret: str, around: str) -> None:
    assert contains_secret(around.format(secret))


@pytest.mark.parametrize(
    "line",
    [
        'password = "{}"',
        "DB_PASSWORD='{}'",
        '    "api_key": "{}",',
        'apiKey: "{}",',
        'const authToken: string = "{}";',
        'secret := "{}"',
        "'client_secret' => '{}',",
        'config["access_key"] = "{}"',
        "url = postgres://admin:{}@db.example.org/x",
    ],
)
def test_a_long_random_value_given_to_a_password_is_secret(line: str) -> None:
    assert contains_secret("import os\n" + line.format("aZ3k" + "9Qx7Lm2" + "Vb8Rt5Wy1Nc4") + "\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        'password = ""',
        'password = "change-me-please-now"',
        'password = os.environ["DATABASE_PASSWORD_FOR_TESTS_1"]',
        'token = "your-token-goes-here-123"',
        'tokenizer = "Qwen2ForQuestionAnswering77Model"',
        'checksum = "aZ3k' + '9Qx7Lm2Vb8Rt5Wy1Nc4"',
        '__all__ = ["read_password", "Utf8ToUtf16Converter12"]',
        "url = postgres://postgres:postgres@localhost/x",
        "class: sk-folding-cube-animation-with-a-long-name",
        "-----BEGIN CERTIFICATE-----\nMIID",
        "-----BEGIN PUBLIC KEY-----",
        "if line.startswith(BEGIN_PRIVATE_KEY): ...",
        "AKIA is how key ids begin; ghp_ is how tokens do",
        "right = through(light)",
    ],
)
def test_ordinary_text_is_not_secret(text: str) -> None:
    assert not contains_secret(text)


@pytest.mark.parametrize(
    "text",
    [
        "s" + "k-" * 100_000,
        "a-" * 100_000 + ":APA" + "91b",
        "ey" + "J-" * 66_000 + "ey" + "J.",
        ("api_key" + " " * 40) * 4_000,
        "token_" * 30_000,
        "{password,'" * 18_000,
    ],
    ids=["dashes", "colon", "base64", "spaces", "names", "quotes"],
)
def test_a_line_that_nearly_is_a_secret_over_and_over_takes_no_time_that_grows_with_its_square(text: str) -> None:
    began = time.thread_time()
    assert not contains_secret(text)
    assert time.thread_time() - began < 3
