"""What a look believes of one column: its kind, its use, and why."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest

from tests.data.look.tables import ROWS, belief, of, outcome, seen, spread
from workbench.data.kinds import Date, Kind, Number, Text, Word

DAY = dt.datetime(2023, 1, 1)


def days(form: str, until: int = 600, seed: int = 1) -> list[str]:
    return spread(
        lambda c: (
            DAY + dt.timedelta(days=c.randrange(until), seconds=c.randrange(86_400))
        ).strftime(form),
        seed=seed,
    )


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("{:.3f}", Number()),
        ("{:.0f}", Number()),
        ("{:,.2f}", Number(thousands=",")),
        ("{:,.2f} €", Number(thousands=",", affixes=("€",))),
        ("${:,.0f}", Number(thousands=",", affixes=("$",))),
        ("{:.1f} %", Number(affixes=("%",))),
        ("CHF {:.1f}", Number(affixes=("CHF",))),
        ("-{:.1f}", Number()),
    ],
)
def test_numbers_are_known_in_the_spelling_of_english(form: str, kind: Kind) -> None:
    found = belief(spread(lambda c: form.format(c.uniform(1, 90_000))))
    assert (found.kind, found.use, found.unparsed_fraction) == (kind, "feature", 0)


@pytest.mark.parametrize(
    ("decimal", "thousands"),
    [(",", ""), (",", "."), (",", " "), (".", "'"), (",", "'"), (".", " ")],
)
def test_numbers_are_known_with_the_marks_of_other_countries(decimal: str, thousands: str) -> None:
    swap = str.maketrans({",": thousands, ".": decimal})
    values = spread(lambda c: f"{c.uniform(1, 9_000_000):,.2f}".translate(swap))
    assert belief(values).kind == Number(decimal, thousands)
    hard = [value.replace(" ", "\u202f") for value in values]
    assert belief(hard).unparsed_fraction == 0


def test_a_mark_that_could_mean_either_is_said() -> None:
    values = spread(lambda c: f"{c.randrange(1, 10)},{c.randrange(100, 1000)}")
    found = seen({"thing": values})
    assert of(found, "thing").kind == Number(thousands=",")
    assert any("could mean thousands or decimals" in said for said in found.warnings)
    clear = [*values[1:], "0,125"]
    assert belief(clear).kind == Number(",")


@pytest.mark.parametrize(
    ("form", "format_"),
    [
        ("%Y-%m-%d", "iso"),
        ("%Y-%m-%dT%H:%M:%S+02:00", "iso"),
        ("%Y-%m-%d %H:%M:%S.123", "iso"),
        ("%d.%m.%Y", "%d.%m.%Y"),
        ("%d.%m.%y", "%d.%m.%y"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%d/%m/%Y", "%d/%m/%Y"),
        ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),
        ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M %p"),
        ("%b %d, %Y", "%b %d, %Y"),
        ("%d %B %Y", "%d %B %Y"),
        ("%Y/%m/%d", "%Y/%m/%d"),
        ("%Y%m%d", "%Y%m%d"),
    ],
)
def test_dates_are_known_in_their_format(form: str, format_: str) -> None:
    found = belief(days(form))
    # May is short and long at once.
    assert isinstance(found.kind, Date)
    assert format_ in found.kind.formats
    assert (found.unparsed_fraction, found.missing_fraction) == (0, 0)


def test_days_and_months_that_no_value_tells_apart_are_said() -> None:
    values = spread(lambda c: f"{c.randrange(1, 13):02}/{c.randrange(1, 13):02}/2024")
    found = seen({"thing": values})
    assert any("day and month cannot be told apart" in said for said in found.warnings)


def test_four_formats_in_one_column_are_all_read() -> None:
    forms = ("%Y-%m-%d", "%d.%m.%Y", "%b %d, %Y", "%d/%m/%y")
    each = [days(form, seed=n) for n, form in enumerate(forms)]
    values = [each[row % 4][row] for row in range(ROWS)]
    found = belief(values)
    assert isinstance(found.kind, Date)
    assert set(found.kind.formats) >= {"iso", "%d.%m.%Y", "%b %d, %Y", "%d/%m/%y"}
    assert found.unparsed_fraction == 0


def test_counted_seconds_are_a_time_only_where_the_name_says_so() -> None:
    values = spread(lambda c: str(1_600_000_000 + c.randrange(10**8)))
    assert belief(values, "login_ts").kind == Date(("epoch_s",))
    assert belief([int(v) * 1000 for v in values], "eventTime").kind == Date(("epoch_ms",))
    assert isinstance(belief(values, "balance").kind, Number)


@pytest.mark.parametrize("code", ["NA", "n/a", "?", "-", "#N/A", "nan", "null", "None", "unknown"])
def test_spellings_of_missing_among_numbers_are_known(code: str) -> None:
    found = belief(spread(lambda c: code if c.random() < 0.2 else f"{c.uniform(0, 9):.2f}"))
    assert isinstance(found.kind, Number)
    assert found.kind.missing == (code,)
    assert 0.1 < found.missing_fraction < 0.3
    assert found.unparsed_fraction == 0


def test_a_frequent_number_far_from_all_others_is_a_code_for_missing() -> None:
    values = spread(lambda c: "-999" if c.random() < 0.1 else str(c.randrange(18, 90)))
    assert belief(values).kind == Number(missing=("-999",))
    near = spread(lambda c: "-1" if c.random() < 0.1 else str(c.randrange(90)))
    assert belief(near).kind == Number()
    once = ["-999", *near[1:]]
    assert belief(once).kind == Number()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda c: str(uuid.UUID(int=c.getrandbits(128))), "UUIDs"),
        (lambda c: f"u{c.randrange(10**9)}@example.org", "e-mail addresses"),
        (lambda c: f"+49 30 {c.randrange(10**6, 10**7)}", "phone numbers"),
        (lambda c: f"https://example.org/{c.randrange(10**9)}", "web addresses"),
        (lambda c: f"{c.getrandbits(128):032x}", "hashes"),
        (lambda c: f"ORD{c.randrange(10**9)}", "its own value"),
        (lambda c: f"9{c.randrange(10**17, 10**18)}", "too long"),
    ],
)
def test_identifiers_are_left_out(make: object, what: str) -> None:
    values = spread(make)  # type: ignore[arg-type]
    values[1] = values[0]  # not unique, so not a key
    found = belief(values)
    assert found.use == "left out"
    assert what in found.why


def test_codes_in_digits_are_words() -> None:
    zips = belief(spread(lambda c: f"{c.randrange(1, 40) * 251:05}"), "where")
    assert (zips.kind, zips.use) == (Word(), "feature")
    assert "zeros" in zips.why
    named = belief(spread(lambda c: c.randrange(1, 4)), "Pclass")
    assert (named.kind, named.use) == (Word(), "feature")
    counted = belief(spread(lambda c: c.randrange(1, 4)), "children")
    assert counted.kind == Number()


def test_categories_free_text_and_truth_values_are_told_apart() -> None:
    towns = belief(spread(lambda c: f"town {c.randrange(60)}"))
    assert (towns.kind, towns.use) == (Word(), "feature")
    notes = belief(spread(lambda c: " ".join(f"w{c.randrange(900)}" for _ in range(8))))
    assert (notes.kind, notes.use) == (Text(), "feature")
    spelt = belief(spread(lambda c: c.choice(("ja", "nein", "?"))))
    assert spelt.kind == Word(missing=("?",))
    assert belief(spread(lambda c: c.random() < 0.5)).kind == Word()


def test_columns_that_say_nothing_are_left_out_and_why() -> None:
    found = seen({"same": ["x"] * ROWS, "none": [None] * ROWS, "list": [[1, 2]] * ROWS})
    assert {c.name: c.use for c in found.columns if c.name != "bought"} == dict.fromkeys(
        ("same", "none", "list"), "left out"
    )
    assert "same value" in of(found, "same").why
    assert any("The same value in every row: 'same'" in said for said in found.warnings)
    assert any("No value in any row: 'none'" in said for said in found.warnings)
    assert belief(["x"] * (ROWS - 50) + [None] * 50).use == "feature"


def test_a_mixed_column_names_what_it_cannot_read_and_how_much() -> None:
    values = spread(lambda c: ">100" if c.random() < 0.05 else f"{c.uniform(0, 99):.1f}")
    found = seen({"dose": values})
    share = values.count(">100") / ROWS
    assert of(found, "dose").unparsed_fraction == pytest.approx(share)
    said = next(said for said in found.warnings if "mixed" in said)
    assert ">100" in said
    assert f"{share:.2%}" in said


def test_hostile_names_and_values_are_only_text() -> None:
    name = "'; drop table x; --\" <script>alert(1)</script> 😀"
    found = seen({name: spread(lambda c: c.choice(("<b>", "'\"", "😀\n")))})
    assert of(found, name).kind == Word()
    assert of(found, name).distinct == 3


def test_examples_are_three_and_short() -> None:
    found = belief(["x" * 5_000, *outcome(ROWS - 1)])
    assert len(found.examples) == 3
    assert max(map(len, found.examples)) <= 40
