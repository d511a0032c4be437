"""Text as token ids, by the tokenizer that travels in the bundle: training and serving share it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

TOKENIZER = "tokenizer.json"
"""Name of the tokenizer among a dataset's assets and a bundle's files."""

MAX_TOKENS = 256
"""Texts are cut there unless the tokenizer says where."""


def read_tokenizer(path: Path) -> Any:
    """Open a Hugging Face `tokenizer.json`, set to pad a batch only to its longest text.

    Texts are cut where the file itself says, else at MAX_TOKENS. Padding is the id 0 unless the
    file names another, so that a graph can tell it from text without a second input.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    own = tokenizer.padding or {}
    tokenizer.enable_padding(
        pad_id=own.get("pad_id", 0), pad_token=own.get("pad_token", "[PAD]"), length=None
    )
    if tokenizer.truncation is None:
        tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def token_ids(tokenizer: Any, texts: Sequence[str]) -> np.ndarray:
    """Return int64 [texts, longest]; rows of empty texts keep one column."""
    import numpy as np

    codes = np.array([e.ids for e in tokenizer.encode_batch(list(texts))], dtype=np.int64)
    return codes if codes.size else np.zeros((len(texts), 1), np.int64)
