import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Deploy and watch")

with app.setup:
    import re
    import time
    from html import escape

    import marimo as mo
    import msgspec

    import workbench as wb
    from workbench.core.errors import WorkbenchError
    from workbench.core.params import read_params

    FIRST_S = 4.0
    # Digests are for machines; their beginning is enough to recognise one.
    DIGEST, SHORT = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b"), r"\1…"
    OPENED = []  # at most one server, however often the button is pressed


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Deploy and watch

    A model that answers is the beginning. Here a **server** answers, rows that the model never saw
    are sent to it, and you watch: how fast, how often wrong, whether the world has changed. Then a
    new release comes, gets half of the requests, and has to **prove itself**.

    All of it happens in a **copy** of what is deployed here. The copy has a server of its own and
    is thrown away at the end: nothing that you press touches what is served in earnest.
    """)
    return


@app.cell(hide_code=True)
def _():
    here = wb.pipeline("fraud")
    # As a program nobody presses buttons: then everything is done once, and briefly.
    is_program = mo.app_meta().mode == "script"
    rate = "40" if is_program else "100"
    start = mo.ui.run_button(label="start a server", kind="success")
    end = mo.ui.run_button(label="end the server", kind="danger")
    mo.md(f"""
    ## 1. A server

    {start}
    """)
    return end, here, is_program, rate, start


@app.cell(hide_code=True)
def _(here, is_program, start):
    from workbench.notebook.playground import playground

    mo.stop(not (start.value or is_program))
    try:
        while OPENED:
            OPENED.pop().close()
        place = playground(here.paths, here.name)
        OPENED.append(place)
        url = place.serve()
    except WorkbenchError as _error:
        mo.stop(True, mo.callout(mo.plain_text(str(_error)), kind="danger"))
    mo.md(f"""
    It answers at **{url}** with release {place.champion}, the champion. In a terminal the same is
    `workbench serve`. Ask it by hand: [{url}/try/{here.name}]({url}/try/{here.name}) is a form.
    """)
    return place, url


@app.cell(hide_code=True)
def _(rate, url):
    send = mo.ui.dropdown(
        {
            "rows as they were": (),
            "amounts three times as high": ("--drift", "amount_eur=3"),
            "one row in ten is broken": ("--bad", "0.1"),
        },
        value="rows as they were",
        label="what is sent",
    )
    tell = mo.ui.checkbox(label="tell what turned out to be true", value=True)
    mo.md(f"""
    ## 2. Requests

    Payments that the model never saw are sent to {url}, {rate} a second. Each is marked as a
    **rehearsal**, so that nobody takes it for life: it counts in no promise and wakes nobody.

    {send} {tell}
    """)
    return send, tell


@app.cell(hide_code=True)
def _(is_program, place, rate, send, tell):
    _outcomes = ("--outcomes",) if tell.value else ()
    place.traffic("--rate", rate, *send.value, *_outcomes)
    sending = send.value
    # Figures have something to show then; a program waits for them once.
    time.sleep(FIRST_S if is_program else 2.0)
    every = mo.ui.refresh(default_interval=2, options=[2, 5, 30], label="look")
    every
    return every, sending


@app.cell(hide_code=True)
def _(every, here, place, sending):
    from workbench.figures import health
    from workbench.monitoring.health import read_health, read_history

    (every.value, sending)
    look, _history = read_health(place.paths, here.name), read_history(place.paths, here.name)
    mo.stop(look is None or _history is None, mo.md("*Nobody has looked yet; a moment.*"))
    _recent = next((t for t in look.traffic if t.window == "5m" and t.alias == "champion"), None)
    mo.stop(_recent is None, mo.md("*The first requests are on their way.*"))
    _points = msgspec.to_builtins(_history.minutes)
    _levels = read_params(place.paths.params).block(here.name).deploy.levels
    mo.vstack(
        [
            mo.hstack(
                [
                    mo.stat(f"{_recent.requests:,}", label="requests, 5 minutes", bordered=True),
                    mo.stat(f"{_recent.errors:,}", label="failed", bordered=True),
                    mo.stat(f"{_recent.refused:,}", label="refused", bordered=True),
                    mo.stat(f"{_recent.p50_ms or 0:.2f} ms", label="p50", bordered=True),
                    mo.stat(f"{_recent.p99_ms or 0:.2f} ms", label="p99", bordered=True),
                ],
                widths="equal",
            ),
            mo.hstack(
                [health.traffic(_points), health.latency(_points, _levels.latency_ms)],
                widths="equal",
            ),
        ]
    )
    return (look,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    **p50** is what half of the requests stay below, **p99** what all but one in a hundred do. Both
    are measured inside the server.

    ### Has the world changed?

    The newest rows are compared with those that the model learned from, column by column, once a
    minute. Send higher amounts above, and see which bar grows beyond the dotted line. A single
    column that drifts is enough to make an old model wrong.
    """)
    return


@app.cell(hide_code=True)
def _(look):
    from workbench.figures import evidence

    _drifts = next((one.drift for one in look.answers if one.drift), ())
    _notes = list(dict.fromkeys(note for one in look.answers for note in one.notes))
    _shown = (
        evidence.drift(msgspec.to_builtins(_drifts))
        if _drifts
        else mo.md("*Not judged yet: it takes some hundred rows and up to a minute.*")
    )
    mo.vstack([_shown, *(mo.plain_text(note) for note in _notes)])
    return (evidence,)


@app.cell(hide_code=True)
def _(sending):
    sending
    why = mo.ui.run_button(label="explain the newest answer")
    mo.md(f"""
    ## 3. Why?

    Every answer has a **passport**. From it one walks back to the release, the run, the code and
    the data, and the same answer can be computed again.

    {why}
    """)
    return (why,)


@app.cell(hide_code=True)
def _(here, is_program, place, why):
    from workbench.serving.explain import explain, replay
    from workbench.storage.predictions.search import search

    mo.stop(not (why.value or is_program))
    _found = search(place.paths, here.name, limit=1)
    mo.stop(not _found, mo.md("*No answer is on file yet; ask again in a second.*"))
    _id = _found[0].id
    _steps = [*explain(place.paths, _id).steps(), ("again", replay(place.paths, _id).sentence)]
    _cell = "padding:6px 16px 6px 0;vertical-align:top;text-align:left;"
    _line = f"{_cell}border-bottom:1px solid rgba(128,128,128,.18);"
    _rows = "".join(
        f"<tr><td style='{_line}font-weight:600'>{escape(word)}</td>"
        f"<td style='{_line}font-size:.9em;overflow-wrap:anywhere'>"
        f"<code>{escape(DIGEST.sub(SHORT, found))}</code></td></tr>"
        for word, found in _steps
    )
    mo.Html(f"<table style='border-collapse:collapse;width:100%'>{_rows}</table>")
    return


@app.cell(hide_code=True)
def _(sending):
    sending
    challenge = mo.ui.run_button(label="let a new release challenge the champion", kind="success")
    mo.md(f"""
    ## 4. A challenger

    A new release is good on paper. On traffic it begins as a **canary**: here it answers half of
    the requests, and what it does is compared with the champion. For want of another one it is a
    twin, the same model under another card. Nobody tells the server that.

    {challenge}
    """)
    return (challenge,)


@app.cell(hide_code=True)
def _(challenge, is_program, place):
    mo.stop(not (challenge.value or is_program))
    rival = place.canary(0.5)
    time.sleep(FIRST_S if is_program else 0.0)
    mo.md(f"Release **{rival}** answers half of the requests.")
    return (rival,)


@app.cell(hide_code=True)
def _(every, evidence, here, place, rival):
    from workbench.monitoring.verdicts import read_standing

    every.value
    _standing = read_standing(place.paths, here.name)
    mo.stop(
        _standing is None or _standing.challenger != rival,
        mo.md("*Nothing was judged yet; a moment.*"),
    )
    _verdict = _standing.verdict
    _is_champion = place.champion == rival
    _word = "promoted" if _is_champion else _verdict.decision
    mo.vstack(
        [
            mo.callout(
                mo.md(f"**{_word}** after {_verdict.requests:,} requests of its own"),
                kind="success" if _is_champion else "info",
            ),
            evidence.evidence(msgspec.to_builtins(_verdict.measures)),
            mo.accordion({"why": mo.plain_text("\n\n".join(_verdict.reasons))}),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Each line is where the truth lies, as far as one can know by now. **1** is as much worse than
    the champion as is allowed. Lines shorten with every request. Once all of them end left of the
    dotted line the challenger becomes champion **by itself**; if one lies wholly to the right of
    it, it is withdrawn. That holds however often one looks: the bounds are made for looking.

    In earnest that is `workbench deploy fraud --canary 0.1`. The pages *Deployments* and
    *Predictions* of `workbench up` show the same, and who promoted what and why.
    """)
    return


@app.cell(hide_code=True)
def _(end, sending):
    sending
    mo.md(f"""
    ## 5. The end

    {end}

    If you forget it, the server ends with this notebook.
    """)
    return


@app.cell(hide_code=True)
def _(end, place):
    mo.stop(not end.value)
    place.close()
    mo.callout(mo.md("The server has ended, and its copy is gone."), kind="success")
    return


if __name__ == "__main__":
    app.run()
