import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="A tour in ten minutes")

with app.setup:
    import re
    from html import escape
    from pathlib import Path

    import marimo as mo

    import workbench as wb
    from workbench.core.errors import WorkbenchError

    # What each line of a passport is, for somebody who reads one for the first time.
    MEANING = {
        "prediction": "The number of this one answer. Whoever asks about it later, quotes it.",
        "caller": "Who asked.",
        "inputs": "What was asked, as it was asked.",
        "outputs": "What was answered, to the last digit.",
        "cost": "What the answer used, where a server measured it.",
        "release": "Which numbered version of the model answered. The champion is the one in use.",
        "bundle": "The files of that version, by their checksum: altered by a byte, it would show.",
        "run": "The run of the training that made it, with its log and what it used.",
        "commit": "The state of the code in Git at that moment.",
        "code": "The function that made it, and a fingerprint of what its code means.",
        "data": "The data behind it at every stage, by checksum, and the day it was taken.",
        "training": "How long training took, and what energy it used.",
        "origin": "Where the files came from.",
        "replay": "The same question asked again just now, of the same files.",
    }
    SETTINGS = {
        "how long the model learns (epochs)": "train.epochs",
        "above which amount a payment was mistyped (euros)": "clean.max_amount_eur",
        "after how long an unreported payment counts as good (days)": "label.maturity_days",
        "how often the test is resampled for its interval": "evaluate.bootstrap",
    }
    SAMPLE, FILE, PLACE = "the sample: 178 wines", "a file of mine", "a path or a database"
    LAMP_W = 5

    def ran(pipeline):
        """Run a pipeline under a spinner that names the stage at work; what was done, as text."""
        with mo.status.spinner(title=f"workbench repro {pipeline.name}") as spinner:
            lines = []
            for line in pipeline.repro():
                lines.append(line)
                spinner.update(subtitle=line)
        return mo.plain_text("\n".join(line for line in lines if not line.endswith(" runs")))


@app.cell(hide_code=True)
def _():
    mo.md("""
    # A tour in ten minutes

    From nothing to a prediction that can be traced back to its causes, and then the same with a
    table of **your own**. Nothing leaves this computer, and nothing here can be broken: what you
    press can be pressed again.

    One idea first. A **pipeline** goes from raw data to a model that answers questions, in eight
    steps that are called **stages**:

    > collect → clean → label → split → train → export → evaluate → candidate

    Each stage remembers what it was made from. So a run repeats only what has to be repeated.
    """)
    return


@app.cell(hide_code=True)
def _():
    here = wb.pipeline("fraud")
    again = mo.ui.refresh(default_interval=None, label="look again")
    run = mo.ui.run_button(label="run what is stale", kind="success")
    files = [mo.watch.file(path) for path in (here.paths.usage("fraud"), here.paths.pointer)]
    # Only another champion makes parts 2 and 3 anew; each look at the card would empty them.
    crowned, crown = mo.state(here.champion)
    return again, crown, crowned, files, here, run


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 1. What is here

    This checkout comes with a pipeline that learns to see **card fraud** in simulated payments.
    This is its card. A filled dot is a stage that is up to date; an empty one has to run, and the
    sentence below says why. If there is one, press the button: the first run takes a minute or two.
    """)
    return


@app.cell(hide_code=True)
def _(again, done, files, here, run):
    (again.value, done, files)
    mo.vstack([here, mo.hstack([run, again], justify="start", gap=1)], gap=1)
    return


@app.cell(hide_code=True)
def _(here, run):
    done = run.value
    mo.accordion({"what was done": ran(here)}) if done else None
    return (done,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    What came out is a **release**: a model that got a number because it passed its *gates*. It has
    to be no worse than the one before it, equal to what was trained, and free of leaks. The release
    that answers questions is the **champion**.

    ## 2. Ask the champion

    Here is a payment. Change what you like, and ask.
    """)
    return


@app.cell(hide_code=True)
def _(again, crown, crowned, done, files, here):
    (again.value, done, files)
    _found = here.champion
    if _found != crowned():
        crown(_found)
    return


@app.cell(hide_code=True)
def _(crowned, here):
    champion = crowned()
    mo.stop(
        champion is None,
        mo.callout(mo.md("There is no champion yet. Press **run what is stale** above.")),
    )
    p = here
    return champion, p


@app.cell(hide_code=True)
def _(champion, p):
    def _slider(stop, value, label, start=0):
        return mo.ui.slider(start, stop, 1, value, label=label, show_value=True, full_width=True)

    signature = wb.Bundle(p.paths.bundles / champion["digest"]).signature
    payment = (
        mo.md("{amount_eur} {terminal_reports_7d} {customer_mean_eur_30d} {channel}")
        .batch(
            amount_eur=_slider(600, 310, "amount, euros", start=1),
            terminal_reports_7d=_slider(20, 3, "frauds reported at this terminal, 7 days"),
            customer_mean_eur_30d=_slider(150, 60, "what this customer usually pays, euros"),
            channel=mo.ui.dropdown(
                ["chip", "contactless", "online", "magstripe"], value="online", label="channel"
            ),
        )
        .form(submit_button_label="Ask the champion", bordered=True)
    )
    payment
    return payment, signature


@app.cell(hide_code=True)
def _(p, payment, signature):
    from workbench.serving.predict import predict

    answer = None
    _stats = []
    if payment.value is not None:
        answer = predict(p.paths, "fraud", [signature.example | payment.value])
        _alarm = answer.outputs["decision"][0]
        _stats = [
            mo.stat(
                f"{answer.outputs['score'][0]:.1%}",
                label="likely fraud",
                caption="stop this payment" if _alarm else "let it pass",
                bordered=True,
            ),
            mo.stat(
                f"release {answer.release}",
                label="answered by",
                caption="today's champion",
                bordered=True,
            ),
            mo.stat(
                f"{answer.latency_ms:.1f} ms",
                label="it took",
                caption="without any server",
                bordered=True,
            ),
        ]
    mo.hstack(_stats, widths="equal") if _stats else None
    return (answer,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 3. Ask why

    The answer got a **passport**. From it, each line walks one step back: to the model, the run
    that trained it, the code, the data. `workbench explain` shows the same in a terminal.
    """)
    return


@app.cell(hide_code=True)
def _(answer, p):
    from workbench.serving.explain import explain, replay

    mo.stop(answer is None, mo.md("<span style='opacity:.6'>Ask above first.</span>"))

    def short(word, found):
        """Checksums are for machines; what came in and went out is never cut."""
        if word in ("inputs", "outputs"):
            return found
        return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", found)

    def _table(rows):
        _cell = "padding:6px 16px 6px 0;vertical-align:top;text-align:left;"
        _line = "border-bottom:1px solid rgba(128,128,128,.18);"
        body = "".join(
            f"<tr><td style='{_cell}{_line}font-weight:600'>{escape(word)}</td>"
            f"<td style='{_cell}{_line}opacity:.75;width:38%'>{escape(MEANING.get(word, ''))}</td>"
            f"<td style='{_cell}{_line}font-size:.9em;overflow-wrap:anywhere'>"
            f"<code>{escape(short(word, found))}</code></td></tr>"
            for word, found in rows
        )
        return mo.Html(f"<table style='border-collapse:collapse;width:100%'>{body}</table>")

    _replayed = replay(p.paths, answer.id)
    _same = "equal to the last digit" if _replayed.max_difference == 0 else _replayed.sentence
    _table([*explain(p.paths, answer.id).steps(), ("replay", _same)])
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## 4. Change something, and see what it would cost

    `params.yaml` holds every setting. Below, nothing is written and nothing runs: this is what the
    next run **would** do if you changed one.
    """)
    return


@app.cell(hide_code=True)
def _():
    setting = mo.ui.dropdown(SETTINGS, value=next(iter(SETTINGS)), label="setting")
    return (setting,)


@app.cell(hide_code=True)
def _(p, setting):
    _part, _, _name = setting.value.partition(".")
    now = getattr(getattr(p.params, _part), _name)
    value = mo.ui.number(value=now + 8, step=1, label=f"now {now:,.10g}; what if it were")
    mo.hstack([setting, value], justify="start", gap=2, wrap=True)
    return now, value


@app.cell(hide_code=True)
def _(again, done, now, p, setting, value):
    from workbench.notebook.card import card

    (again.value, done)
    mo.stop(value.value is None, mo.md("<span style='opacity:.6'>Type a number.</span>"))
    try:
        _steps = p.what_if({setting.value: type(now)(value.value)})
        _shown = mo.Html(
            card(
                f"if {setting.value} were {value.value:,.10g}",
                {step.name.split("@")[0]: step for step in _steps},
                ["nothing was run"],
            )
        )
    except WorkbenchError as _error:
        _shown = mo.callout(mo.plain_text(str(_error)), kind="warn")
    _shown
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Hover over a stage to read its reason. *May run* means that it depends on whether an earlier
    stage gives other data than before. Stages before the change keep what they have. And if you
    change the value back, the old result comes out of a cache.

    ## 5. What it has used

    Every run of a stage leaves a line in a **ledger**: time, memory, energy. This is the newest
    run of each stage.
    """)
    return


@app.cell(hide_code=True)
def _(again, done, files, p):
    from workbench.figures.theme import BLUE, ORANGE, blank
    from workbench.notebook.pipeline import spent

    (again.value, done, files)
    usage = p.usage()
    _total = spent(usage)
    mo.stop(_total is None, mo.md("The ledger is empty: `workbench sync` fills it."))
    _known = [row for row in usage if row["energy_kwh"] is not None]
    _figure = blank("Energy of each stage", "milliwatt-hours", "", height=330)
    _figure.add_bar(
        x=[row["energy_kwh"] * 1e6 for row in _known],
        y=[row["stage"] for row in _known],
        orientation="h",
        marker_color=BLUE,
        error_x={
            "type": "data",
            "symmetric": False,
            "color": ORANGE,
            "array": [(row["energy_hi"] - row["energy_kwh"]) * 1e6 for row in _known],
            "arrayminus": [(row["energy_kwh"] - row["energy_lo"]) * 1e6 for row in _known],
        },
    )
    _figure.update_yaxes(autorange="reversed")
    _stats = [
        mo.stat(
            f"{_total.duration_s:.0f} s",
            label="time",
            caption="newest run of each stage, together",
            bordered=True,
        )
    ]
    if _total.energy_kwh is not None:
        _lamp_s = _total.energy_kwh * 3.6e6 / LAMP_W
        _stats += [
            mo.stat(
                f"{_total.energy_kwh * 1e6:.3g} mWh",
                label=f"energy, {_total.known_by}",
                caption=f"between {_total.lo * 1e6:.3g} and {_total.hi * 1e6:.3g} mWh",
                bordered=True,
            ),
            mo.stat(
                f"{_lamp_s:.0f} s of light",
                label="which is",
                caption=f"from a lamp of {LAMP_W} watts",
                bordered=True,
            ),
        ]
    mo.vstack([mo.hstack(_stats, widths="equal"), _figure])
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    **Modelled** means that no meter was read. The time the processor worked, and the memory that
    was held, were multiplied by figures for typical servers. The line on each bar says between
    which bounds the truth is believed to lie. Where a real energy counter can be read, the word is
    *counter* instead. Carbon and money need your grid and your prices, which nobody has told yet:
    until then they are *not known*, which is not the same as zero.

    ## 6. Now your own

    All you need is a table and the name of the column that you would like to predict.
    """)
    return


@app.cell(hide_code=True)
def _():
    source = mo.ui.radio([SAMPLE, FILE, PLACE], label="Which table?")
    browser = mo.ui.file_browser(
        Path.home(),
        filetypes=[".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl"],
        multiple=False,
        label="CSV, Parquet or JSON lines",
    )
    typed = mo.ui.text(
        placeholder="~/customers.csv  or  postgresql://me@host/shop",
        label="path or URL",
        full_width=True,
    )
    db_table = mo.ui.text(placeholder="orders", label="--table (databases)")
    reading = mo.ui.dictionary(
        {
            "bad_lines": mo.ui.dropdown(["stop", "skip"], value="stop", label="--bad-lines"),
            "encoding": mo.ui.text(placeholder="is found", label="--encoding"),
            "delimiter": mo.ui.text(placeholder="is found", label="--delimiter"),
        }
    )
    source
    return browser, db_table, reading, source, typed


@app.cell(hide_code=True)
def _(browser, db_table, here, reading, source, typed):
    _how = mo.accordion(
        {
            "how it is read": mo.vstack(
                [
                    mo.md(
                        "If a line is malformed, or letters look wrong. The names are those of "
                        "`workbench new` in a terminal."
                    ),
                    mo.hstack(list(reading.elements.values()), justify="start", gap=2, wrap=True),
                ]
            )
        }
    )
    _more = {
        SAMPLE: mo.md("""
    Three kinds of wine from Piedmont and what a laboratory found in each bottle ([UCI's wine
    data](https://archive.ics.uci.edu/dataset/109/wine)). To be like a table of real life it got
    decimal commas, gaps, days, and columns that nobody should learn from. It is written to
    `notebooks/wine.csv`.
    """),
        FILE: mo.vstack([browser, _how]),
        PLACE: mo.vstack([typed, db_table, _how]),
    }
    _chosen = {
        SAMPLE: str(here.paths.root / "notebooks" / "wine.csv"),
        FILE: str(browser.path(0) or ""),
        PLACE: typed.value.strip(),
    }
    where = _chosen.get(source.value, "")
    how = {} if source.value == SAMPLE else {k: v.strip() for k, v in reading.value.items()}
    if source.value == PLACE:
        how["table"] = db_table.value.strip()
    _more.get(source.value)
    return how, where


@app.cell(hide_code=True)
def _(how, source, where):
    from workbench.notebook import sample
    from workbench.notebook.look import columns

    mo.stop(not where)
    if source.value == SAMPLE:
        sample.wines(Path(where))
    try:
        names = columns(where, **how)
    except WorkbenchError as _error:
        mo.stop(True, mo.callout(mo.plain_text(str(_error)), kind="danger"))
    return names, sample


@app.cell(hide_code=True)
def _(names, sample):
    target = mo.ui.dropdown(
        names,
        value=sample.TARGET if sample.TARGET in names else names[-1],
        label="the column to predict",
        searchable=True,
    )
    said = mo.ui.text_area(
        placeholder="word zip\ndrop note\ndate joined %d.%m.%Y",
        label="what is wrong, a line each (optional)",
        rows=3,
        full_width=True,
    )
    mo.vstack([target, said])
    return said, target


@app.cell(hide_code=True)
def _(how, said, target, where):
    from workbench.notebook.corrections import HELP

    try:
        with mo.status.spinner(title="looking"):
            looked = wb.look(where, target.value, *said.value.splitlines(), **how)
    except WorkbenchError as _error:
        mo.stop(True, mo.callout(mo.plain_text(str(_error)), kind="danger"))
    mo.vstack(
        [
            mo.md("### This is what is believed of it"),
            looked,
            mo.accordion({"what can be corrected": mo.plain_text(HELP)}),
        ]
    )
    return (looked,)


@app.cell(hide_code=True)
def _(looked):
    mo.md(f"""
    Hover over a *use* to read why. A **leak** is a column that gives the answer away: perhaps it
    was only filled in once the answer was known. A model that learns from it shines here and fails
    in life, so {"it is left out" if looked.leaks() else "it would be left out"} unless you `keep`
    it.

    ### Write the pipeline

    Two things are written: the notebook `pipelines/NAME.py`, which is yours from then on, and its
    settings in `params.yaml`.
    """)
    return


@app.cell(hide_code=True)
def _(looked):
    name = mo.ui.text(value=looked.proposed, label="its name", debounce=True)
    write = mo.ui.run_button(label="write the pipeline", kind="success")
    mo.hstack([name, write], justify="start", align="end", gap=2)
    return name, write


@app.cell(hide_code=True)
def _(looked, name, write):
    wrote = write.value
    _told = None
    if wrote:
        try:
            looked.write(name.value)
        except WorkbenchError as _error:
            _told = mo.callout(mo.plain_text(str(_error)), kind="danger")
    _told
    return (wrote,)


@app.cell(hide_code=True)
def _(looked, name, wrote):
    wrote
    try:
        mine = wb.pipeline(name.value)
    except WorkbenchError:
        mo.stop(True)
    mo.stop(not looked.began(mine))  # a pipeline of that name that is about something else
    go = mo.ui.run_button(label="run it", kind="success")
    mo.md(f"""
    ### Run it

    `pipelines/{mine.name}.py` is there. A small table takes half a minute to two.

    {go}
    """)
    return go, mine


@app.cell(hide_code=True)
def _(go, mine):
    went = go.value
    _told = [ran(mine)] if went else []
    mo.vstack([mine, *_told])
    return (went,)


@app.cell(hide_code=True)
def _(mine, went):
    from workbench.notebook.verdict import verdict

    went
    mo.stop(not mine.complete)
    report = mine.report("evaluate")
    mo.md(f"""
    ### What came out

    Judged on **{report["rows"]:,} rows that the model never saw**, against two plain models.
    {"Higher" if report["higher_is_better"] else "Lower"} is better; the line is a 95 % interval,
    wide where rows are few. {verdict(report)}
    """)
    return (report,)


@app.cell(hide_code=True)
def _(looked, mine, report):
    from workbench.figures import quality
    from workbench.figures.answers import pictures

    mo.vstack(
        [
            quality.compared(report),
            *pictures(lambda plot: mine.points("evaluate", plot), yes=looked.yes),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mine, report):
    from workbench.notebook.form import ask, fields

    bundle = wb.Bundle(mine.paths.stage("export", mine.name)) if report else None
    form = fields(bundle)
    return ask, bundle, form


@app.cell(hide_code=True)
def _(ask, bundle, form):
    _fields = list(form.elements.values())
    _half = (len(_fields) + 1) // 2
    mo.vstack(
        [
            mo.md("### Ask it"),
            mo.hstack(
                [mo.vstack(_fields[:_half]), mo.vstack(_fields[_half:])],
                widths="equal",
                gap=2,
                align="start",
            ),
            ask(bundle, form.value),
        ]
    )
    return


@app.cell(hide_code=True)
def _(mine, report):
    mo.md(f"""
    ## Where to go on

    | you want to | do |
    |:---|:---|
    | change how it cleans or learns | `marimo edit pipelines/{mine.name}.py` |
    | see what would run, and why | `workbench status {mine.name}` |
    | let it answer other programs | `workbench serve` |
    | take newer rows from the same place | `workbench refresh {mine.name}` |
    | throw it away | delete `pipelines/{mine.name}.py` and its two places in `params.yaml` |

    The pages in `docs/` go on from here: *Bring your data* and *Write a pipeline* first.
    """) if report else None
    return


if __name__ == "__main__":
    app.run()
