"""A bundle as a form: a field a column, filled with the example, and what the file answers."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import marimo as mo

from tests.serving.bundles import fraud
from workbench.notebook.form import _label, ask, fields
from workbench.serving.session import Bundle


def test_each_column_has_the_field_of_its_role_and_the_bundle_answers(tmp_path: Path) -> None:
    bundle = Bundle(fraud(tmp_path / "bundle"))
    form = fields(bundle)
    assert form.value == {
        "amount": 20.5,
        "country": "de",
        "paid_at": dt.datetime(2026, 5, 9, 8, 30, 37),
    }
    kinds = [type(element) for element in form.elements.values()]
    assert kinds == [mo.ui.number, mo.ui.dropdown, mo.ui.datetime]
    low = ask(bundle, form.value | {"amount": -500.0}).text
    high = ask(bundle, form.value | {"amount": 900.0}).text
    assert "no" in low
    assert "yes" in high
    # Nothing chosen and nothing written are missing values, which the file takes.
    assert ask(bundle, form.value | {"amount": None, "country": None}).text


def test_signs_in_a_name_stand_for_themselves_in_a_label() -> None:
    assert _label("plain name") == "plain name"
    for sign in "<*_[`$|":
        assert sign not in _label(f"a{sign}b")
