"""Which lines of a checkout become cross-file cases, and what they want."""

from __future__ import annotations

from aix_lsp.evaluation.cases import Case, cases_of, find_cases
from aix_lsp.retrieval.definitions import DefinitionIndex

STORE = "class UserStore:\n    def load_user(self, user_id):\n        return self.table[user_id]\n"
MAIN = (
    "from store import UserStore\n"
    "\n"
    "# UserStore is opened here\n"
    "\n"
    "def main():\n"
    "    first = UserStore().load_user(7)\n"
    "    second = UserStore().load_user(8)\n"
)


def cases(files: dict[str, str], path: str) -> list[Case]:
    index = DefinitionIndex()
    for name, text in files.items():
        index.update(name, text)
    return list(cases_of(path, files[path], index))


def test_the_first_use_of_a_name_of_another_file_is_a_case() -> None:
    main = MAIN.replace("# UserStore is opened here\n", "")
    (case,) = cases({"store.py": STORE, "main.py": main}, "main.py")
    assert (case.line_number, case.line, case.name) == (5, "first = UserStore().load_user(7)", "UserStore")
    assert case.before + case.line + case.after == main
    assert case.before.endswith("\n    ")
    assert case.files == {"store.py"}
    assert case.language == "python"


def test_wanted_are_names_of_other_files_that_are_not_in_the_fifty_lines_above() -> None:
    main = MAIN.replace("# UserStore is opened here\n", "")
    (near,) = cases({"store.py": STORE, "main.py": main}, "main.py")
    assert near.wanted == {"load_user"}  # the import shows the other
    assert near.absent == frozenset()  # the line below has it
    far = main.replace("\n\n", "\n" * 60, 1).replace("second = UserStore().load_user(8)", "pass")
    (case,) = cases({"store.py": STORE, "main.py": far}, "main.py")
    assert case.wanted == {"UserStore", "load_user"}
    assert case.absent == {"load_user"}  # the import has the other


def test_a_name_seen_before_even_in_a_comment_makes_no_case() -> None:
    assert cases({"store.py": STORE, "main.py": MAIN}, "main.py") == []


def test_names_in_strings_of_the_own_file_and_of_other_languages_make_no_case() -> None:
    text = "message = 'a UserStore is needed'\nload_user(message)\n"
    assert cases({"store.py": STORE, "main.py": text}, "main.py") == []
    own = STORE + "store = UserStore().load_user(1)\n"
    assert cases({"store.py": STORE, "main.py": own}, "main.py") == []
    assert cases({"store.py": STORE, "main.go": "package main\nvar x = UserStore.load_user(7)\n"}, "main.go") == []


def test_the_same_seed_gives_the_same_cases_one_of_each_file() -> None:
    files = {f"store_{name}.py": f"class {name}Store:\n    def load_{name}(self): ...\n" for name in ("Aa", "Bb", "Cc")}
    for i in range(6):
        lines = [f"    x = {name}Store().load_{name}()\n" for name in ("Aa", "Bb", "Cc")]
        files[f"use_{i}.py"] = f"def use_{i}():\n" + "".join(lines)
    first = find_cases(files, count=4, seed=1)
    assert first == find_cases(dict(reversed(files.items())), count=4, seed=1)
    assert len(first) == 4
    assert len({case.path for case in first}) == 4
    assert first != find_cases(files, count=4, seed=2)
    assert len(find_cases(files, count=50)) == 6
