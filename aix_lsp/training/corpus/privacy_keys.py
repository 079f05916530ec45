"""Keys, tokens, passwords and private keys: what detect-secrets' detectors find, and shapes they do not know.

A detector looks only at lines that hold a piece of plain text without which it cannot match, so that most files cost
a few substring searches. What a detector calls a password must also look like one: values that are words, templates,
paths or names of fields stay.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from .privacy_spans import Span, after_escape, begins_word

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

KEY: Final = "YOUR_KEY"
TOKEN: Final = "YOUR_TOKEN"
PASSWORD: Final = "YOUR_PASSWORD"

_DETECTORS: Final = (
    ("artifactory", "ArtifactoryDetector", ("AKC", "artifactory", "Artifactory", "ARTIFACTORY"), KEY),
    ("aws", "AWSKeyDetector", ("AKIA", "ASIA", "ABIA", "ACCA", "A3T", "aws", "AWS", "Aws"), KEY),
    ("azure_storage_key", "AzureStorageKeyDetector", ("AccountKey=",), KEY),
    ("cloudant", "CloudantDetector", ("cloudant", "CLOUDANT", "Cloudant"), KEY),
    ("discord", "DiscordBotTokenDetector", ("discord", "DISCORD", "Discord"), TOKEN),
    ("github_token", "GitHubTokenDetector", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), TOKEN),
    (
        "gitlab_token",
        "GitLabTokenDetector",
        (
            "glpat-",
            "gldt-",
            "glft-",
            "glsoat-",
            "glrt-",
            "GR1348941",
            "glcbt-",
            "glimt-",
            "glptt-",
            "glagent-",
            "gloas-",
        ),
        TOKEN,
    ),
    ("ibm_cloud_iam", "IbmCloudIamDetector", ("ibm", "IBM", "iam", "IAM"), KEY),
    ("ibm_cos_hmac", "IbmCosHmacDetector", ("secret_access_key", "SECRET_ACCESS_KEY", "secretAccessKey"), KEY),
    ("mailchimp", "MailchimpDetector", ("-us",), KEY),
    ("npm", "NpmDetector", ("_authToken=",), TOKEN),
    ("openai", "OpenAIDetector", ("T3BlbkFJ",), KEY),
    ("pypi_token", "PypiTokenDetector", ("pypi-Ag",), TOKEN),
    ("sendgrid", "SendGridDetector", ("SG.",), KEY),
    ("slack", "SlackDetector", ("xox", "hooks.slack.com"), TOKEN),
    ("softlayer", "SoftlayerDetector", ("softlayer", "SOFTLAYER", "Softlayer", "SoftLayer"), KEY),
    ("square_oauth", "SquareOAuthDetector", ("sq0csp-",), TOKEN),
    ("stripe", "StripeDetector", ("k_live_",), KEY),
    ("telegram_token", "TelegramBotTokenDetector", (":AA",), TOKEN),
    ("twilio", "TwilioKeyDetector", ("twilio", "TWILIO", "Twilio"), KEY),
)
"""Module, class, the texts one of which a line must hold, placeholder. Detectors whose shape is common in data
(Twilio, Discord, IBM) are asked only where the service is named on the line."""


@dataclass(frozen=True, slots=True)
class _Detector:
    plugin: BasePlugin
    needles: tuple[str, ...]
    placeholder: str


@cache
def _detectors() -> tuple[_Detector, ...]:
    import importlib

    return tuple(
        _Detector(getattr(importlib.import_module(f"detect_secrets.plugins.{module}"), name)(), needles, placeholder)
        for module, name, needles, placeholder in _DETECTORS
    )


@cache
def _keyword_detector() -> BasePlugin:
    from detect_secrets.plugins.keyword import KeywordDetector

    plugin: BasePlugin = KeywordDetector()
    return plugin


_SHAPES: Final = tuple(
    (needle, re.compile(pattern), placeholder)
    for needle, pattern, placeholder in (
        ("AKIA", r"AKIA[0-9A-Z]{16}(?![0-9A-Z])", KEY),
        ("ASIA", r"ASIA[0-9A-Z]{16}(?![0-9A-Z])", KEY),
        ("AccountKey=", r"(?<=AccountKey=)[A-Za-z0-9+/]{80,}={0,2}", KEY),
        *((f"gh{kind}_", rf"gh{kind}_[A-Za-z0-9]{{36,}}", TOKEN) for kind in "oprsu"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{22,}", TOKEN),
        ("glpat-", r"glpat-[\w\-]{20,}", TOKEN),
        ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,}", TOKEN),
        ("hooks.slack.com", r"hooks\.slack\.com/services/T\w+/B\w+/\w{20,}", "hooks.slack.com/services/YOUR_TOKEN"),
        ("k_live_", r"[rs]k_live_[A-Za-z0-9]{16,}", KEY),
        ("k_test_", r"[rs]k_test_[A-Za-z0-9]{16,}", KEY),
        ("whsec_", r"whsec_[A-Za-z0-9+/]{24,}", KEY),
        ("AIza", r"AIza[\w\-]{35}(?![\w\-])", KEY),
        ("GOCSPX-", r"GOCSPX-[\w\-]{20,}", KEY),
        ("ya29.", r"ya29\.[\w\-]{30,}", TOKEN),
        ("sk-", r"sk-(?=[\w\-]*\d)(?=[\w\-]*[A-Z])(?=[\w\-]*[a-z])[\w\-]{32,}", KEY),
        ("hf_", r"hf_[A-Za-z0-9]{30,}", TOKEN),
        ("npm_", r"npm_[A-Za-z0-9]{36}(?!\w)", TOKEN),
        ("pypi-", r"pypi-AgE[\w\-]{40,}", TOKEN),
        ("SG.", r"SG\.[\w\-]{16,}\.[\w\-]{32,}", KEY),
        ("dop_v1_", r"dop_v1_[a-f0-9]{64}", TOKEN),
        *((f"shp{kind}_", rf"shp{kind}_[a-fA-F0-9]{{32}}", TOKEN) for kind in ("at", "ca", "pa", "ss")),
        ("dckr_pat_", r"dckr_pat_[\w\-]{20,}", TOKEN),
        (":AA", r"\d{8,10}:AA[\w\-]{33}(?![\w\-])", TOKEN),
        ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}", KEY),
        ("eyJ", r"eyJ[\w\-]{10,}={0,2}\.eyJ[\w\-]{10,}={0,2}(?:\.[\w\-]{10,}={0,2})?", TOKEN),
    )
)
"""Plain text that the shape must contain, the shape, its placeholder."""


def tokens(text: str) -> Iterator[Span]:
    """Keys and tokens that are known by their shape."""
    for needle, pattern, placeholder in _SHAPES:
        if needle in text:
            for match in pattern.finditer(text):
                if begins_word(text, match.start()):
                    start = after_escape(text, match.start(), match.end())
                    yield Span(start, match.end(), placeholder, "key")
    for detector in _detectors():
        for start, end in _lines_with(text, detector.needles):
            line = text[start:end]
            for found in set(detector.plugin.analyze_string(line)):
                value = found.strip(" \t\r\"'=:,")
                if len(value) >= _SHORTEST_TOKEN and _looks_random(value):
                    for match in re.finditer(re.escape(value), line):
                        first = after_escape(text, start + match.start(), start + match.end())
                        yield Span(first, start + match.end(), detector.placeholder, "key")


_SHORTEST_TOKEN: Final = 12
_LONGEST_LINE: Final = 20_000
_LONGEST_FOR_KEYWORDS: Final = 2_000  # that detector's patterns go back and forth


def _lines_with(text: str, needles: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Start and end of every line that holds one of these texts, each once. Endless lines are data: left out."""
    seen: set[int] = set()
    for needle in needles:
        place = text.find(needle)
        while place >= 0:
            start = text.rfind("\n", 0, place) + 1
            start = max(start, text.rfind("\r", start, place) + 1)
            end = text.find("\n", place)
            end = len(text) if end < 0 else end
            if start not in seen and end - start <= _LONGEST_LINE:
                seen.add(start)
                yield start, end
            place = text.find(needle, end)


_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN (?P<kind>(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----(?P<body>.{0,20000}?)-----END (?P=kind)-----",
    re.DOTALL,
)
_BODY: Final = re.compile(r"\\(?:[nrt]|$)|([A-Za-z0-9+/]{24,}={0,2})", re.MULTILINE)


def private_keys(text: str) -> Iterator[Span]:
    """The lines of a private key in PEM form, each by itself: quotes, joints and line breaks around them stay."""
    if "PRIVATE KEY" not in text:
        return
    for block in _PRIVATE_KEY.finditer(text):
        for match in _BODY.finditer(text, *block.span("body")):
            if match[1] is not None and _mixed(match[1]):
                yield Span(match.start(1), match.end(1), "YOUR_PRIVATE_KEY", "key")


def _mixed(value: str) -> bool:
    return any(each.isdigit() for each in value) and any(each.isalpha() for each in value)


_WORDS: Final = (
    *("passw", "PASSW", "Passw", "passphrase", "Passphrase", "PASSPHRASE", "pwd", "Pwd", "PWD", "secret", "Secret"),
    *("SECRET", "token", "Token", "TOKEN", "api_key", "API_KEY", "apikey", "apiKey", "ApiKey", "APIKEY", "api-key"),
    *("access_key", "accessKey", "AccessKey", "ACCESS_KEY", "private_key", "privateKey", "PrivateKey", "PRIVATE_KEY"),
    *("auth_key", "authKey", "AUTH_KEY", "redential", "REDENTIAL", "earer ", "asic "),
)
_PASSWORD_NAME: Final = r"(?:passw(?:or)?d|passphrase|pwd)"
_NAMED: Final = re.compile(
    rf"(?P<name>\b[\w.\-]{{0,60}}?(?:(?P<password>{_PASSWORD_NAME})|secret|token(?!i)|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|auth[_-]?key|credential)[\w\-]{0,40})[\"'`]?\]?[ \t]*(?::[ \t]*[\w.\[\]]+[ \t]*(?==))?(?:=>|:=|={1,3}|:)[ \t]*"
    r"[bruBRU@$]{0,2}(?P<quote>[\"'`])(?P<value>[^\"'`\\\s]{4,300})(?P=quote)",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\b(?:[Bb]earer|[Bb]asic|[Tt]oken)[ \t]+([A-Za-z0-9._~+/\-]{20,}={0,2})")
_ENDS_AS_PASSWORD: Final = re.compile(rf"{_PASSWORD_NAME}s?\d{{0,2}}\Z", re.IGNORECASE)
_LABEL: Final = re.compile(
    r"passw|pwd|secret|token|key|credential|auth|your|example|change|replace|placeholder|dummy|sample|xxx|here|redact|"
    r"fake|none|null|true|false|string|required|optional|hidden|input|field|config|default|invalid|wrong|correct|env",
    re.IGNORECASE,
)
_TEMPLATE: Final = re.compile(r"[{}<>$()\[\]]|%[sdr(]|^(?:https?:|/|\.|#|--)|\.\.\.|\*{3}")
_NAME_LIKE: Final = re.compile(
    r"[A-Za-z]+\d{0,2}(?:[_\-./:]+[A-Za-z0-9]+)+|[A-Za-z]{1,5}\d{1,3}|[a-z]+(?:[A-Z][a-z]+)+\d?"
)
_SHORTEST_PASSWORD: Final = 6
_SHORTEST_RANDOM: Final = 16


def passwords(text: str) -> Iterator[Span]:
    """Quoted values of names such as `password` and `api_key`, and values after `Bearer`.

    After any such name a value that looks random; after a password's own name also one that mixes letters with digits
    or signs. A plain word stays: it labels a field ("new-password"), or tells nothing ("letmein").
    """
    for start, end in _lines_with(text, _WORDS):
        line = text[start:end]
        named = set()
        for match in _NAMED.finditer(line):
            named.add(match["value"])
            if line[match.start() - 1 : match.start()] == ":":
                continue  # a type's name: "AWS::SecretsManager::Secret": "c85175a4ebcce361"
            kind = _kind_of(match["name"], match["value"], password=match["password"] is not None)
            if kind is not None:
                placeholder = PASSWORD if kind == "password" else TOKEN if "oken" in match["name"].lower() else KEY
                yield Span(start + match.start("value"), start + match.end("value"), placeholder, kind)
        for match in _BEARER.finditer(line):
            if _looks_random(match[1]):
                yield Span(start + match.start(1), start + match.end(1), TOKEN, "key")
        if len(line) > _LONGEST_FOR_KEYWORDS:
            continue
        for value in set(_keyword_detector().analyze_string(line)) - named:
            if len(value) >= _SHORTEST_RANDOM and not _TEMPLATE.search(value) and _looks_random(value):
                for match in re.finditer(rf"(?<=[\"'`]){re.escape(value)}(?=[\"'`])", line):
                    yield Span(start + match.start(), start + match.end(), KEY, "key")


def _kind_of(name: str, value: str, *, password: bool) -> str | None:
    """ "password", "key", or None if the value is no secret."""
    if _TEMPLATE.search(value) or _LABEL.search(value):
        return None
    if len(value) >= _SHORTEST_RANDOM and _looks_random(value):
        return "password" if password else "key"
    if not password or len(value) < _SHORTEST_PASSWORD or not _ENDS_AS_PASSWORD.search(name):
        return None
    if _NAME_LIKE.fullmatch(value):
        return None
    return "password" if any(each.isalpha() for each in value) and not value.isalpha() else None


_LEAST_DIGITS: Final = 2
_LEAST_BITS: Final = 3.2


def _looks_random(value: str) -> bool:
    """Letters mixed with digits, spread like random characters (Shannon entropy in bits a character)."""
    if sum(each.isdigit() for each in value) < _LEAST_DIGITS or not any(each.isalpha() for each in value):
        return False
    if "YOUR_" in value:
        return False
    counts = Counter(value).values()
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts)
    return bits >= min(_LEAST_BITS, 0.8 * math.log2(len(value)))
