"""What an evaluation needs before it says anything."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.core.errors import DataError
from workbench.data.fitted import Fitted
from workbench.stages.evaluate import _labels, require_both
from workbench.training import evaluation, pictures


def test_a_test_side_of_one_class_is_refused_in_a_sentence() -> None:
    require_both("left", np.array([0.0, 1.0, 0.0]))
    with pytest.raises(DataError, match="only one class of 'left'"):
        require_both("left", np.zeros(3))
    with pytest.raises(DataError, match="only one class of 'left'"):  # the third does not count
        require_both("left", np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 0.0]))


def test_a_class_that_training_never_saw_is_a_wrong_answer_and_never_a_right_one() -> None:
    import pyarrow as pa

    fitted = Fitted("multiclass", ("kind",), {}, 3, classes=("a", "b"))
    label = _labels(pa.table({"kind": ["a", "new", "b"]}), fitted, "kind")
    assert label.tolist() == [0, -1, 1]
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    every = np.ones(3)
    assert evaluation.accuracy(label, scores)(every) == pytest.approx(2 / 3)
    wanted = -(np.log(0.9) + np.log(1e-7) + np.log(0.7)) / 3
    assert evaluation.log_loss(label, scores)(every) == pytest.approx(wanted)
    assert sum(p["rows"] for p in pictures.confusion(label, scores, ("a", "b"))) == 2
