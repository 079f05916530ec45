"""Options of `aix-lsp serve` become settings."""

from __future__ import annotations

from typing import Any

import pytest

from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.serve import main


def test_quantize_is_a_short_word_for_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("aix_lsp.server.app.serve_stdio", seen.append)
    main(["--model", "aixcoder-7b", "--quantize", "int4"])
    main(["--model", "aixcoder-7b"])
    assert seen == [{"model.name": "aixcoder-7b", "model.quantization": "int4"}, {"model.name": "aixcoder-7b"}]
    with pytest.raises(UsageError, match="--quantize"):
        main(["--quantize", "int3"])
