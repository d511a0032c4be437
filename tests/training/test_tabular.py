"""The default model reads any table, learns it, resumes, and answers the same from ONNX."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from workbench.core.errors import PipelineError
from workbench.core.params import Train
from workbench.core.records import Column, Role, Task
from workbench.data.examples import Spec
from workbench.data.fitted import BINS, Fitted, arrays, fit
from workbench.data.tables import Tables
from workbench.data.tokens import BYTES, TOKENIZER, byte_tokenizer, read_tokenizer, token_ids
from workbench.training.batches import Batches, targets, tensors
from workbench.training.columns import Columns
from workbench.training.devices import Place
from workbench.training.effort import effort
from workbench.training.export import export_onnx
from workbench.training.loop import train
from workbench.training.loss import Answer, default_loss
from workbench.training.served import columns_of
from workbench.training.tabular import Bins, Tabular

ROLES: dict[str, Role] = {
    "amount": "number",
    "steps": "number",
    "empty": "number",
    "shop": "word",
    "city": "word",
    "at": "time",
    "said": "text",
}
PLACE = Place(torch.device("cpu"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take seconds for milliseconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def table(rows: int, seed: int = 0) -> pa.Table:
    """A messy table: missing cells, rare words, a constant column, emoji and markup in text."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3, 1.5, rows)
    shop = rng.choice(["a", "b", "<b>", "d 😀"], rows)
    awful = rng.random(rows) < 0.5
    yes = ((amount > 20) ^ (shop == "a")) | awful
    at = rng.integers(1_600_000_000, 1_700_000_000, rows)
    return pa.table(
        {
            "id": range(rows),
            "amount": pa.array(amount, mask=rng.random(rows) < 0.1),
            "steps": rng.integers(0, 3, rows).astype(float),
            "empty": pa.nulls(rows, pa.float64()),
            "shop": pa.array(shop, mask=rng.random(rows) < 0.1),
            "city": [f"city {n}" for n in rng.integers(0, rows, rows)],
            "at": pa.array(at, pa.timestamp("s"), mask=rng.random(rows) < 0.1),
            "said": [
                None if not n else f"it was {'awful <i>' if n > 1 else 'gut, schön 😀'}"
                for n in (rng.random(rows) < 0.9).astype(int) + awful
            ],
            "yes": yes.astype(float),
            "kind": np.where(amount > 40, "large", np.where(shop == "a", "a", "other")),
            "value": np.sqrt(amount) + steps_of(shop),
            "other": amount,
        }
    )


def steps_of(shop: Any) -> Any:
    return np.where(shop == "a", 5.0, 0.0)


@pytest.fixture
def text(tmp_path: Path) -> Tables:
    return Tables({}, assets={TOKENIZER: byte_tokenizer(tmp_path / TOKENIZER)})


def fitted_on(rows: pa.Table, task: Task = "binary", *given: str, **roles: Role) -> Fitted:
    return fit(rows, Spec(key=("id",), roles=roles or ROLES, task=task, targets=given or ("yes",)))


def batches(rows: pa.Table, fitted: Fitted, data: Tables | None) -> Batches:
    return Batches.of(tensors(rows, fitted, data), targets(rows, fitted), PLACE.device)


def trained(
    rows: pa.Table, fitted: Fitted, data: Tables | None, folder: Path, settings: Train
) -> Tabular:
    torch.manual_seed(settings.seed)
    model = Tabular(fitted, width=16, members=3)
    both = batches(rows, fitted, data), batches(table(200, 1), fitted, data)
    list(train(model, *both, default_loss(fitted, "none"), settings, PLACE, folder))
    return model


def quick(**changed: Any) -> Train:
    return Train(**{"epochs": 4, "batch_size": 64, "schedule": "cosine", **changed})


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("binary", ("yes",)),
        ("multiclass", ("kind",)),
    ],
)
def test_it_answers_the_same_from_onnx_on_rows_it_never_saw(
    task: Task, given: tuple[str, ...], text: Tables, tmp_path: Path
) -> None:
    rows = table(300)
    fitted = fitted_on(rows, task, *given)
    model = trained(rows, fitted, text, tmp_path / "c", quick(epochs=2))
    answer, inputs = Answer(model, fitted, "none").eval(), columns_of(fitted)
    new = table(200, seed=2)
    columns = tensors(new, fitted, text)
    with torch.no_grad():
        wanted = answer(columns)
    outputs = tuple(Column(name=name, role="number") for name in wanted)
    export_onnx(answer, columns, inputs, outputs, fitted, tmp_path / "model.onnx")
    raw = dict(arrays(new, {n: f.role for n, f in fitted.columns.items()}))
    raw["said"] = columns["said"].numpy()
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    feed = {n: v.astype(object) if fitted.columns[n].role == "word" else v for n, v in raw.items()}
    found = session.run(list(wanted), feed)
    for value, other in zip(wanted.values(), found, strict=True):
        assert value.shape[0] == 200
        np.testing.assert_allclose(value.numpy(), np.asarray(other), atol=1e-4, rtol=1e-5)


def test_several_targets_are_answered_each_by_its_name(text: Tables, tmp_path: Path) -> None:
    rows = table(100)
    fitted = fitted_on(rows, "regression", "value", "other")
    model = trained(rows, fitted, text, tmp_path, quick(epochs=1))
    with torch.no_grad():
        answer = Answer(model, fitted, "none")(tensors(rows, fitted, text))
    assert {name: value.shape for name, value in answer.items()} == {
        "value": (100,),
        "other": (100,),
    }


def test_training_uses_all_it_is_given(text: Tables, tmp_path: Path) -> None:
    """The target needs a threshold on a number, a word, and what a text says."""
    rows, new = table(1_000), table(500, seed=2)
    fitted = fitted_on(rows)
    model = trained(rows, fitted, text, tmp_path, quick(epochs=12, learning_rate=0.01))
    with torch.no_grad():
        yes = model(tensors(new, fitted, text)) > 0
    right = (yes.numpy() == (new["yes"].to_numpy() > 0.5)).mean()
    assert right > 0.85, right  # 0.76 at most without the text, or without the number


def test_an_interrupted_run_ends_in_the_same_weights(
    text: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.training.loop.CHECKPOINT_EVERY_S", -1)
    rows = table(200)
    fitted = fitted_on(rows)
    whole = trained(rows, fitted, text, tmp_path / "whole", quick())
    torch.manual_seed(0)
    model = Tabular(fitted, width=16, members=3)
    both = batches(rows, fitted, text), batches(table(200, 1), fitted, text)
    begun = train(model, *both, default_loss(fitted, "none"), quick(), PLACE, tmp_path / "part")
    list(islice(begun, 2))
    resumed = trained(rows, fitted, text, tmp_path / "part", quick())
    assert_same(whole, resumed)


def assert_same(one: Tabular, other: Tabular) -> None:
    theirs = other.state_dict()
    for name, value in one.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def test_the_learning_rate_falls_only_when_asked_to(tmp_path: Path) -> None:
    rows = table(200)
    fitted = fitted_on(rows, shop="word")
    falling = trained(rows, fitted, None, tmp_path / "a", quick())
    steady = trained(rows, fitted, None, tmp_path / "b", quick(schedule="constant"))
    default = trained(
        rows, fitted, None, tmp_path / "c", Train(epochs=4, batch_size=64, learning_rate=1e-3)
    )
    assert_same(steady, default)
    assert not torch.equal(falling.enter.weight, steady.enter.weight)


def test_thirty_rows_are_enough_to_begin(text: Tables, tmp_path: Path) -> None:
    rows = table(30)
    fitted = fitted_on(rows)
    model = trained(rows, fitted, text, tmp_path, Train(**effort(30)))
    with torch.no_grad():
        assert torch.isfinite(model(tensors(table(5, 3), fitted, text))).all()


def test_effort_is_bounded_by_rows() -> None:
    for rows in (1, 30, 500, 65_000, 2_000_000):
        settings = Train(**effort(rows))
        assert settings.epochs * rows <= max(600_000, 2 * rows)
        assert 32 <= settings.batch_size <= 1024


def test_a_wide_table_has_fewer_bins_a_column() -> None:
    names = [f"c{i}" for i in range(1_000)]
    rows = pa.table(
        {"id": range(60), "yes": [0.0, 1.0] * 30, **{n: np.arange(60.0) for n in names}}
    )
    fitted = fitted_on(rows, **dict.fromkeys(names, "number"))  # type: ignore[arg-type]
    assert Bins(fitted, 32).width == 6_000


def test_a_table_without_a_column_to_read_is_refused() -> None:
    rows = pa.table({"id": [1, 2], "yes": [0.0, 1.0], "seen": [["a"], ["b"]]})
    with pytest.raises(PipelineError, match="no number, word, time or text"):
        Tabular(fitted_on(rows, seen="list"))


# ---- bins


def test_a_bin_rises_from_nothing_to_one_across_it() -> None:
    rows = pa.table({"id": range(5), "yes": [0.0, 1.0, 0, 1, 0], "x": [0.0, 1.0, 2.0, 4.0, 4.0]})
    bins = Bins(fitted_on(rows, x="number"), 8)
    found = bins({"x": torch.tensor([-9.0, 0.5, 3.0, 99.0, float("nan")])})
    assert found[:, :3].tolist() == [[0, 0, 0], [0.5, 0, 0], [1, 1, 0.5], [1, 1, 1], [1, 1, 0]]
    assert not found[:, 3:].any()


def test_numbers_that_float32_cannot_tell_apart_make_no_empty_bin() -> None:
    big = [1e9, 1e9 + 1, 1e9 + 2, 2e9, 3e9]
    rows = pa.table({"id": range(5), "yes": [0.0, 1.0, 0, 1, 0], "x": big})
    found = Bins(fitted_on(rows, x="number"), 8)({"x": torch.tensor(big)})
    assert torch.isfinite(found).all()


def test_times_are_placed_to_the_minute_within_a_decade() -> None:
    start = 1_400_000_000
    rows = pa.table(
        {"id": range(3), "yes": [0.0, 1.0, 0.0], "at": [start, start + 60, start + 10**8]}
    )
    found = Bins(fitted_on(rows, at="time"), 8)({"at": torch.tensor([start, start + 30])})
    torch.testing.assert_close(found[:, 0], torch.tensor([0.0, 0.5]), atol=0.05, rtol=0)


def test_quantiles_hold_about_equally_many_rows() -> None:
    skewed = np.random.default_rng(0).lognormal(0, 2, 10_000)
    rows = pa.table({"id": range(10_000), "yes": np.arange(10_000) % 2.0, "x": skewed})
    borders = fitted_on(rows, x="number").columns["x"].quantiles
    assert len(borders) == BINS + 1
    assert (borders[0], borders[-1]) == (skewed.min(), skewed.max())
    counts, _ = np.histogram(skewed, borders)
    assert counts.max() < 1.1 * counts.min()


def test_a_missing_time_is_no_time_of_its_own() -> None:
    at = pa.array([None, 1_600_000_000, 1_600_000_100], pa.timestamp("s"))
    rows = pa.table({"id": range(3), "yes": [0.0, 1.0, 0.0], "at": at})
    fitted = fitted_on(rows, at="time")
    assert fitted.columns["at"].low == 1_600_000_000
    gone, first = Bins(fitted, 4)({"at": torch.tensor([0, 1_600_000_000])})
    assert (gone - first).tolist() == [0, 0, 0, 0, 1]


# ---- words


def test_words_are_ranked_by_count_and_then_by_code_point() -> None:
    words = ["b"] * 5 + ["é"] * 2 + ["z"] * 2 + ["😀"] * 2 + ["\uffee"] * 2 + [None] * 6
    rows = pa.table({"id": range(19), "yes": [0.0] + [1.0] * 18, "w": words})
    fit = fitted_on(rows, w="word").columns["w"]
    assert fit.words == ("", "b", "z", "é", "\uffee", "😀")
    assert fit.often == 2


def test_rare_words_are_taken_for_unknown_ones() -> None:
    words = ["often"] * 10 + ["rare"] * 2
    rows = pa.table({"id": range(12), "yes": [0.0, 1.0] * 6, "w": words})
    columns = Columns(fitted_on(rows, w="word"), rare=True).eval()
    often, rare, unknown = columns({"w": torch.tensor([1, 2, 0])})
    assert torch.equal(rare, unknown)
    assert not torch.equal(often, unknown)


def test_what_an_unknown_word_means_is_learnt_from_known_ones() -> None:
    rows = pa.table({"id": range(20), "yes": [0.0, 1.0] * 10, "w": ["one"] * 20})
    columns = Columns(fitted_on(rows, w="word"), rare=True).train()
    torch.manual_seed(0)
    columns({"w": torch.ones(1_000, dtype=torch.int64)}).sum().backward()
    gradient = columns.embeddings[0].weight.grad
    assert isinstance(gradient, Tensor)
    assert 0 < gradient[0].sum() < gradient[1].sum()


# ---- text


def test_the_tokenizer_by_bytes_reads_everything_and_learns_nothing(tmp_path: Path) -> None:
    one, two = byte_tokenizer(tmp_path / "a"), byte_tokenizer(tmp_path / "b")
    assert one.read_bytes() == two.read_bytes()
    odd = ["é", "[PAD]", '"\n\t\x00', "😀", "x" * 500]
    ids = token_ids(read_tokenizer(one), odd)
    lengths = [min(len(text.encode()), BYTES) for text in odd]
    assert (ids > 0).sum(1).tolist() == lengths
    assert len({tuple(row) for row in ids.tolist()}) == len(odd)


def test_padding_changes_no_answer(text: Tables) -> None:
    rows = table(100)
    fitted = fitted_on(rows)
    torch.manual_seed(0)
    model = Tabular(fitted, width=16, members=2).eval()
    columns = tensors(rows, fitted, text)
    longer = {**columns, "said": torch.nn.functional.pad(columns["said"], (0, 9))}
    with torch.no_grad():
        torch.testing.assert_close(model(columns), model(longer))
