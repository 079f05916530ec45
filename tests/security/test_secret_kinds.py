"""Which texts and files count as secrets: the planted set, and what must not."""

from __future__ import annotations

import pytest

from aix_lsp.completion.secret_text import SecretFinder
from aix_lsp.workspace.secrets import contains_secret, is_secret_path
from tests.security.planted import BY_NAME, HARMLESS, IN_TEXT, Planted

CODE = '"""Rates."""\n\nRATE = 0.19\n\n\ndef taxed(amount):\n    return amount * (1 + RATE)\n'


@pytest.mark.parametrize("planted", IN_TEXT, ids=lambda planted: planted.kind)
def test_a_secret_of_any_kind_is_found_in_the_middle_of_code(planted: Planted) -> None:
    assert contains_secret(f"{CODE}\n{planted.text}\n{CODE}")
    assert contains_secret(f"{CODE}# {planted.text}")


@pytest.mark.parametrize("planted", IN_TEXT, ids=lambda planted: planted.kind)
def test_a_secret_that_is_pasted_into_a_document_is_found_with_the_same_key(planted: Planted) -> None:
    finder = SecretFinder()
    before = CODE * 40
    assert not finder.holds(before)
    assert finder.holds(before[:999] + f"\n{planted.text}\n" + before[999:])
    assert not finder.holds(before)


@pytest.mark.parametrize("path", BY_NAME)
def test_a_file_that_is_secret_by_name_is_known_in_any_folder(path: str) -> None:
    assert is_secret_path(path)
    assert is_secret_path(f"deploy/production/{path}")


@pytest.mark.parametrize("text", HARMLESS)
def test_ids_checksums_images_and_placeholders_do_not_silence_a_file(text: str) -> None:
    assert not contains_secret(f"{CODE}\n{text}\n{CODE}")
