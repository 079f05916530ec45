"""Secrets of many kinds to plant in a workspace. Each is put together from parts, from random characters of a fixed
seed: none is real, and no text of this repository has the shape of one."""

from __future__ import annotations

import base64
import random
import string
from dataclasses import dataclass

_random = random.Random(20)
_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Planted:
    """A secret: what it is, the text that must never be seen, and how it stands in a file."""

    kind: str
    value: str
    text: str


def drawn(length: int, alphabet: str = _LETTERS) -> str:
    """Random characters, digits and both cases among them where the alphabet has them."""
    sure = "".join(each for each in "7aK2bQ9" if each in alphabet)[: max(length - 4, 0)]
    return sure + "".join(_random.choice(alphabet) for _ in range(length - len(sure)))


def _plain(kind: str, value: str, form: str = "{}") -> Planted:
    return Planted(kind, value, form.format(value))


def _key(kind: str) -> Planted:
    body = drawn(64) + "\n" + drawn(64)
    return Planted(f"{kind}private key", body, f"-----BEGIN {kind.upper()}PRIVATE" + f" KEY-----\n{body}\n-----END")


def _in_base64() -> str:
    head = "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIE" + drawn(60)
    return base64.b64encode(head.encode()).decode()


def _jwt() -> str:
    return "ey" + "J" + drawn(20) + ".ey" + "J" + drawn(40) + "." + drawn(43)


def _upper(length: int) -> str:
    return drawn(length, string.ascii_uppercase + string.digits)


def _hex(length: int) -> str:
    return drawn(length, _HEX)


_DJANGO = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"
_PRINTED = _LETTERS + "!#$%&()*+,-./:;<=>?@[]^_{|}~"


def _digits(length: int) -> str:
    return "".join(_random.choice("123456789") for _ in range(length))


def _mix(length: int) -> str:
    """As base64 has it."""
    return drawn(length, _LETTERS + "+/")


IN_TEXT: tuple[Planted, ...] = (
    _plain("AWS key id", "AK" + "IA" + _upper(16), "aws_key_id = {}"),
    _plain("AWS secret key", _mix(40), "aws_secret_access_key = {}"),
    _plain("AWS temporary key", "AS" + "IA" + _upper(16), "key id {}"),
    _plain("AWS session token", _mix(120), "export AWS_SESSION_TOKEN={}"),
    _plain("Google API key", "AI" + "za" + drawn(35), "maps({!r})"),
    _plain("Google OAuth secret", "GOC" + "SPX-" + drawn(28)),
    _plain("Google access token", "ya" + "29." + drawn(60)),
    _key("rsa "),
    _key("openssh "),
    _key("ec "),
    _key(""),
    Planted("PGP private key", (_pgp := drawn(64)), "-----BEGIN PGP PRIVATE" + f" KEY BLOCK-----\n\n{_pgp}\n"),
    Planted("PuTTY key", (_putty := drawn(64)), "PuTTY-User-Key" + f"-File-3: ssh-rsa\nPrivate-Lines: 14\n{_putty}\n"),
    _plain("age key", "AGE-SECRET" + "-KEY-1" + _upper(58)),
    _plain("key in a kubeconfig", _in_base64(), "    client-key-data: {}"),
    _plain("private JWK", drawn(43), '{{"kty": "EC", "d": "{}", "crv": "P-256"}}'),
    _plain("Azure storage", "AccountKey" + "=" + _mix(86) + "==", "DefaultEndpointsProtocol=https;{};EndpointSuffix=x"),
    _plain("Azure service bus", "SharedAccess" + "Key=" + _mix(43) + "=", "Endpoint=sb://x;{}"),
    _plain("Azure client secret", drawn(3) + "8Q" + "~" + drawn(34)),
    _plain("GitHub token", "gh" + "p_" + drawn(36)),
    _plain("GitHub app token", "gh" + "s_" + drawn(36)),
    _plain("GitHub fine-grained token", "github" + "_pat_" + drawn(22) + "_" + drawn(59)),
    _plain("GitLab token", "glp" + "at-" + drawn(20)),
    _plain("GitLab runner token", "gl" + "rt-" + drawn(20)),
    _plain("Atlassian token", "ATA" + "TT3xFfGF0" + drawn(180)),
    _plain("Slack bot token", "xox" + "b-" + _digits(12) + "-" + _digits(12) + "-" + drawn(24)),
    _plain("Slack app token", "xa" + "pp-1-A" + _upper(10) + "-" + _digits(13) + "-" + _hex(64)),
    _plain("Slack webhook", "https://hooks.slack" + ".com/services/T" + _upper(8) + "/B" + _upper(8) + "/" + drawn(24)),
    _plain("Stripe key", "sk" + "_live_" + drawn(24)),
    _plain("Stripe webhook", "wh" + "sec_" + drawn(32)),
    _plain("Twilio API key", "S" + "K" + _hex(32)),
    _plain("Twilio auth token", _hex(32), "TWILIO_AUTH_TOKEN={}"),
    _plain("SendGrid", "S" + "G." + drawn(22) + "." + drawn(43)),
    _plain("Mailgun", "ke" + "y-" + _hex(32)),
    _plain("Mailchimp", _hex(32) + "-u" + "s12"),
    _plain("npm token", "npm" + "_" + drawn(36)),
    _plain("npm token of an .npmrc", drawn(36), "//registry.example.org/:_authToken={}"),
    _plain("PyPI token", "pypi" + "-AgEIcHlwaS5vcmc" + drawn(60)),
    _plain("RubyGems", "ruby" + "gems_" + _hex(48)),
    _plain("NuGet", "oy" + "2" + drawn(43, string.ascii_lowercase + string.digits)),
    _plain("Docker token", "dckr" + "_pat_" + drawn(27)),
    _plain("OpenAI", "s" + "k-proj-" + drawn(48)),
    _plain("Anthropic", "s" + "k-ant-api03-" + drawn(93)),
    _plain("Hugging Face", "h" + "f_" + drawn(34)),
    _plain("Groq", "gs" + "k_" + drawn(52)),
    _plain("JSON web token", _jwt()),
    _plain("basic auth URL", drawn(16), "https://deploy:{}@git.example.org/x.git"),
    _plain("database URL", drawn(14), "postgresql+psycopg://app:{}@db.internal:5432/app"),
    _plain("Redis URL", drawn(24), "redis://:{}@cache:6379/0"),
    _plain("basic header", base64.b64encode(b"deploy:" + drawn(18).encode()).decode(), "-H 'Authorization: Basic {}'"),
    _plain("bearer header", drawn(40), '"Authorization": "Bearer {}"'),
    _plain("netrc", drawn(16), "machine git.example.org\n login deploy\n password {}\n"),
    _plain("pgpass", drawn(16), "db.internal:5432:app:deploy:{}\n"),
    _plain("htpasswd", "$apr" + "1$" + drawn(8) + "$" + drawn(22), "deploy:{}"),
    _plain("bcrypt", "$2" + "y$10$" + drawn(53), "deploy:{}"),
    _plain("docker config.json", base64.b64encode(b"deploy:" + drawn(20).encode()).decode(), '"auth": "{}"'),
    _plain("terraform variable", drawn(24), 'db_password = "{}"'),
    _plain("ansible vault", "$ANSIBLE" + "_VAULT;1.1;AES256\n" + _hex(80)),
    _plain("dotenv", drawn(32), "export SESSION_SECRET={}"),
    _plain("YAML password", drawn(20), "database:\n  password: {}\n"),
    _plain("Rails", _hex(128), "production:\n  secret_key_base: {}"),
    _plain("Django", drawn(50, _LETTERS + "!@#$%^&*-_=+"), "SECRET_KEY = '{}'"),
    _plain("WordPress", drawn(64, _LETTERS + "!@#$%^&*-_=+~"), "define('AUTH_KEY', '{}');"),
    _plain("XML password", drawn(24), "<server><password>{}</password></server>"),
    _plain("Firebase messaging", "AAAA" + drawn(7) + ":APA" + "91b" + drawn(134)),
    _plain("Telegram bot", _digits(10) + ":AA" + drawn(33)),
    _plain("Discord bot", "MT" + drawn(24) + "." + drawn(6) + "." + drawn(38), 'client.run("{}")'),
    _plain("Discord webhook", "https://discord.com/api/web" + "hooks/" + _digits(18) + "/" + drawn(68)),
    _plain("Datadog", _hex(32), "DD_API_KEY={}"),
    _plain("DigitalOcean", "dop" + "_v1_" + _hex(64)),
    _plain("Shopify", "shp" + "at_" + _hex(32)),
    _plain("Square", "sq0" + "csp-" + drawn(43)),
    _plain("PayPal", drawn(80), "PAYPAL_CLIENT_SECRET: '{}'"),
    _plain("Braintree", "access" + "_token$production$" + drawn(16, "abc123") + "$" + _hex(32)),
    _plain("Cloudflare token", drawn(40), "CLOUDFLARE_API_TOKEN={}"),
    _plain("Cloudflare origin key", "v1" + ".0-" + _hex(24) + "-" + _hex(146)),
    _plain("Vault token", "hv" + "s." + drawn(28)),
    _plain("Terraform Cloud", drawn(14) + ".atlas" + "v1." + drawn(67)),
    _plain("Databricks", "da" + "pi" + _hex(32)),
    _plain("Grafana", "gl" + "sa_" + drawn(32) + "_" + _hex(8)),
    _plain("Sentry", "sn" + "trys_" + _mix(60)),
    _plain("New Relic", "NR" + "AK-" + _upper(27)),
    _plain("Linear", "lin" + "_api_" + drawn(40)),
    _plain("Figma", "fi" + "gd_" + drawn(43)),
    _plain("WireGuard", _mix(43) + "=", "PrivateKey = {}"),
    _plain("plain JavaScript key", drawn(32), "const cfg = {{ apiKey: '{}' }};"),
    _plain("command line", drawn(24), "mysql --user=app --password={} app"),
    _plain("shell default", drawn(32), "TOKEN=${{API_TOKEN:-{}}}"),
    _plain("Django as startproject draws it", drawn(50, _DJANGO), "SECRET_KEY = 'django-insecure-{}'"),
    _plain("password with any punctuation", drawn(28, _PRINTED), 'DB_PASSWORD = "{}"'),
    _plain("password of a Kubernetes manifest", drawn(24), "- name: DB_PASSWORD\n  value: {}\n"),
    _plain("password of a task definition", drawn(24), '{{"name": "DB_PASSWORD", "value": "{}"}}'),
    _plain("default of a Terraform variable", drawn(24), 'variable "db_password" {{\n  default = "{}"\n}}\n'),
    _plain("XML attribute", drawn(24), '<add key="DbPassword" value="{}"/>'),
    _plain("JSON in a string", drawn(24), 'post("{{\\"password\\":\\"{}\\"}}")'),
    _plain("setter", drawn(24), 'source.setPassword("{}");'),
    _plain("default of an environment variable", drawn(32), 'os.environ.get("API_KEY", "{}")'),
    _plain("the other one where there is none", drawn(32), 'const apiKey = process.env.API_KEY || "{}";'),
    _plain("macro", drawn(32), '#define API_KEY "{}"'),
    _plain("array", drawn(32), 'char api_key[] = "{}";'),
    _plain("Rust constant", drawn(32), 'const API_KEY: &str = "{}";'),
    _plain("annotated in Python", drawn(32), 'api_key: str | None = "{}"'),
    _plain("wrapped", drawn(32), 'api_key = SecretStr("{}")'),
    _plain("formatted header", drawn(40), 'headers = {{"Authorization": f"Bearer {}"}}'),
    _plain("Laravel", _mix(43) + "=", "APP_KEY=base64:{}"),
    _plain("short for password", drawn(20), "DB_PASS={}"),
    _plain("short for password in a name of two words", drawn(20), "const smtpPass = '{}'"),
    Planted("end of a private key", (_end := drawn(64)), f"{_end}\n-----END RSA PRIVATE" + " KEY-----\n"),
)

BY_NAME: tuple[str, ...] = (
    *(".env", ".env.production", "prod.env", ".envrc", ".netrc", "_netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd"),
    *(".git-credentials", ".my.cnf", ".s3cfg", ".boto", ".vault-token", ".dockercfg", ".docker/config.json"),
    *(
        ".kube/config",
        "kubeconfig",
        ".aws/credentials",
        ".azure/accessTokens.json",
        ".ssh/config",
        ".gnupg/secring.gpg",
    ),
    *("id_rsa", "id_ed25519", "deploy_key.pem", "server.key", "AuthKey_9.p8", "store.jks", "store.p12", "vault.kdbx"),
    *("cert.pfx", "putty.ppk", "krb5.keytab", "credentials.json", "service-account.json", "client_secret_9.json"),
    *(
        "terraform.tfstate",
        "prod.tfvars",
        "secrets.yml",
        "config/secrets.toml",
        "group_vars/vault.yml",
        "wp-config.php",
    ),
    *(
        "config/master.key",
        "config/credentials.yml.enc",
        "google-services.json",
        "local.settings.json",
        ".bash_history",
    ),
    *("app-firebase-adminsdk-9.json", ".m2/settings.xml", ".terraformrc", "passwords.txt", "auth.json", "vpn.ovpn"),
)
"""Files that are secret by their names, whatever is in them."""

HARMLESS: tuple[str, ...] = (
    'RELEASE = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"',
    'COMMIT = "9d3f1c2b7a6e5d4c3b2a19087f6e5d4c3b2a1908"',
    'SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"',
    '"integrity": "sha512-' + _mix(86) + '=="',
    'ICON = "data:image/png;base64,iVBORw0KGgo' + _mix(300) + '"',
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + _mix(43) + " me@example.org",
    "-----BEGIN CERTIFICATE-----\nMIID" + _mix(60),
    'password = os.environ["DATABASE_PASSWORD_2"]',
    "token = tokenizer.convert_ids_to_tokens(ids[0])",
    'api_key = "your-api-key-goes-here-1234"',
    "    secret: ${{ secrets.DEPLOY_TOKEN_2 }}",
    "key = f'{prefix}:{user_id}:{sha256(x).hexdigest()[:16]}'",
    "aws_access_key_id = AKIAIOSFODNN7" + "EXAMPLE",
    'GITHUB = "gh' + "p_" + "x" * 36 + '"',
    "postgres://postgres:postgres@localhost:5432/app",
    'TOKEN = "[A-Za-z0-9]{32}(?:-[0-9]{2})?"',
    'token = f"{prefix1}:{user_id2}:{number3}"',
    'credentials("me:pw@' + 'proxy:3128", "https://proxy:3128")',
    "    # the first pass.\n    Utf8ToUtf16Converter12 takes what is left",
    'passed = "Utf8ToUtf16Converter12To3"',
    'parser.add_argument("--token", default="read-from-the-keyring-2")',
    'color_token = "rgba(12,34,56,.5)"',
    'tokenCurve: "cubic-bezier(0.4,0,0.2,1)"',
    'access_key_rotated_at: "2024-05-01T12:34:56.789Z"',
    "access_token_expires_at = datetime.utcnow() + timedelta(days=30)",
)
"""Texts that look a little like secrets and must not silence a file."""
