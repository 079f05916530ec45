"""Languages: endings, headers as aiXcoder-7B saw them, comments, and what is worth indexing."""

import subprocess
import sys

import pytest

from aix_lsp.languages import Language, comment_line, header, is_code, language_id_of, language_of

CODE = """
a.py a.pyi a.mjs a.go a.rs a.java a.kt a.vue a.html a.scss a.sql a.sh a.yaml a.tf Dockerfile a/Makefile a.m a.proto
CMakeLists.txt pom.xml a.csproj a.xaml a.jinja2 a.graphql pyproject.toml
"""
NOT_CODE = """
a.csv a.svg package-lock.json a.json poetry.lock pnpm-lock.yaml a.txt a.md a.rst a.xml a.tex a.pkl a.ipynb LICENSE
a.log a.png a.po a.diff .gitignore
"""


def test_header_is_the_path_comment_and_the_language_line() -> None:
    assert header("test.py") == "# the file path is: test.py\n# the code file is written by Python\n"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/a.ts", "// the file path is: src/a.ts\n// the code file is written by TypeScript\n"),
        ("a.tsx", "// the file path is: a.tsx\n// the code file is written by TypeScript with JSX\n"),
        ("x.c", "// the file path is: x.c\n// the code file is written by C\n"),
        ("x.h", "// the file path is: x.h\n// the code file is written by C++\n"),
        ("x.C", "// the file path is: x.C\n// the code file is written by C++\n"),
        ("x.cs", "// the file path is: x.cs\n// the code file is written by C#\n"),
        ("i.html", "<!--the file path is: i.html-->\n<!--the code file is written by HTML-->\n"),
        ("i.css", "/* the file path is: i.css */\n/* the code file is written by CSS */\n"),
        ("Dockerfile", "# the file path is: Dockerfile\n# the code file is written by Dockerfile\n"),
        ("sub/Makefile", "# the file path is: sub/Makefile\n# the code file is written by Makefile\n"),
    ],
)
def test_header_by_ending_or_name(path: str, expected: str) -> None:
    assert header(path) == expected


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("a.tcl", "// {}", "// the code file is written by Augeas"),
        ("a.lua", "// {}", "// the code file is written by Lua"),
        ("a.swift", "// {}", "// the code file is written by swift"),
        ("a.f90", "!{}", "!the code file is written by Fortran"),
        ("a.ml", "(*{}*)", "(*the code file is written by OCaml*)"),
        ("a.st", "'' {}", "'' the code file is written by Smalltalk"),
        ("a.ron", "<!--{}-->", "<!--the code file is written by Markdown-->"),
    ],
)
def test_quirks_of_the_headers_are_kept(path: str, first: str, second: str) -> None:
    assert header(path) == f"{first.format(f'the file path is: {path}')}\n{second}\n"


@pytest.mark.parametrize("path", ["a.json", "a.unknown", "a.xml", "a.proto", "a.vb", "LICENSE", "", "a."])
def test_languages_that_the_model_never_saw_a_header_for_have_none(path: str) -> None:
    assert header(path) == ""


def test_a_path_that_looks_like_a_template_is_quoted_as_it_is() -> None:
    assert header("{text}.py").startswith("# the file path is: {text}.py\n")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.axi.erb", "netlinx+erb"),
        ("lib/a.d.ts", "typescript"),
        ("CMakeLists.txt", "cmake"),
        ("a.cmake.in", "cmake"),
        ("A.PY", "python"),
        ("C:\\work\\a.go", "go"),
        ("dir.py/readme", ""),
        (".irbrc", "ruby"),
    ],
)
def test_the_longest_known_ending_of_the_name_decides(path: str, name: str) -> None:
    assert language_of(path).name == name


@pytest.mark.parametrize(
    ("language_id", "name"),
    [
        ("python", "python"),
        ("javascript", "javascript"),
        ("typescript", "typescript"),
        ("javascriptreact", "jsx"),
        ("typescriptreact", "tsx"),
        ("java", "java"),
        ("go", "go"),
        ("rust", "rust"),
        ("c", "c"),
        ("cpp", "c++"),
        ("csharp", "c#"),
        ("shellscript", "shell"),
        ("plaintext", ""),
        ("", ""),
    ],
)
def test_the_editors_identifier_serves_names_without_a_known_ending(language_id: str, name: str) -> None:
    assert language_of("Untitled-1", language_id).name == name


def test_a_known_ending_is_stronger_than_the_editors_identifier() -> None:
    assert language_of("a.py", "go").name == "python"
    assert header("Untitled-1", "go") == "// the file path is: Untitled-1\n// the code file is written by Go\n"


@pytest.mark.parametrize(
    ("path", "language_id"),
    [
        ("a.py", "python"),
        ("a.cc", "cpp"),
        ("a.cs", "csharp"),
        ("a.jsx", "javascriptreact"),
        ("a.tsx", "typescriptreact"),
        ("a.sh", "shellscript"),
        ("a.xyz", "plaintext"),
    ],
)
def test_the_protocols_identifier_of_a_file(path: str, language_id: str) -> None:
    assert language_id_of(path) == language_id


@pytest.mark.parametrize(
    ("path", "grammar"),
    [
        ("a.py", "python"),
        ("a.pyi", "python"),
        ("a.mjs", "javascript"),
        ("a.jsx", "javascript"),
        ("a.ts", "typescript"),
        ("a.tsx", "tsx"),
        ("a.java", "java"),
        ("a.go", "go"),
        ("a.rs", "rust"),
        ("a.c", "c"),
        ("a.h", "cpp"),
        ("a.cu", "cpp"),
        ("a.cs", "csharp"),
        ("a.rb", None),
    ],
)
def test_grammar(path: str, grammar: str | None) -> None:
    assert language_of(path).grammar == grammar


def test_keywords_are_the_languages_own() -> None:
    assert "def" in language_of("a.py").keywords
    assert "func" in language_of("a.go").keywords
    assert "def" not in language_of("a.go").keywords
    assert language_of("a.tsx").keywords == language_of("a.js").keywords
    assert "return" in language_of("a.unknown").keywords
    assert all(word == word.lower() for word in language_of("a.cs").keywords)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.py", "# x"),
        ("a.lua", "-- x"),
        ("a.tcl", "# x"),
        ("a.css", "/* x */"),
        ("a.html", "<!-- x -->"),
        ("a.proto", "// x"),
        ("a.vb", "' x"),
        ("a.unknown", "# x"),
    ],
)
def test_comment_lines_are_real_comments_of_the_language(path: str, expected: str) -> None:
    assert comment_line(language_of(path), "x") == expected


def test_a_comment_line_cannot_be_closed_from_inside() -> None:
    assert comment_line(language_of("a.css"), "a */ b") == "/* a * / b */"
    assert comment_line(Language("x", ("{", "}"), None, None, frozenset()), "a } b").count("}") == 2
    assert comment_line(language_of("a.py"), "") == "#"
    assert comment_line(language_of("a.css"), "") == "/* */"


@pytest.mark.parametrize("path", CODE.split())
def test_programs_templates_and_written_settings_are_code(path: str) -> None:
    assert is_code(path)


@pytest.mark.parametrize("path", NOT_CODE.split())
def test_data_and_prose_are_not_code(path: str) -> None:
    assert not is_code(path)


def test_importing_the_module_loads_nothing_heavy() -> None:
    code = "import sys, aix_lsp.languages; print({'numpy', 'tree_sitter', 'torch', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
