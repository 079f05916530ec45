"""URIs and paths, as text only: the Windows cases run on every system."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aix_lsp.uris import last_part, normalize, path_to_uri, uri_to_path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/me/a.py", "/home/me/a.py"),
        ("file:/home/me/a.py", "/home/me/a.py"),
        ("FILE:///home/me/a.py", "/home/me/a.py"),
        ("file://localhost/home/me/a.py", "/home/me/a.py"),
        ("file:///a%20b/c d.py", "/a b/c d.py"),
        ("file:///c%23%3f/100%25.py", "/c#?/100%.py"),
        ("file:///x.py#L3", "/x.py"),
        ("file:///x.py?query", "/x.py"),
        ("file:///%E5%A4%A7/%c3%a9.py", "/大/é.py"),
        ("file:///大/é.py", "/大/é.py"),
        ("file:///bad%FFname", "/bad\udcffname"),
        ("file:///50%.py", "/50%.py"),
        ("file:///c%3A/x", "/c:/x"),
        ("file:///a\\b", "/a\\b"),
        ("file://server/share/x", "//server/share/x"),
        ("file:///", "/"),
    ],
)
def test_file_uri_is_a_posix_path(uri: str, path: str) -> None:
    assert uri_to_path(uri, windows=False) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///c%3A/me/a.py", "c:/me/a.py"),
        ("file:///C:/me/a.py", "C:/me/a.py"),
        ("file:///c:/a%20b/%C3%A9.py", "c:/a b/é.py"),
        ("file:///c:\\me\\a.py", "c:/me/a.py"),
        ("file:///c:", "c:/"),
        ("file:///c:/", "c:/"),
        ("file://c:/me/a.py", "c:/me/a.py"),
        ("file://C%3A/me/a.py", "c:/me/a.py"),
        ("file:c:/me/a.py", "c:/me/a.py"),
        ("file://server/share/x.py", "//server/share/x.py"),
        ("file:////server/share/x.py", "//server/share/x.py"),
        ("file://wsl.localhost/Debian/home/x.py", "//wsl.localhost/Debian/home/x.py"),
    ],
)
def test_file_uri_is_a_windows_path(uri: str, path: str) -> None:
    found = uri_to_path(uri, windows=True)
    assert found == PureWindowsPath(path)
    assert found.is_absolute()


@pytest.mark.parametrize(
    "uri",
    ["untitled:Untitled-1", "vscode-notebook-cell:/a.ipynb#W0", "git:/a.py", "c:\\a.py", "/a.py", "", "file:///%00"],
)
@pytest.mark.parametrize("windows", [False, True])
def test_what_is_no_file_has_no_path(uri: str, windows: bool) -> None:
    assert uri_to_path(uri, windows=windows) is None


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (PurePosixPath("/home/me/a.py"), "file:///home/me/a.py"),
        (PurePosixPath("/a b/#?%.py"), "file:///a%20b/%23%3F%25.py"),
        (PurePosixPath("/大/é.py"), "file:///%E5%A4%A7/%C3%A9.py"),
        (PurePosixPath("/bad\udcffname"), "file:///bad%FFname"),
        (PurePosixPath("/a\\b"), "file:///a%5Cb"),
        (PureWindowsPath("C:\\me\\a.py"), "file:///c:/me/a.py"),
        (PureWindowsPath("\\\\Server\\share\\a b.py"), "file://server/share/a%20b.py"),
    ],
)
def test_path_is_a_file_uri_and_leads_back(path: PurePosixPath | PureWindowsPath, uri: str) -> None:
    assert path_to_uri(path) == uri
    assert normalize(uri) == uri
    assert uri_to_path(uri, windows=isinstance(path, PureWindowsPath)) == path


@pytest.mark.parametrize("path", [PurePosixPath("a.py"), PureWindowsPath("a.py"), PureWindowsPath("/a.py")])
def test_a_relative_path_has_no_uri(path: PurePosixPath | PureWindowsPath) -> None:
    with pytest.raises(ValueError, match="not absolute"):
        path_to_uri(path)


@pytest.mark.parametrize(
    ("key", "spellings"),
    [
        (
            "file:///c:/x",
            [
                *("file:///c%3A/x", "file:///c%3a/x", "file:///C:/x", "file:///C%3A/x", "file:///c:/x", "FILE:///c:/x"),
                *("file:///C:\\x", "file://c:/x", "file://localhost/c%3A/x", "file:/c:/x", "file:////C:/x"),
            ],
        ),
        ("file:///a%20b", ["file:///a b", "file:///a%20b", "file:/a%20b"]),
        ("file:///%C3%A9", ["file:///é", "file:///%c3%a9", "file:///%C3%A9"]),
        ("file:///a%23b%3Fc", ["file:///a%23b%3fc"]),
        ("file:///a~b-c_d.e", ["file:///a%7Eb%2Dc%5Fd%2Ee", "file:///a~b-c_d.e"]),
        ("file:///a%28b%29%40%2B", ["file:///a(b)@+"]),
        ("file://server/Share/x", ["file://SERVER/Share/x", "file:////server/Share/x", "file://server/Share/x"]),
        ("file:///a%5Cb", ["file:///a\\b", "file:///a%5cb"]),
        ("file:///c:", ["file:///C:", "file:///c%3A"]),
        ("untitled:Untitled-1", ["untitled:Untitled-1"]),
        (
            "vscode-notebook-cell:/a%20b.ipynb#W0sZmlsZQ%3D%3D",
            ["vscode-notebook-cell:/a b.ipynb#W0sZmlsZQ==", "vscode-notebook-cell:///a%20b.ipynb#W0sZmlsZQ%3d%3d"],
        ),
        ("vscode-notebook-cell:/c:/n.ipynb#W1", ["vscode-notebook-cell:/c%3A/n.ipynb#W1"]),
        (
            "vscode-notebook-cell://ssh-remote%2BHost/n.ipynb#W1",
            [
                "vscode-notebook-cell://ssh-remote+Host/n.ipynb#W1",
                "vscode-notebook-cell://ssh-remote%2bHost/n.ipynb#W1",
            ],
        ),
        ("git:/a.py?ref=HEAD~1", ["git:/a.py?ref=HEAD~1", "git:/a.py?ref=HEAD%7E1", "git:/a.py?ref%3dHEAD%7e1"]),
    ],
)
def test_spellings_of_one_document_have_one_key(key: str, spellings: list[str]) -> None:
    assert {normalize(each) for each in spellings} == {key}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("file:///a", "file:///A"),
        ("file:///a/b", "file:///a%2Fb"),
        ("file:///a%2520b", "file:///a%20b"),
        ("file:///a", "file://a/"),
        ("file:///cc:/x", "file:///CC:/x"),
        ("vscode-notebook-cell:/n.ipynb#W0", "vscode-notebook-cell:/n.ipynb#W1"),
        ("vscode-notebook-cell:/n.ipynb#W0", "vscode-notebook-cell:/n.ipynb#w0"),
        ("vscode-notebook-cell:/n.ipynb", "vscode-notebook-cell:/n.ipynb#"),
        ("untitled:Untitled-1", "untitled:Untitled-2"),
        ("git:/a.py?one", "git:/a.py?two"),
    ],
)
def test_different_documents_keep_different_keys(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


@given(st.text(alphabet=st.sampled_from([*"abCfile:/\\?#%25cC3 é[]@+~\n\t\0", "😀", "\ud83d", "\udcff"]), max_size=25))
@example("file://[")
@example("file:foo")
@example("file:////")
@example("file:///c%253A/x")
@example("//c:/x")
@example("%")
def test_normalize_never_raises_and_keeps_its_own_result(uri: str) -> None:
    for each in (uri, f"file://{uri}", f"file:///{uri}", f"vscode-notebook-cell:{uri}"):
        once = normalize(each)
        assert normalize(once) == once
        uri_to_path(each, windows=True)
        uri_to_path(each, windows=False)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20))
def test_every_absolute_posix_path_leads_back(name: str) -> None:
    path = PurePosixPath("/root") / name.replace("/", "-")
    assert uri_to_path(path_to_uri(path), windows=False) == path


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("untitled:Untitled-1", "Untitled-1"),
        ("vscode-notebook-cell:/a/n%20b.ipynb#W0", "n b.ipynb"),
        ("inmemory://model/3", "3"),
        ("file:///a/b/", "b"),
        ("odd://", "odd://"),
    ],
)
def test_last_part_names_a_document_that_is_no_file(uri: str, name: str) -> None:
    assert last_part(uri) == name
