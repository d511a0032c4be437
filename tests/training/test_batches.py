"""What `forward` and `loss` get of rows, by role and by task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from workbench.core.errors import DataError, PipelineError
from workbench.core.records import Role, Task
from workbench.data.examples import Spec
from workbench.data.fitted import Fitted, fit, known
from workbench.data.tables import Tables
from workbench.data.tokens import TOKENIZER, byte_tokenizer
from workbench.training import batches
from workbench.training.batches import Batches, narrow, targets, tensors, tokens, wide
from workbench.training.loss import default_loss

CPU = torch.device("cpu")
ROWS = pa.table(
    {
        "seen": [["a", "b"], ["a"], None, ["c", None]],
        "next": ["c", "d", "a", "a"],
        "words": ["x", None, "y", "x"],
        "said": ["hello", "you", None, "there"],
        "left": [1.0, 2.0, 3.0, 4.0],
        "right": [10.0, 10.0, 30.0, 30.0],
    }
)


def fitted(task: Task, given: tuple[str, ...], **roles: Role) -> Fitted:
    return fit(ROWS, Spec(key=("id",), roles=roles, task=task, targets=given))


def test_a_list_is_padded_with_the_code_that_unknown_words_have() -> None:
    codes = tensors(ROWS, fitted("none", (), seen="list"))["seen"]
    assert codes.tolist() == [[1, 2], [1, 0], [0, 0], [3, 0]]
    unseen = pa.table({"seen": [["a", "never met"]]})
    assert tensors(unseen, fitted("none", (), seen="list"))["seen"].tolist() == [[1, 0]]


def test_a_missing_word_has_a_code_of_its_own() -> None:
    one = fitted("none", (), words="word")
    codes = tensors(ROWS, one)["words"].tolist()
    assert codes[0] == codes[3]
    assert len(set(codes)) == 3
    assert 0 not in codes


def test_a_ranking_knows_the_items_of_histories_and_targets_by_one_code() -> None:
    one = fitted("ranking", ("next",), seen="list")
    assert set(one.classes) == {"a", "b", "c", "d"}
    assert one.columns["seen"].words == one.classes
    found = targets(ROWS, one)
    assert found is not None
    assert [one.classes[code - 1] for code in found] == ROWS["next"].to_pylist()
    new = targets(pa.table({"next": ["never met"]}), one)
    assert new is not None
    assert new.tolist() == [0]


def test_a_ranking_without_a_history_is_refused() -> None:
    with pytest.raises(DataError, match="list"):
        fitted("ranking", ("next",), words="word")


def test_an_item_that_training_never_saw_adds_nothing_to_the_loss() -> None:
    one = fitted("ranking", ("next",), seen="list")
    loss = default_loss(one, "none")
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))

    def model(columns: Any) -> torch.Tensor:
        return scores[: len(columns["seen"])]

    known = loss(model, {"seen": torch.zeros(2)}, torch.tensor([1, 2]))  # type: ignore[arg-type]
    more = loss(model, {"seen": torch.zeros(3)}, torch.tensor([1, 2, 0]))  # type: ignore[arg-type]
    assert known == more
    assert loss(model, {"seen": torch.zeros(1)}, torch.tensor([0])) == 0  # type: ignore[arg-type]


def test_several_targets_of_a_regression_are_standardised_each_by_its_own() -> None:
    found = targets(ROWS, fitted("regression", ("left", "right"), words="word"))
    assert found is not None
    assert found.shape == (4, 2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    assert found[:, 1].tolist() == [-1, -1, 1, 1]


def test_targets_without_a_task_come_as_they_are() -> None:
    one = targets(ROWS, fitted("none", ("left",), words="word"))
    two = targets(ROWS, fitted("none", ("left", "right"), words="word"))
    assert one is not None
    assert two is not None
    assert one.tolist() == [1, 2, 3, 4]
    assert two.tolist() == [[1, 10], [2, 10], [3, 30], [4, 30]]
    assert targets(ROWS, fitted("none", (), words="word")) is None


def test_text_without_a_tokenizer_says_what_is_missing() -> None:
    with pytest.raises(PipelineError, match=r"tokenizer\.json"):
        tensors(ROWS, fitted("none", (), said="text"))


def test_whole_numbers_are_kept_small_and_come_back_as_they_were() -> None:
    ends = [
        torch.tensor([-32_768, 0, 32_767]),
        torch.tensor([-32_769, 0, 2**31 - 1]),
        torch.tensor([-(2**31) - 1, 0, 2**62]),
    ]
    kinds = [torch.int16, torch.int32, torch.int64]
    assert [narrow(column).dtype for column in ends] == kinds
    for column in ends:
        assert torch.equal(wide(narrow(column)), column)
    pixels = torch.tensor([3], dtype=torch.uint8)
    assert wide(narrow(pixels)).dtype == torch.uint8
    packed = Batches.of({str(i): column for i, column in enumerate(ends)}, None, CPU)
    columns, _ = packed.take(torch.tensor([2, 0]))
    for name, column in columns.items():
        assert torch.equal(column, ends[int(name)][[2, 0]])


def test_texts_read_in_parts_are_as_if_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Tables({}, assets={TOKENIZER: byte_tokenizer(tmp_path / TOKENIZER)})
    texts = ["a", "longer than the rest", "", "bb", "ccc", "d"]
    whole = tokens(data, texts)
    monkeypatch.setattr(batches, "TEXTS_AT_ONCE", 2)
    assert torch.equal(tokens(data, texts), whole)
    assert tokens(data, []).shape == (0, 1)


def test_rows_of_a_class_that_training_never_saw_do_not_judge_it() -> None:
    one = fitted("multiclass", ("next",), words="word")
    rows = pa.table({"next": ["a", "new", "d"], "words": ["x", "x", "y"]})
    assert known(rows, one)["next"].to_pylist() == ["a", "d"]
    with pytest.raises(DataError, match="validation side"):
        known(rows.slice(1, 1), one)
