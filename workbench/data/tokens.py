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

CHARACTERS_A_TOKEN = 32
"""More than one token spans, so that cutting there changes no token that is read."""

BYTES = 128
"""Bytes of a text that the tokenizer by bytes reads."""


def byte_tokenizer(path: Path | None = None) -> Path:
    """Write a `tokenizer.json` that knows every text without learning anything; where it is.

    path: left out, it lasts as long as the stage that asks. Token 0 is padding, and each of the
    256 bytes of UTF-8 has its own; texts are cut after BYTES bytes. The same bytes are written
    each time.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    if path is None:
        from workbench.data.sources.reading import scratch_of_backend

        path = scratch_of_backend() / TOKENIZER
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"[PAD]": 0} | {letter: i for i, letter in enumerate(letters, start=1)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.enable_truncation(BYTES)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.save(str(path))
    return path


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
    """Return int64 [texts, longest]; rows of empty texts keep one column.

    What lies far behind the last token is cut off first: a book of a megabyte takes seconds.
    """
    import numpy as np

    most = (tokenizer.truncation or {}).get("max_length", MAX_TOKENS) * CHARACTERS_A_TOKEN
    short = [text[:most] for text in texts]
    codes = np.array([e.ids for e in tokenizer.encode_batch(short)], dtype=np.int64)
    return codes if codes.size else np.zeros((len(texts), 1), np.int64)
