"""Keys and values of several documents: none evicts another while there is room, and no answer depends on them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.document_caches import MOST_DOCUMENTS
from tests.unit.test_decode import after, expected, generated, tokens
from tests.unit.tiny_models import tiny_model


def test_two_documents_keep_their_own_prefixes() -> None:
    model = tiny_model()
    decoder = Decoder(model)
    one, other = tokens(40, seed=1), tokens(50, seed=2)
    generated(decoder, one, 2, document="one")
    generated(decoder, other, 2, document="other")
    assert generated(decoder, [*one, 300], document="one") == expected(model, [*one, 300])
    assert decoder.reused_tokens == len(one)
    assert generated(decoder, [*other, 301], document="other") == expected(model, [*other, 301])
    assert decoder.reused_tokens == len(other)
    decoder.forget("one")
    assert decoder.held_for("one") == ()
    assert decoder.held_for("other")


def test_the_caches_used_longest_ago_go_first_when_the_memory_is_full() -> None:
    model = tiny_model()
    alone = Decoder(model)
    generated(alone, tokens(20), 1)
    decoder = Decoder(model, cache_bytes=2 * alone.cache_bytes)
    for document in ("a", "b", "a", "c"):
        generated(decoder, tokens(20, seed=ord(document)), 1, document=document)
    assert [bool(decoder.held_for(document)) for document in "abc"] == [True, False, True]
    assert decoder.cache_bytes <= 2 * alone.cache_bytes
    tight = Decoder(model, cache_bytes=0)
    generated(tight, tokens(20), 1, document="a")
    assert tight.held_for("a")  # the latest stays in any case


def test_the_keys_of_a_few_documents_are_kept_however_much_memory_there_is() -> None:
    decoder = Decoder(tiny_model(num_hidden_layers=1))
    names = [f"file {number}" for number in range(MOST_DOCUMENTS + 3)]
    for number, name in enumerate(names):
        generated(decoder, tokens(5, seed=number), 1, document=name)
    assert [name for name in names if decoder.held_for(name)] == names[-MOST_DOCUMENTS:]


def test_a_decoder_that_has_shrunk_keeps_one_document_only() -> None:
    model = tiny_model()
    decoder = Decoder(model)
    for document in "ab":
        generated(decoder, tokens(20, seed=ord(document)), 1, document=document)
    decoder.shrink()
    assert decoder.cache_bytes == 0
    for document in "ab":
        ids = tokens(20, seed=ord(document))
        assert generated(decoder, ids, 6, document=document) == expected(model, ids, 6)
    assert [bool(decoder.held_for(document)) for document in "ab"] == [False, True]


def test_a_new_document_begins_with_what_it_shares_with_another() -> None:
    model = tiny_model()
    decoder = Decoder(model)
    header = tokens(80)
    one, other = [*header, *tokens(10, seed=1)], [*header, *tokens(10, seed=2)]
    generated(decoder, one, 3, document="one")
    assert generated(decoder, other, document="other") == expected(model, other)
    assert decoder.reused_tokens == len(header)
    assert generated(decoder, one, document="one") == expected(model, one)
    assert decoder.reused_tokens == len(one) - 1
    generated(decoder, tokens(30, seed=9), 1, document="third")
    assert decoder.reused_tokens == 0


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_order_of_documents_and_cancellations_leaves_every_answer_right(data: st.DataObject) -> None:
    model = tiny_model(num_hidden_layers=1)
    decoder = Decoder(model, chunk=4, cache_bytes=data.draw(st.sampled_from([0, 200_000, 10**9])))
    small = st.lists(st.integers(300, 302), min_size=1, max_size=12)
    documents = st.sampled_from("abc")
    for ids in data.draw(st.lists(small, min_size=1, max_size=6)):
        cancelled = after(data.draw(st.integers(0, 8)))
        generated(decoder, ids, 4, document=data.draw(documents), cancelled=cancelled)
    ids = data.draw(small)
    assert generated(decoder, ids, 4, document=data.draw(documents)) == generated(Decoder(model), ids, 4)
