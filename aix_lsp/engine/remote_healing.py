"""Token healing with a server that cannot be made to begin with a text: the begun word is asked for token by token.

`prompt/healing.py` takes an unfinished word back from the prompt, and the answer must spell it out again. Here each of
its tokens, mostly there is one, is a request of its own for one token, in which `logit_bias` lifts those that can come
above all others. `logit_bias` is OpenAI's, and vLLM's and llama.cpp's servers have it; whether it does what it should
is tried out at start. With the prompt in the server's cache such a request costs little more than the way there.

A begun blank is not worth that: thousands of tokens begin with one, and a model hardly ever goes on in another way.
There the answer is simply looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.remote_http import RemoteClient
from aix_lsp.engine.remote_stream import pieces_in
from aix_lsp.engine.tokenizer import ModelTokenizer

COMPLETIONS: Final = "/v1/completions"
_LIFT = 100
"""The most that OpenAI's interface allows; far more than logits differ by."""

_MOST_LIFTED = 1000
_MOST_STEPS = 8
_STEP_S = 10.0


def is_blank(required: str) -> bool:
    """Whether only blanks were taken back."""
    return not required.strip()


async def spell_out(
    client: RemoteClient,
    tokenizer: ModelTokenizer,
    vocabulary: Vocabulary,
    body: Mapping[str, Any],
    required: str,
) -> list[int] | None:
    """The tokens that the model begins with when it must spell out `required`; None where that does not work.

    `body` is the request with the prompt as ids. The last token may say more than is required. Raises RemoteError.
    """
    tokens: list[int] = []
    rest = required
    while rest:
        able = vocabulary.beginnings(rest)
        if not 0 < len(able) <= _MOST_LIFTED or len(tokens) == _MOST_STEPS:
            return None
        prompt = [*body["prompt"], *tokens]
        token = able[0] if len(able) == 1 else await lifted(client, tokenizer, {**body, "prompt": prompt}, able)
        if token is None:
            return None
        tokens.append(token)
        rest = vocabulary.rest(token, rest)
    return tokens


async def lifted(
    client: RemoteClient, tokenizer: ModelTokenizer, body: Mapping[str, Any], able: Sequence[int]
) -> int | None:
    """The next token when only these can come; None when another came all the same. Raises RemoteError."""
    asked = {**body, "max_tokens": 1, "stream": False, "logit_bias": {str(token): _LIFT for token in able}}
    pieces = pieces_in(await client.post(COMPLETIONS, asked, model=str(body["model"]), timeout_s=_STEP_S))
    if not pieces:
        return None
    if pieces[0].tokens is not None:
        token = next(iter(pieces[0].tokens), None)
        return token if token in able else None
    text = pieces[0].text
    same = [token for token in able if tokenizer.decode([token]) == text]
    # Sentencepiece has a piece for every byte beside the character's own, which is the one that models write.
    return next((token for token in same if tokenizer.encode(text) == [token]), next(iter(same), None))


def rare_word(tokenizer: ModelTokenizer) -> int | None:
    """A token that no model would choose by itself after a repetition: a long word late in the vocabulary."""
    for token in range(tokenizer.vocabulary_size - 1, -1, -1):
        text = tokenizer.decode([token])
        if len(text) > 3 and text.isascii() and text.isalpha():
            return token
    return None
