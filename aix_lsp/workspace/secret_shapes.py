"""Shapes of keys and tokens that tell what they are: by a beginning that their maker gives them, or by a header.

Looking for so many shapes one by one would take most of the time of reading a file. But nearly all of them are one long
word, and only a quarter of a source file is in such words: these are looked through, for plain text first.
"""

from __future__ import annotations

import re
from typing import Final

_SHORTEST_WORD: Final = 20
_MADE_UP: Final = re.compile(r"EXAMPLE|x{6}|0{10}|A{10}|1234567890", re.IGNORECASE)
"""What stands in for a token in documents (`AKIA...EXAMPLE`, `ghp_xxxx`), and zeros in base64."""

_HEADERS: Final = tuple(
    (needle, re.compile(pattern, re.MULTILINE))
    for needle, pattern in (
        (
            "PRIVATE KEY",
            r"\b(?:BEGIN|END) (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|---- BEGIN SSH2 ENCRYPTED PRIVATE[ ]KEY",
        ),
        ("PuTTY-User-Key-File", r"PuTTY-User-Key-File-\d"),
        ("$ANSIBLE_VAULT;", r"\$ANSIBLE_VAULT;\d\.\d;AES"),
        (" login ", r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+[^\s{}$<>]{6,}"),
        ('"d"', r"\"d\"\s*:\s*\"[\w-]{43,}\""),
    )
)
"""Shapes with white space, or of few characters."""

_WORDS: Final = tuple(
    (needle, re.compile(pattern, re.ASCII))
    for needle, pattern in (
        # keys
        ("AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{50,}"),
        # a PEM or OpenSSH key in base64, as in a kubeconfig: RSA, any, EC, DSA, ENCRYPTED, OPENSSH, PGP
        ("LS0tLS1CRUdJTi", r"LS0tLS1CRUdJTi(?:BSU0Eg|BQUklW|BFQyBQ|BEU0Eg|BFTkNS|BPUEVO|BQR1AgUFJJ)[\w+/]{6,}"),
        # clouds
        *((begin, rf"\b{begin}[0-9A-Z]{{16}}\b") for begin in ("AKIA", "ASIA", "ABIA", "ACCA")),
        ("AIza", r"\bAIza[\w-]{35}"),
        ("GOCSPX-", r"\bGOCSPX-[\w-]{20,}"),
        ("ya29.", r"\bya29\.[\w-]{30,}"),
        (":APA91b", r"(?<![\w-])[\w-]{7,}:APA91b[\w-]{100,}"),
        ("AccountKey=", r"AccountKey=[A-Za-z0-9+/]{80,}"),
        ("SharedAccessKey=", r"SharedAccessKey=[A-Za-z0-9+/]{40,}"),
        ("sig=", r"[?&]sig=[A-Za-z0-9%+/]{40,}(?:%3D|=)"),
        ("8Q~", r"\b[A-Za-z0-9_~.]{3}8Q~[A-Za-z0-9_~.-]{31,34}"),
        ("LTAI", r"\bLTAI[A-Za-z0-9]{16,24}\b"),
        *((begin, rf"\b{begin}[a-f0-9]{{64}}") for begin in ("dop_v1_", "doo_v1_", "dor_v1_")),
        ("v1.0-", r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{100,}"),
        ("hvs.", r"\bhvs\.[\w-]{24,}"),
        ("hvb.", r"\bhvb\.[\w-]{24,}"),
        (".atlasv1.", r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}"),
        ("pul-", r"\bpul-[a-f0-9]{40}\b"),
        ("dp.", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]{2,35}\.)?[A-Za-z0-9]{40,}"),
        ("tskey-", r"\btskey-[a-z]+-[\w-]{16,}"),
        ("dapi", r"\bdapi[a-f0-9]{32}\b"),
        ("pscale_", r"\bpscale_(?:tkn|oauth|pw)_[\w.=-]{32,}"),
        ("sbp_", r"\bsbp_[a-f0-9]{40}"),
        ("HRKU-", r"\bHRKU-[\w-]{36,}"),
        # code hosts and registries
        *((f"gh{kind}_", rf"\bgh{kind}_[A-Za-z0-9]{{36}}") for kind in "oprsu"),
        ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
        *(
            (f"{begin}-", rf"\b{begin}-[\w-]{{20,}}")
            for begin in ("glpat", "gldt", "glrt", "glcbt", "glptt", "glft", "glsoat", "gloas", "glimt", "glagent")
        ),
        ("ATATT3", r"\bATATT3[\w=-]{60,}"),
        ("ATBB", r"\bATBB[A-Za-z0-9]{24,}\b"),
        ("npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("pypi-", r"\bpypi-AgE[\w-]{40,}"),
        ("rubygems_", r"\brubygems_[a-f0-9]{48}"),
        ("oy2", r"\boy2[a-z0-9]{43}\b"),
        ("cio", r"\bcio[A-Za-z0-9]{32}\b"),
        ("dckr_", r"\bdckr_[po]at_[\w-]{20,}"),
        ("CCIPAT_", r"\bCCIPAT_[\w-]{30,}"),
        ("bkua_", r"\bbkua_[a-f0-9]{40}"),
        # models
        ("sk-", r"\bsk-(?=[\w-]{0,64}\d)(?=[\w-]{0,64}[A-Z])(?=[\w-]{0,64}[a-z])[\w-]{32,}"),
        ("hf_", r"\bhf_[A-Za-z0-9]{30,}"),
        ("gsk_", r"\bgsk_[A-Za-z0-9]{48,}"),
        ("xai-", r"\bxai-[A-Za-z0-9]{70,}"),
        ("pplx-", r"\bpplx-[A-Za-z0-9]{40,}"),
        ("r8_", r"\br8_[A-Za-z0-9]{37}\b"),
        # messages and mail
        ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("xapp-", r"\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{40,}"),
        ("hooks.slack.com", r"hooks\.slack\.com/(?:services|workflows)/T\w+/[AB]\w+/\w{17,}"),
        ("/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{50,}"),
        ("webhook.office.com", r"webhook\.office\.com/webhookb2/[\w@-]{36,}/IncomingWebhook/\w{20,}"),
        (":AA", r"\b\d{8,10}:AA[\w-]{33}"),
        *(
            (f"{call}(", rf"{call}\([\"'][MNO][A-Za-z\d]{{23,27}}\.[\w-]{{6}}\.[\w-]{{27,40}}[\"']")
            for call in ("run", "login", "start")
        ),
        ("SG.", r"\bSG\.[\w-]{16,}\.[\w-]{32,}"),
        ("key-", r"\bkey-[a-f0-9]{32}\b"),
        ("-us", r"\b[a-f0-9]{32}-us\d{1,2}\b"),
        ("xkeysib-", r"\bxkeysib-[a-f0-9]{64}"),
        ("SK", r"\bSK[a-f0-9]{32}\b"),
        # shops and payment
        ("k_live_", r"\b[rs]k_live_[A-Za-z0-9]{16,}"),
        ("k_test_", r"\b[rs]k_test_[A-Za-z0-9]{16,}"),
        ("whsec_", r"\bwhsec_[A-Za-z0-9+/]{24,}"),
        *((f"shp{kind}_", rf"\bshp{kind}_[a-fA-F0-9]{{32}}") for kind in ("at", "ca", "pa", "ss")),
        ("sq0", r"\bsq0(?:atp|csp|idb)-[\w-]{22,}"),
        ("EAAA", r"\bEAAA[A-Za-z0-9_-]{56,70}(?![\w-])"),
        ("access_token$", r"\baccess_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"),
        # what watches, plans and draws
        ("glsa_", r"\bglsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}"),
        ("glc_", r"\bglc_[\w+/=]{40,}"),
        ("sntry", r"\bsntry[su]_[\w+/=]{40,}"),
        ("NRAK-", r"\bNRAK-[A-Z0-9]{27}\b"),
        ("lin_api_", r"\blin_api_[A-Za-z0-9]{40}"),
        ("ntn_", r"\bntn_[A-Za-z0-9]{40,}"),
        ("secret_", r"\bsecret_[A-Za-z0-9]{43}\b"),
        ("PMAK-", r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
        ("figd_", r"\bfigd_[\w-]{40,}"),
        # of no one maker
        ("eyJ", r"\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
        ("$2", r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"),
        ("$apr1$", r"\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}"),
        (":543", r"(?<![^\s\"'#])[\w.*-]+:543\d:[\w*-]+:[\w.-]+:(?=\S*\d)[^\s:/\"']{8,}"),
    )
)
"""Shapes of one word, each with plain text that it must contain: searching for that first is a lot faster."""


def shape_span(text: str) -> tuple[int, int] | None:
    """Where a key or token of a known shape stands; None without one."""
    for needle, pattern in _HEADERS:
        if needle in text and (found := pattern.search(text)):
            return found.span()
    words = "\n".join({word for word in text.split() if len(word) >= _SHORTEST_WORD})
    for needle, pattern in _WORDS:
        if needle in words and any(_is_real(found[0]) for found in pattern.finditer(words)):
            for found in pattern.finditer(text):
                if _is_real(found[0]):
                    return found.span()
    return None


def _is_real(token: str) -> bool:
    return _MADE_UP.search(token) is None
