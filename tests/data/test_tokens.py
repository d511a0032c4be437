"""Training and serving read text with one tokenizer, opened in one way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from workbench.data.tokens import MAX_TOKENS, read_tokenizer, token_ids


@pytest.fixture
def tokenizer() -> Tokenizer:
    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "new": 2, "card": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return words


def opened(tokenizer: Tokenizer, tmp_path: Path) -> Tokenizer:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return read_tokenizer(tmp_path / "tokenizer.json")


def test_texts_are_padded_to_the_longest_of_them(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.enable_padding(length=50)  # a file may ask for a fixed length: it is not followed
    found = token_ids(opened(tokenizer, tmp_path), ["new card", "card", ""])
    assert found.tolist() == [[2, 3], [3, 0], [0, 0]]
    assert found.dtype == np.int64


def test_padding_is_the_one_that_the_tokenizer_names(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.enable_padding(pad_id=3, pad_token="card")
    assert token_ids(opened(tokenizer, tmp_path), ["new new", "new"]).tolist() == [[2, 2], [2, 3]]


def test_texts_are_cut_where_the_tokenizer_says_or_at_the_limit(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    long = ["new " * 2 * MAX_TOKENS]
    assert token_ids(opened(tokenizer, tmp_path), long).shape == (1, MAX_TOKENS)
    tokenizer.enable_truncation(7)
    assert token_ids(opened(tokenizer, tmp_path), long).shape == (1, 7)


def test_empty_texts_keep_one_column_for_the_graph(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert token_ids(opened(tokenizer, tmp_path), ["", ""]).tolist() == [[0], [0]]
