"""Addresses: e-mail, IP, URLs with credentials, and home folders that bear a login name.

Every placeholder is an address of the same kind that belongs to nobody: `user@example.com` (RFC 2606), `192.0.2.1`
(RFC 5737), `2001:db8::1` (RFC 3849). So code that reads the value still does, and nothing is found the second time.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final

from .privacy_spans import Places, Span, after_escape, begins_word, words

EMAIL: Final = "user@example.com"
IPV4: Final = "192.0.2.1"
IPV6: Final = "2001:db8::1"

_TOP_LEVEL: Final = words(
    "com org net edu gov mil int info biz name pro io ai app dev co me tv cloud online site tech xyz email codes",
    "software systems solutions technology science academy university network digital engineering company group",
    "team live today world space design studio agency blog page eu asia us uk ca au nz ie za in pk bd lk sg my ph",
    "th vn id cn tw hk jp kr mn kz uz ru ua by bg ro hu cz sk si hr ba rs gr tr il ir iq ae sa qa kw eg ma tn dz",
    "ng ke gh de at ch li nl be lu fr mc it es pt ad dk no se fi is ee lv lt pl br ar cl pe uy ve mx cu cr pa gt",
    "ec bo am az ge al mk mt cy cc ws la gg im je to nu",
)
"""Endings of host names that people have addresses at. Those that are endings of files as well (.py, .sh, .md, .so)
stay out, and so does what nobody registers: `icon@2x.png`, `left-pad@1.0.tgz` and `x@w.data` are no addresses."""

_RESERVED: Final = re.compile(
    r"(?:^|\.)(?:example|test|invalid|localhost|local|internal)$|(?:^|\.)example\.\w+(?:\.\w+)?$", re.IGNORECASE
)
_NOBODY: Final = frozenset(("git", "hg", "svn", "noreply", "no-reply", "donotreply", "example", "user", "username"))
"""Users that are nobody: `git@github.com:a/b` is how a repository is written."""
_AT: Final = re.compile(r"@[A-Za-z0-9À-ɏ]")
_LOCAL: Final = re.compile(r"[A-Za-z0-9À-ɏ_%+.\-]+\Z")
_LONGEST_LOCAL: Final = 64
_HOST: Final = re.compile(r"(?:[A-Za-z0-9À-ɏ][A-Za-z0-9À-ɏ\-]{0,62}\.){1,6}([A-Za-z]{2,11})(?![A-Za-z0-9_@-])")
_ONLY_USER: Final = re.compile(r"://[^\s/\"'<>]*\Z")
_SPELLED: Final = re.compile(
    r"\b([A-Za-z][\w.+-]{1,63})(?: ?[\[({<] ?(?:at|AT) ?[\])}>] ?)"
    r"((?:[A-Za-z0-9-]+(?:\.| ?[\[({<] ?(?:dot|DOT) ?[\])}>] ?| (?:dot|DOT) )){1,4}[A-Za-z]{2,11})\b"
    r"|\b([A-Za-z][\w.+-]{1,63}) (?:at|AT) ((?:[A-Za-z0-9-]+ (?:dot|DOT) ){1,4}[A-Za-z]{2,11})\b"
)
_DOTS: Final = re.compile(r" ?[\[({<]? ?\bdot\b ?[\])}>]? ?", re.IGNORECASE)


def emails(text: str, places: Places) -> Iterator[Span]:
    """E-mail addresses in comments and strings, written out or as `ann at host dot org`.

    Reserved hosts (example.com and the like) and users that are nobody (`git@`, `noreply@`) stay; so does the user in
    front of a URL's host, and what merely looks alike in code (`x@w.T` multiplies two matrices).
    """
    for match in _AT.finditer(text):
        at = match.start()
        local = _LOCAL.search(text, max(0, at - _LONGEST_LOCAL - 1), at)
        host = _HOST.match(text, at + 1)
        if (
            local is None
            or host is None
            or at - local.start() > _LONGEST_LOCAL
            or host[1].lower() not in _TOP_LEVEL
            or _RESERVED.search(host[0])
        ):
            continue
        start = after_escape(text, local.start(), at)
        while start < at and text[start] in ".+-%":
            start += 1
        if start == at or text[start:at].lower() in _NOBODY or _ONLY_USER.search(text, max(0, start - 64), start):
            continue
        if places.is_prose(start, host.end()):
            yield Span(start, host.end(), EMAIL, "email")
    if " dot " in text or "at]" in text or "at)" in text or "at>" in text or " DOT " in text or "AT]" in text:
        for match in _SPELLED.finditer(text):
            host_name = _DOTS.sub(".", match[2] or match[4])
            start = after_escape(text, match.start(), match.end())
            if host_name.rpartition(".")[2].lower() in _TOP_LEVEL and places.is_prose(start, match.end()):
                yield Span(start, match.end(), EMAIL, "email")


_FOUR: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w\-+]|\.\w)")
_SPEAKS_OF_ADDRESSES: Final = re.compile(
    r"(?<![A-Za-z])(?:ip|ipv4|ips|hosts?|addr(?:ess)?(?:es)?|servers?|dns|inet|cidr|subnet|gateway|proxy|proxies|bind|"
    r"endpoint|remote|client|peer|network|netmask|ping|connect|listen)(?![a-z])|://\Z",
    re.IGNORECASE,
)
_SPEAKS_OF_VERSIONS: Final = re.compile(
    r"versions?|ver\b|\bv\.?\s*\Z|release|firmware|[=<>~!]=\s*[\"']?\Z|\boids?\b|section|chapter|§|\bRFC|firefox|chrome"
    r"|build|upgrade|since|sdk|driver|package",
    re.IGNORECASE,
)
_SMALLEST_FIRST: Final = 11
_RESOLVERS: Final = frozenset(
    ("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "169.254.169.254")
)
_SIX: Final = re.compile(r"[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:]|\.\w)")
_MAX_CONTEXT: Final = 60


def ip_addresses(text: str, places: Places) -> Iterator[Span]:
    """IPv4 and IPv6 addresses that some machine out there may have.

    Kept are those that are the same everywhere or nobody's, since code means something by them: loopback, any
    (0.0.0.0), private, link-local and multicast networks, netmasks, documentation ranges, and the public resolvers
    that examples ping. Four numbers are a version rather than an address when the line says so, or when the first is
    below 11 and nothing on the line speaks of addresses; they are an OID when they begin like one.
    """
    for match in _FOUR.finditer(text):
        if (
            _begins(text, match.start())
            and _is_public(match[0])
            and match[0] not in _RESOLVERS
            and _is_meant(text, match)
        ):
            yield Span(match.start(), match.end(), IPV4, "ip")
    for match in _SIX.finditer(text):
        if (
            not match[0].endswith("::")  # a network
            and _begins(text, match.start())
            and _is_public(match[0])
            and places.is_prose(match.start(), match.end())
        ):
            yield Span(match.start(), match.end(), IPV6, "ip")


def _begins(text: str, start: int) -> bool:
    """Whether an address may begin here: not in the middle of a longer number, a path or a range of versions."""
    before = text[max(0, start - 1) : start]
    if before in (".", ":", "+", "~", "^"):
        return False
    return begins_word(text, start) and (before != "/" or text[max(0, start - 2) : start] == "//")


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast


def _is_meant(text: str, match: re.Match[str]) -> bool:
    line = max(text.rfind("\n", 0, match.start()) + 1, match.start() - _MAX_CONTEXT)
    before = text[line : match.start()]
    if _SPEAKS_OF_VERSIONS.search(before) or match[0].startswith(("2.5.4.", "2.5.29.", "1.3.6.1")):
        return False
    if int(match[0].partition(".")[0]) >= _SMALLEST_FIRST:
        return True
    port = text[match.end() : match.end() + 2]
    return bool(_SPEAKS_OF_ADDRESSES.search(before)) or (port[:1] == ":" and port[1:].isdigit())


_CREDENTIALS: Final = re.compile(
    r"://((?:[^\s:/@\"'`{}<>$()\[\]\\%#?,;|]|%[0-9A-Fa-f]{2}){1,64}):((?:[^\s:/@\"'`{}<>$()\[\]\\%#?,;|]|%[0-9A-Fa-f]{2}){1,128})@"
)
_TOKEN_USER: Final = re.compile(r"://([A-Za-z0-9_\-]{20,128})@")
_TOY: Final = frozenset(("pass", "pwd", "passwd", "password", "secret", "pw", "p", "bar"))


def credentials_in_urls(text: str) -> Iterator[Span]:
    """`scheme://name:password@host` becomes `scheme://user:password@host`. Templates, and passwords that are the very
    word, stay as they are."""
    if "://" not in text or "@" not in text:
        return
    for match in _CREDENTIALS.finditer(text):
        if match[2].lower() not in _TOY and not match[2].startswith(("***", "xxx", "YOUR_")):
            yield Span(match.start(1), match.end(2), "user:password", "url")
    for match in _TOKEN_USER.finditer(text):
        if any(each.isdigit() for each in match[1]) and not match[1].startswith("YOUR_"):
            yield Span(match.start(1), match.end(1), "YOUR_TOKEN", "url")


_HOME: Final = re.compile(
    r"(?<![\w.])(?:/Users/([A-Za-z][\w.-]{0,31})(?=/\w)|/home/([a-z][\w.-]{0,31})(?=/[\w.-]+/)"
    r"|[A-Za-z]:\\{1,2}Users\\{1,2}([A-Za-z][\w.-]{0,31})(?=\\))"
)
_WINDOWS: Final = 3
_ANYBODY: Final = words(
    "user users username me you root runner ubuntu vagrant docker app apps node git public shared guest default",
    "name foo bar someone test tests admin administrator travis circleci jovyan home data lib bin work workspace",
    "build your_name yourname your-name",
)


def home_folders(text: str) -> Iterator[Span]:
    """The login name in `/home/ann/x/y`, `/Users/ann/x` and `C:\\Users\\ann\\x` becomes `user` or `name`."""
    if "Users" not in text and "/home/" not in text:
        return
    for match in _HOME.finditer(text):
        group = match.lastindex or 0
        if group and match[group].lower() not in _ANYBODY:
            # `\\user` would begin an escape of Unicode where the backslash stands alone
            yield Span(match.start(group), match.end(group), "user" if group < _WINDOWS else "name", "path")
