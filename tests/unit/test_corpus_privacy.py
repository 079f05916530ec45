"""Secrets and personal data in source text. Examples are joined from parts: none is a real secret."""

from __future__ import annotations

import ast
import inspect
import platform
import random
import re
import socketserver
import string
import textwrap
from email import _header_value_parser
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.training.corpus.privacy import KINDS, redact
from aix_lsp.workspace.secrets import contains_secret

_random = random.Random(11)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "a1B2" + "".join(_random.choice(alphabet) for _ in range(length - 4))


def lower_hex(length: int) -> str:
    return "a1b2" + "".join(_random.choice("0123456789abcdef") for _ in range(length - 4))


AT = "@"
ANN = f"ann.lee{AT}firm.org"


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        # addresses
        ("a.py", f"# ask {ANN} first", "# ask user@example.com first"),
        ("a.py", f"MAIL = '{ANN}'", "MAIL = 'user@example.com'"),
        ("a.c", f'#define MAIL "{ANN}"', '#define MAIL "user@example.com"'),
        ("a.tsx", f"const a = <p>{ANN}</p>;", "const a = <p>user@example.com</p>;"),
        ("a.py", rf"x = 'to:\n{ANN}\n'", r"x = 'to:\nuser@example.com\n'"),
        ("a.py", rf"x = '\u00e9{ANN}'", r"x = '\u00e9user@example.com'"),
        ("a.py", rf"x = '\x41{ANN} \\{ANN}'", r"x = '\x41user@example.com \\user@example.com'"),
        ("a.py", "# ann at firm dot org", "# user@example.com"),
        ("a.py", "# ann [at] firm.org", "# user@example.com"),
        ("a.go", 'host := "93.184.216.34:80"', 'host := "192.0.2.1:80"'),
        ("a.py", "ip = '5.9.1.77'", "ip = '192.0.2.1'"),
        ("a.py", "get('http://5.9.1.77/x')", "get('http://192.0.2.1/x')"),
        ("a.py", "# 2607:f0d0:1002:51::4 answers", "# 2001:db8::1 answers"),
        # URLs, folders
        ("a.py", "db = 'postgres://ann:s3cr3t9@db.firm.org/x'", "db = 'postgres://user:password@db.firm.org/x'"),
        ("a.py", "open('/home/annlee/work/data.csv')", "open('/home/user/work/data.csv')"),
        ("a.cs", r'var p = @"C:\Users\annlee\x";', r'var p = @"C:\Users\name\x";'),
        # passwords
        ("a.py", "password = 'hunter42!'", "password = 'YOUR_PASSWORD'"),
        ("a.js", 'const cfg = {db_password: "hunter42x"}', 'const cfg = {db_password: "YOUR_PASSWORD"}'),
        ("a.java", 'String pwd = "tr0ub4dor&3";', 'String pwd = "YOUR_PASSWORD";'),
        # names
        ("a.py", "# Copyright (c) 2012-2020 Ann B. Lee", "# Copyright (c) 2012-2020 NAME"),
        (
            "a.py",
            "# Copyright 2019 by Ann Lee, Otto von Berg and others.",
            "# Copyright 2019 by NAME, NAME and others.",
        ),
        ("a.java", "/** @author Ann Lee */", "/** @author NAME */"),
        ("a.java", "/**\n * @author annlee\n */", "/**\n * @author NAME\n */"),
        ("a.py", "__author__ = 'Ann Lee'", "__author__ = 'NAME'"),
        ("a.py", f'__author__ = "Ann Lee <{ANN}>"', '__author__ = "NAME <user@example.com>"'),
        ("a.c", f"// Author: {ANN} (Ann Lee)", "// Author: user@example.com (NAME)"),
        ("a.py", '"""Tools.\n\nWritten by Ann Lee, 2003.\n"""', '"""Tools.\n\nWritten by NAME, 2003.\n"""'),
        ("a.py", "# Authors:\n#   Ann Lee\n#   Jo Ö. Berg\nx = 1", "# Authors:\n#   NAME\n#   NAME\nx = 1"),
        ("a.go", "// TODO(annlee): less of it", "// TODO(user): less of it"),
        ("a.py", f"# Signed-off-by: Ann Lee <{ANN}>", "# Signed-off-by: NAME <user@example.com>"),
    ],
)
def test_what_is_personal_becomes_a_placeholder_of_its_kind(path: str, before: str, after: str) -> None:
    assert redact(before, path).text == after


@pytest.mark.parametrize(
    ("path", "text"),
    [
        # not addresses of anyone
        ("a.py", "y = x@w.it + a.b@c.de"),
        ("a.py", "@app.get\ndef f(): ..."),
        ("a.py", "# user@example.com, me@test.local, noreply@github.com, git@github.com:a/b.git"),
        ("a.js", "import a from 'icon@2x.png'; // left-pad@1.3.0"),
        ("a.py", "# run it at home dot py"),
        ("a.py", "hosts = ['127.0.0.1', '0.0.0.0', '10.0.0.7', '192.168.1.1', '255.255.255.0', '224.0.0.1']"),
        ("a.py", "hosts = ['192.0.2.77', '198.51.100.1', '8.8.8.8', '::1', 'fe80::1', '2001:db8::7']"),
        ("a.py", "assert version >= '1.2.3.4'  # since 12.0.3.1"),
        ("a.py", "v = '1.2.3.4'; agent = 'Chrome/91.0.44.124'; oid = '2.5.29.17'; long = '1.2.3.4.5'"),
        ("a.rs", "use abc::def::fed; let x = 2222::cafe::a;"),
        ("a.py", "t = '12:30:59'; x[2020::2]; mac = '00:11:22:33:44:55:66:77'"),
        # not secrets
        ("a.py", "url = f'https://{user}:{password}@{host}/'; '%s://%s:%s@%s'"),
        ("a.py", "password = 'password'; token = '[UNK]'; sep_token = '</s>'; secret_key = 'settings.secret'"),
        ("a.py", "password = ''; password = os.environ['PASSWORD1']; pwd = '{pwd1}'; key = 'sha256'"),
        ("a.js", 'const a = {password: "Your password", type: "new-password", apiKey: "YOUR_KEY"};'),
        ("a.py", f"digest = '{lower_hex(64)}'"),
        ("a.py", "BEGIN = '-----BEGIN RSA PRIVATE KEY-----'"),
        # not names of people
        ("a.py", "# Copyright 2018 The Firm Inc. team. All rights reserved."),
        ("a.py", "# Copyright 2018-present Red Software Foundation"),
        ("a.c", "int TODO(int x) { return NOTE(x); }"),
        ("a.py", "# TODO(#123): x. TODO(SLEP6): y"),
        ("a.js", "const book = {author: String, maintainer: Person};"),
        ("a.py", '"""Args:\n    author: The author of the book.\n"""'),
        ("a.py", "# created by the parser, written by hand"),
        ("a.py", "app.get('/users/list/all'); '/home/user/x/y'; '/Users/runner/work'"),
    ],
)
def test_what_only_looks_like_it_stays(path: str, text: str) -> None:
    assert redact(text, path).text == text
    assert redact(text, path).counts == {}


TOKENS = {
    "aws": "AKIA" + drawn(16, string.ascii_uppercase + string.digits).upper(),
    "github": "ghp_" + drawn(36),
    "github fine-grained": "github_pat_" + drawn(30),
    "gitlab": "glpat-" + drawn(20),
    "slack": "xoxb-" + "40718362955-" + drawn(24),
    "slack hook": "https://hooks.slack.com/services/T12345/B12345/" + drawn(24),
    "stripe": "sk_live_" + drawn(24),
    "stripe test": "rk_test_" + drawn(24),
    "google": "AIza" + drawn(35),
    "openai": "sk-" + drawn(48),
    "hugging face": "hf_" + drawn(34),
    "npm": "npm_" + drawn(36),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + drawn(80),
    "sendgrid": "SG." + drawn(22) + "." + drawn(43),
    "digital ocean": "dop_v1_" + lower_hex(64),
    "shopify": "shpat_" + lower_hex(32),
    "docker": "dckr_pat_" + drawn(24),
    "azure": "AccountKey=" + drawn(86) + "==",
    "telegram": "123456789:AA" + drawn(33),
    "jwt": "eyJ" + drawn(20) + ".eyJ" + drawn(20) + "." + drawn(30),
    "age": "AGE-SECRET-KEY-1" + drawn(58, string.ascii_uppercase).upper(),
}


@pytest.mark.parametrize("name", TOKENS)
def test_keys_and_tokens_of_known_shapes_go_wherever_they_stand(name: str) -> None:
    token = TOKENS[name]
    for before in (f"KEY = '{token}'", f"# curl -H 'x: {token}' y", f'f("a", "{token}")', f"x = 'a\\n{token}\\n'"):
        assert contains_secret(f"KEY = '{token}'")
        redacted = redact(before, "a.py")
        assert token[-12:] not in redacted.text
        assert not contains_secret(redacted.text)
        assert redacted.counts["key"] == 1
        ast.parse(redacted.text)


@pytest.mark.parametrize(
    "line",
    [
        f"api_key = '{drawn(32)}'",
        f'client_secret: str = "{drawn(40)}"',
        f"headers = {{'Authorization': 'Bearer {drawn(40)}'}}",
        f"aws_secret_access_key = '{drawn(40)}'",
        f"config['auth_token'] = '{drawn(24)}'",
        f"if '{drawn(24)}' == password: pass",
    ],
)
def test_random_values_of_secret_names_go(line: str) -> None:
    after = redact(line, "a.py").text
    assert "YOUR_" in after
    assert not re.search(r"a1B2\w", after)
    ast.parse(after)


def test_a_private_key_loses_its_body_and_keeps_its_lines() -> None:
    body = "\n".join(drawn(64) for _ in range(6))
    name = "RSA PRIVATE" + " KEY"
    for text in (
        f'KEY = """-----BEGIN {name}-----\n{body}\n-----END {name}-----"""\n',
        f'KEY = "-----BEGIN {name}-----\\n{body.splitlines()[0]}\\n-----END {name}-----"\n',
        "KEY = (\n"
        + "".join(
            f'    "{line}\\n"\n' for line in (f"-----BEGIN {name}-----", *body.splitlines(), f"-----END {name}-----")
        )
        + ")\n",
    ):
        after = redact(text, "a.py")
        assert not any(line in after.text for line in body.splitlines())
        assert after.text.count("\n") == text.count("\n")
        assert after.counts["key"] == text.count("a1B2")
        ast.parse(after.text)


def test_without_a_path_everything_is_prose() -> None:
    assert redact(f"write to {ANN}").counts == {"email": 1}


def test_counts_are_by_kind() -> None:
    text = f"# Copyright 2020 Ann Lee <{ANN}>\npassword = 'hunter42!'\nhost = '93.184.216.34'\n"
    assert redact(text, "a.py").counts == {"name": 1, "email": 1, "password": 1, "ip": 1}
    assert set(redact(text, "a.py").counts) <= set(KINDS)


PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "\n",
                "\r\n",
                "\r",
                " ",
                "\t",
                "\\",
                "\\n",
                "'",
                '"',
                "@",
                ":",
                "://",
                ".",
                ",",
                "# ",
                "// ",
                "(",
                ")",
                "<",
            ),
            *(
                ANN,
                "bob@b.io",
                "ann at firm dot org",
                "93.184.216.34",
                "2607:f0d0:1002:51::4",
                "5.6.7.8",
                ">",
                "{",
                "/",
            ),
            *(
                "Copyright 2020 ",
                "Ann Lee",
                "Otto von Berg",
                " and ",
                "Author: ",
                "@author ",
                "written by ",
                "TODO(ann)",
            ),
            *(
                "password = 'hunter42!'",
                "token: ",
                drawn(30),
                "ghp_" + drawn(36),
                "Bearer ",
                "/home/annlee/a/b",
                "é",
                "名前",
            ),
            *("user@example.com", "NAME", "YOUR_KEY", "user", "http://u:pw77777@h", "-----BEGIN PRIVATE" + " KEY-----"),
        ]
    ),
    st.text(max_size=6),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(["", "a.py", "a.ts", "a.c", "a.unknown"]))
def test_doing_it_twice_changes_nothing_and_line_breaks_stay(text: str, path: str) -> None:
    once = redact(text, path)
    again = redact(once.text, path)
    assert again.text == once.text
    assert again.counts == {}
    assert re.findall(r"\r\n|\n|\r", once.text) == re.findall(r"\r\n|\n|\r", text)
    assert once.text.splitlines(keepends=True)[-1:] == [] or len(once.text.splitlines()) == len(text.splitlines())


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_string_of_python_stays_one_string(value: str) -> None:
    source = f"x = {value!r}\ny = f({value!a}, b'')\n"
    before = [type(node) for node in ast.walk(ast.parse(source))]
    assert [type(node) for node in ast.walk(ast.parse(redact(source, "a.py").text))] == before


@pytest.mark.parametrize("module", [platform, socketserver, textwrap, _header_value_parser])
def test_real_files_keep_their_code(module: ModuleType) -> None:
    source = inspect.getsource(module)
    redacted = redact(source, "a.py")

    def shape(text: str) -> list[object]:
        nodes = ast.walk(ast.parse(text))
        return [getattr(node, "id", None) or getattr(node, "attr", None) or type(node) for node in nodes]

    assert shape(redacted.text) == shape(source)
    assert redacted.text.count("\n") == source.count("\n")
    assert redact(redacted.text, "a.py").text == redacted.text
