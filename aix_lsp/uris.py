"""Document URIs and the paths they stand for, as text only: nothing here looks at a disk.

Editors write one file in many ways: `file:///c%3A/x`, `file:///C:/x`, `file:///c:/x`. `normalize` makes them one, so
that it can be a key; the client is always answered with the spelling that it sent.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

# RFC 3986, appendix B. urllib's urlsplit raises for some of what clients send and drops tabs and newlines.
# A scheme has two letters at least, otherwise a bare Windows path would have one.
_URI: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_DRIVE: Final = re.compile(r"/[A-Za-z]:(?=[/\\]|$)")
_SLASHES_BEFORE_DRIVE: Final = re.compile(r"^/+(?=/[A-Za-z](?::|%3[Aa])(?:[/\\]|$))")
_DRIVE_AS_HOST: Final = re.compile(r"[a-z](?::|%3a)")
_HOST: Final = "@:[]"
_LOCAL_HOSTS: Final = ("", "localhost")


class _Parts(NamedTuple):
    scheme: str
    authority: str | None
    path: str
    query: str | None
    fragment: str | None


def uri_to_path(uri: str, windows: bool = os.name == "nt") -> PurePath | None:
    """The path that a `file:` URI stands for, or None for another scheme and for what no path can be.

    `windows` chooses the kind of path: drives and UNC shares on Windows (`file://server/share/x`), a path from the
    root elsewhere, where a share keeps its two leading slashes. Bytes that are no UTF-8 become surrogate escapes,
    as `os.fsdecode` makes them. Query and fragment are no part of the path.
    """
    parts = _split(uri)
    path = unquote(parts.path, errors="surrogateescape")
    if parts.scheme != "file" or not path or "\0" in path:
        return None
    authority = unquote(parts.authority or "")
    if authority not in _LOCAL_HOSTS:
        path = f"//{authority}{path}"
    if not windows:
        return PurePosixPath(path)
    if _DRIVE.match(path):
        path = path[1:]
        if len(path) == 2:
            # `c:` alone would be the current folder of that drive.
            path += "/"
    return PureWindowsPath(path)


def path_to_uri(path: PurePath) -> str:
    """The `file:` URI of an absolute path, in the form that `normalize` gives. Raises ValueError for a relative one."""
    if not path.is_absolute():
        raise ValueError(f"{os.fspath(path)!r} is not absolute")
    text = path.as_posix()
    if not text.startswith("/"):
        text = f"/{text}"
    return normalize(f"file://{_encode(text, safe='/')}")


def normalize(uri: str) -> str:
    """One spelling for all spellings of a URI; never raises, and gives what it is given when given its own result.

    Percent-encoding is redone (UTF-8, capital digits), a drive letter is lower-case with a plain colon, the local
    host goes, a share's server is lower-case. Query and fragment stay, because notebooks tell their cells by them.
    """
    scheme, authority, path, query, fragment = _split(uri)
    path = "/".join(_recode(part) for part in path.split("/"))
    # A backslash is a separator only below a drive; elsewhere it may be part of a name.
    drive = re.match(r"/([A-Za-z])(?::|%3A)(?=/|%5C|$)", path)
    if drive:
        path = f"/{drive[1].lower()}:{path[drive.end() :].replace('%5C', '/')}"
    if scheme == "file":
        if authority in _LOCAL_HOSTS:
            authority = ""
        if not authority and path.startswith("//") and path.strip("/"):
            # A share written as a path: file:////server/share/x.
            server, _, rest = path.lstrip("/").partition("/")
            authority, path = server, f"/{rest}"
        host = unquote(authority or "", errors="surrogateescape").lower()
        text = f"file://{_encode(host, safe=_HOST)}{path}"
    else:
        text = f"{scheme}:" if scheme else ""
        if authority or path.startswith("//"):
            text += f"//{_recode(authority or '', safe=_HOST)}"
        text += path
    if query is not None:
        text += f"?{_recode(query, safe='=&')}"
    if fragment is not None:
        text += f"#{_recode(fragment)}"
    return text


def last_part(uri: str) -> str:
    """Name to show for a document that is no file: the last part of the URI's path, `Untitled-1`."""
    path = _split(uri).path
    return unquote(path.rstrip("/").rpartition("/")[2]) or uri


def _split(uri: str) -> _Parts:
    match = _URI.fullmatch(uri)
    if match is None:
        return _Parts("", None, uri, None, None)
    scheme, authority, path, query, fragment = match.groups()
    scheme = (scheme or "").lower()
    if scheme == "file":
        authority = (authority or "").lower()
        if _DRIVE_AS_HOST.fullmatch(authority):
            # Two slashes where three are due: file://c:/x.
            authority, path = "", f"/{authority}{path}"
        if not path.startswith("/"):
            path = f"/{path}"
        path = _SLASHES_BEFORE_DRIVE.sub("", path)
    return _Parts(scheme, authority, path, query, fragment)


def _recode(text: str, safe: str = "") -> str:
    return _encode(unquote(text, errors="surrogateescape"), safe)


def _encode(text: str, safe: str = "") -> str:
    try:
        return quote(text, safe=safe, errors="surrogateescape")
    except UnicodeEncodeError:
        # Half a surrogate pair, which JSON can carry.
        return quote(text, safe=safe, errors="surrogatepass")
