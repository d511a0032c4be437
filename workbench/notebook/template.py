"""The notebook that `workbench new` writes: short, explained, and where a person goes on."""

from __future__ import annotations

import textwrap
import unicodedata
from string import Template

from workbench.data.examples import ANSWERS
from workbench.data.kinds import Kind, written
from workbench.data.look.beliefs import Belief, Look
from workbench.data.sources import COPY, ROW

_WIDTH = 99
_MOST_WORDS, _MOST_SLICES = 12, 2
_TASKS = {
    "binary": "how likely **{target}** is {positive}",
    "multiclass": "which **{target}** a row has",
    "regression": "the value of **{target}**",
}


def render(name: str, look: Look) -> str:
    """Return the notebook of pipeline `name` for a table that was looked at.

    Names of columns come from strangers: each is written as a Python literal, never as code.
    """
    positive = f"    POSITIVE = {_literal(look.positive)}\n" if look.task == "binary" else ""
    rare = tuple(c.value for c in look.rare)
    rare = f"{_one_line_or_many('    RARE = ', rare)}\n" if rare else ""
    return Template(_NOTEBOOK).substitute(
        name=name,
        target=_literal(look.target),
        constants=positive + rare,
        kinds=_kinds(look),
        left_out=_left_out(look),
        features=_one_line_or_many("    NOT_SEEN = ", _unseen(look)),
        collect=_indented(_collect(look)),
        clean=_indented(_clean(look)),
        label=_indented(_label(look)),
        examples=_indented(_examples(look), 8),
        says=_says(look),
    )


def row_key(look: Look) -> tuple[str, ...]:
    """What names a row: the table's own key, or the content of a row where it has none.

    Nor may its key have a name that the answers to the test side use for something else.
    """
    return look.key if look.key and not {*look.key} & {*ANSWERS} else (ROW, COPY)


def row_group(look: Look) -> str | None:
    """What stays on one side of the split together: a group, or else rows that are equal."""
    return look.group or (ROW if row_key(look) == (ROW, COPY) else None)


def _kinds(look: Look) -> str:
    """A line for each column that is used, with what is believed of it."""
    beliefs = {belief.name: belief for belief in look.columns}
    used: dict[str, Kind] = dict(look.features)
    for name in (*look.key, *filter(None, (look.time, look.group))):
        kind = beliefs[name].kind
        if name not in used and kind is not None:
            used[name] = kind
    answer = _kind_line(look.target, look.target_kind)
    lines = [_commented(answer, "the answer") if "\n" not in answer else answer]
    for name, kind in used.items():
        line = _kind_line(name, kind)
        lines.append(_commented(line, _remark(beliefs[name])) if "\n" not in line else line)
    return "\n".join(lines)


def _remark(belief: Belief) -> str:
    said = {"key": "the key", "time": "when the decision was taken", "group": "the group"}
    parts = [said[belief.use]] if belief.use in said else []
    if belief.missing_fraction > 0:
        parts.append(f"{max(belief.missing_fraction, 0.0001):.2%} missing")
    if belief.unparsed_fraction > 0:
        parts.append(f"{max(belief.unparsed_fraction, 0.0001):.2%} cannot be read")
    if belief.kind is not None and belief.kind.role == "word" and belief.distinct:
        parts.append(f"{belief.distinct:,} values")
    return ", ".join(parts)


def _left_out(look: Look) -> str:
    gone = [b for b in look.columns if b.use == "left out"]
    if not gone:
        return ""
    lines = ["    # Left out; add a line above to use one after all:"]
    lines += [_commented("    #", f" {_literal(b.name)}: {b.why}", mark="") for b in gone[:40]]
    if len(gone) > 40:
        lines.append(f"    #  and {len(gone) - 40} more")
    return "\n".join(lines) + "\n"


def _unseen(look: Look) -> tuple[str, ...]:
    """The names in KINDS that the model does not see."""
    features = look.features
    outside = [look.target, *look.key]
    outside += [n for n in (look.time, look.group) if n and n not in features]
    return tuple(dict.fromkeys(n for n in outside if n not in features))


def _collect(look: Look) -> str:
    read = "wb.read(params.source, as_of=params.as_of, licence=params.licence)"
    if not any(kind.role == "text" for kind in look.features.values()):
        return f"return {read}\n"
    return (
        f"data = {read}\n"
        "# Free text is read by its bytes, so that no vocabulary has to be learnt.\n"
        "data.assets[wb.TOKENIZER] = wb.byte_tokenizer()\n"
        "return data\n"
    )


def _clean(look: Look) -> str:
    lines = [
        'data.replace("rows", lambda t: wb.parsed(t, KINDS))',
        'data.drop("rows", "invalid missing answer", lambda t: t[TARGET].isnull())',
    ]
    if look.rare:
        lines.append('data.drop("rows", "irrelevant rare class", lambda t: t[TARGET].isin(RARE))')
    if look.time:
        bad = f"lambda t: t[{_literal(look.time)}].isnull()"
        lines.append(f'data.drop("rows", "invalid missing time", {bad})')
    by, rule = f"by={_literal(row_key(look))}", 'rule="duplicate key"'
    whole = f'return data.unique("rows", {by}, {rule})'
    lines.append(
        whole if len(whole) <= _WIDTH - 4 else f'return data.unique(\n    "rows", {by}, {rule}\n)'
    )
    return "\n".join(lines) + "\n"


def _label(look: Look) -> str:
    if look.task == "binary":
        return 'rows = data["rows"].mutate(**{TARGET: data["rows"][TARGET] == POSITIVE})\n'
    return 'rows = data["rows"]\n'


def _examples(look: Look) -> str:
    key = row_key(look)
    lines = ["rows,", f"key={_literal(key)},", "target=TARGET,", f"task={_literal(look.task)},"]
    if look.time:
        lines.append(f"time={_literal(look.time)},")
    if group := row_group(look):
        lines.append(f"group={_literal(group)},")
    slices = [
        b.name
        for b in look.columns
        if b.use == "feature"
        and b.kind is not None
        and b.kind.role == "word"
        and 2 <= b.distinct <= _MOST_WORDS
    ][:_MOST_SLICES]
    if slices:
        lines.append(f"slices={_literal(tuple(slices))},")
    lines.append("roles={n: r for n, r in wb.roles(KINDS).items() if n not in NOT_SEEN},")
    return "\n".join(lines) + "\n"


def _says(look: Look) -> str:
    """What the model answers, for the prose: in Markdown, whatever signs the names hold."""
    target, positive = (_plain(str(v)) for v in (look.target, look.positive))
    said = _TASKS[look.task].format(target=target, positive=positive)
    whole = f"This notebook goes from your table to a model that says {said}."
    return _indented("\n".join(textwrap.wrap(whole, _WIDTH - 4, break_long_words=False))).rstrip()


def _plain(text: str) -> str:
    """A name as Markdown, HTML and a Python text in triple quotes show it: letters and digits."""
    kept = "".join(c if unicodedata.category(c)[0] in "LNS" or c in " -.,:" else " " for c in text)
    return " ".join(kept.replace("<", " ").replace("$", " ").replace("`", " ").split())[:60] or "?"


def _commented(code: str, remark: str, mark: str = "  # ") -> str:
    """Code with a comment behind it, cut to the width of a line."""
    clean = "".join(c if c.isprintable() else " " for c in remark)
    room = _WIDTH - len(code) - len(mark)
    if not clean or room < 12:
        return code
    return f"{code}{mark}{clean if len(clean) <= room else clean[: room - 1] + '…'}"


def _literal(value: object) -> str:
    """Python for a text or a tuple of texts, with the quotes that formatters choose."""
    if isinstance(value, tuple):
        inner = ", ".join(_literal(one) for one in value)
        return f"({inner}{',' if len(value) == 1 else ''})"
    plain = repr(value)
    if plain[:1] == "'" and '"' not in plain:
        return '"' + plain[1:-1].replace("\\'", "'") + '"'
    return plain


def _one_line_or_many(before: str, names: tuple[str, ...]) -> str:
    """An assignment of a tuple of texts, laid out as formatters do."""
    line = f"{before}{_literal(names)}"
    if len(line) <= _WIDTH + 1:
        return line
    between = "".join(f"\n        {_literal(name)}," for name in names)
    return f"{before}({between}\n    )"


def _kind_line(name: str, kind: Kind) -> str:
    """A line of KINDS; several where it would be too long."""
    code = _kind(kind)
    line = f"        {_literal(name)}: {code},"
    if len(line) <= _WIDTH + 1 or "(" not in code:
        return line
    call, _, inside = code[:-1].partition("(")
    if not inside:
        return line
    return f"        {_literal(name)}: {call}(\n            {inside}\n        ),"


def _kind(kind: Kind) -> str:
    """The kind as `kinds.written` has it, with the same quotes."""
    plain = written(kind)
    return plain if '"' in plain or "\\" in plain else plain.replace("'", '"')


def _indented(lines: str, by: int = 4) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in lines.splitlines())


_NOTEBOOK = '''\
import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="$name")

with app.setup:
    import marimo as mo

    import workbench as wb

    # The contract functions that this notebook defines; `workbench check` compares.
    STAGES = ("collect", "clean", "label", "model")

    TARGET = $target
$constants    # How each column is written, and so what it is to the model. Correct what is wrong.
    KINDS = {
$kinds
    }
    # Of these, the model does not see:
$features
$left_out

@app.cell(hide_code=True)
def _():
    mo.md("""
    # $name

$says

    It *is* the pipeline: the functions below are the stages that `workbench repro` runs. What was
    believed of your columns stands in `KINDS` above; correct it there. Edit a function, and the
    card says which stages have to run again.
    """)
    return


@app.cell(hide_code=True)
def _():
    here = wb.pipeline("$name")
    again = mo.ui.refresh(default_interval=None, label="look again")
    run = mo.ui.run_button(label="run what is stale", kind="success")
    files = [mo.watch.file(path) for path in (here.paths.usage(here.name), here.paths.pointer)]
    return again, files, here, run


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
        with mo.status.spinner(title=f"workbench repro {here.name}") as _spinner:
            for _line in here.repro():
                _lines.append(_line)
                _spinner.update(subtitle=_line)
    mo.accordion({"what was done": mo.plain_text("\\n".join(_lines))}) if done else None
    return (done,)


@app.cell(hide_code=True)
def _(again, done, here):
    (again.value, done)
    _command = f"workbench repro {here.name}"
    mo.stop(
        not here.complete,
        mo.md(f"Nothing to look at yet: press **run what is stale**, or `{_command}`."),
    )
    p = here
    return (p,)


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Collect

    The table as its source has it. `params.yaml` pins its content, so that the same settings give
    the same rows. What the source holds now is taken by
    `workbench refresh $name`.
    """)
    return


@app.function
def collect(params):
    """The table as its source has it, with a key made of each row's content."""
$collect

@app.cell
def _(p):
    mo.ui.table(p.table("collect", "rows").limit(200).to_pandas(), page_size=6, selection=None)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Clean

    Every column is read as its kind says; what cannot be read so is missing. Rows leave only by a
    named rule and are set aside with it. Add your own: `data.drop("rows", "outlier age", ...)`.
    """)
    return


@app.function
def clean(data, params):
    """Typed columns; a row without an answer cannot teach."""
$clean

@app.cell(hide_code=True)
def _():
    from workbench.figures import quality
    from workbench.figures.answers import pictures

    return pictures, quality


@app.cell
def _(p, quality):
    quality.dropped(p.points("clean", "dropped"))
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Label

    What the model may see, and what it shall say. Columns that are only known *after* the answer
    do not belong here, however well they predict it.
    """)
    return


@app.function
def label(data, params):
    """A row a decision: features as known then, and the answer."""
$label    return wb.Examples(
$examples    )


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Learn

    Scaling, missing values and words live **inside** the model, fitted on the training side only;
    so the exported file takes your columns as they are.
    """)
    return


@app.function
def model(fitted, params):
    """The default for tables; any torch module over the columns may stand here."""
    return wb.Tabular(fitted)


@app.cell
def _(p, quality):
    quality.loss_curve(p.points("train", "loss"))
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Judge

    On rows that it never saw, the file itself that will be served, against two plain models.
    """)
    return


@app.cell
def _(p, pictures, quality):
    report = p.report("evaluate")
    mo.vstack(
        [
            quality.compared(report),
            mo.hstack(pictures(lambda plot: p.points("evaluate", plot)), widths="equal"),
            quality.slices(report) if report["slices"] else mo.md(""),
        ]
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Try it

    The file that is served, asked by hand.
    """)
    return


@app.cell(hide_code=True)
def _(p):
    from workbench.notebook.form import ask, fields

    bundle = wb.Bundle(p.paths.stage("export", p.name))
    form = fields(bundle)
    return ask, bundle, form


@app.cell
def _(ask, bundle, form):
    mo.hstack(
        [mo.vstack(list(form.elements.values())), ask(bundle, form.value)],
        widths=[2, 1],
        gap=3,
        align="start",
    )
    return


if __name__ == "__main__":
    app.run()
'''
