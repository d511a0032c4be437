"""What `forward` and `loss` get of rows, by role and by task."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import torch

from workbench.core.errors import DataError, PipelineError
from workbench.core.records import Role, Task
from workbench.data.examples import Spec
from workbench.data.fitted import Fitted, fit
from workbench.training.batches import targets, tensors
from workbench.training.loss import default_loss

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
