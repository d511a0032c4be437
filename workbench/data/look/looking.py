"""Looking at a person's table: every column's kind and use, the task, what to beware of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.core.errors import DataError
from workbench.data.kinds import Date, Kind, parsed
from workbench.data.look import places, suspicions, target
from workbench.data.look.beliefs import Belief, Corrections, Look, Suspicion, Use
from workbench.data.look.columns import Guess
from workbench.data.look.reading import Reading, examples, read
from workbench.data.look.sample import Sample, take

if TYPE_CHECKING:
    import ibis

NOTHING = Corrections()

MAX_FEATURES = 500
"""The default model of so many columns is exported in a minute; time grows faster than they."""


def look(table: ibis.Table, to_predict: str, corrections: Corrections = NOTHING) -> Look:
    """Look at `table` and say what is believed of it, where a person said nothing else.

    Counts are of the whole table; kinds and leaks are judged on a sample of at most 40,000
    rows. DataError says in a sentence why nothing can be learnt from it.
    """
    target.check_name(to_predict, table.columns)
    corrections = corrections.among(name for name in table.columns if name != to_predict)
    corrections.check(table.columns, to_predict)
    sample = take(table)
    if sample.rows < target.MIN_ROWS:
        raise DataError(
            f"The table has {sample.rows} row{'' if sample.rows == 1 else 's'}, and "
            f"{target.MIN_ROWS} are needed: less cannot be divided into training, validation and "
            "test.",
            fix="add rows to the source",
        )
    backend = table.get_backend()
    reading = read(backend, table.schema(), sample, corrections.kinds)
    _check_kinds(reading, corrections)
    whole = sample.whole(table)
    aim = target.judge(whole, to_predict, sample, reading, corrections)
    key = places.key(whole, sample, reading, corrections, to_predict)
    time = places.time(reading, corrections, to_predict)
    taken = (to_predict, *key, *([time] if time else []))
    group = places.group(sample, reading, corrections, taken)
    leaks = _leaks(backend, whole, sample, reading, aim, corrections, (*key, group, time))
    uses: dict[Use, tuple[str | None, ...]] = {"key": key, "time": (time,), "group": (group,)}
    columns = tuple(
        _belief(name, sample, reading, corrections, uses, leaks, aim) for name in table.columns
    )
    return Look(
        rows=sample.rows,
        sampled_rows=sample.cells.num_rows,
        columns=columns,
        target=to_predict,
        target_kind=aim.kind,
        task=aim.task,
        why_task=aim.why,
        positive=aim.positive,
        classes=aim.classes,
        rare=aim.rare,
        rows_learnt=aim.rows,
        key=key,
        time=time,
        group=group,
        warnings=(
            *target.warnings(aim),
            *_warnings(sample, reading, columns),
            *_numberings(sample, reading, columns, corrections),
        ),
        leaks=tuple(leaks),
    )


def _check_kinds(reading: Reading, said: Corrections) -> None:
    """Raise DataError for a kind, given by a person, that reads not one value of its column."""
    for name, kind in said.kinds.items():
        unread, typed = reading.unread.get(name), reading.typed[name]
        if not unread or typed.null_count < len(typed):
            continue
        what, fix = "numbers", f"say `word '{name}'`, or the decimal mark: `number '{name}' ,`"
        if isinstance(kind, Date):
            what, fix = "dates", f"say how they are written, such as `date '{name}' %d.%m.%Y`"
        raise DataError(
            f"'{name}' cannot be read as {what} in that way: not one of its values can, such as "
            f"'{next(iter(unread))[:40]}'.",
            fix=fix,
        )


def _leaks(
    backend: Any,
    table: ibis.Table,
    sample: Sample,
    reading: Reading,
    aim: target.Target,
    said: Corrections,
    places_taken: tuple[str | None, ...],
) -> list[Suspicion]:
    """Suspicions about what could become a feature, and about nothing else."""
    import ibis

    time = places_taken[-1]
    kinds = reading.kinds()
    if time and not isinstance(kinds.get(time), Date):
        raise DataError(
            f"'{time}' is named as the time, and its values are not read as dates.",
            fix=f"say how they are written, such as `date '{time}' %d.%m.%Y`, or `time none`",
        )
    possible: dict[str, Kind] = {
        name: found.kind
        for name, found in reading.guesses.items()
        if (name == time or not said.leaves_out(name))
        and name not in said.drop
        and name != aim.name
        and (name == time or name not in places_taken)
        and (not places.names_things(name, found, sample) or _kept(name, said))
    }
    own = ibis.memtable(sample.cells.select([aim.name]))
    typed = backend.to_pyarrow(parsed(own, {aim.name: aim.kind}))
    place = reading.typed.column_names.index(aim.name)
    cells = reading.typed.set_column(place, aim.name, typed[aim.name])
    late = suspicions.later(table, possible, time)
    gone = {one.column for one in late}
    rest = {name: kind for name, kind in possible.items() if name not in gone}
    return [*late, *suspicions.suspect(cells, rest, aim)]


def _kept(name: str, said: Corrections) -> bool:
    """Whether a person wants the column as a feature, by `keep` or by giving its kind."""
    return name in said.keep or name in said.kinds


def _belief(
    name: str,
    sample: Sample,
    reading: Reading,
    said: Corrections,
    uses: dict[Use, tuple[str | None, ...]],
    leaks: list[Suspicion],
    aim: target.Target,
) -> Belief:
    use, why = _use(name, sample, reading, said, uses, leaks, aim)
    found = reading.guesses.get(name)
    if found is None:
        gone = 1 - sample.present[name] / sample.rows
        return Belief(name, None, use, why, gone, 0)
    typed, raw = reading.typed[name], sample.cells[name]
    size = max(len(typed), 1)
    unread = reading.unread.get(name)
    lost = unread.total() if unread else 0
    missing = typed.null_count - lost
    kind = aim.kind if name == aim.name else found.kind
    return Belief(
        name,
        kind,
        use,
        why,
        missing_fraction=missing / size,
        distinct=reading.distinct[name],
        examples=examples(raw),
        unparsed_fraction=lost / max(size - missing, 1),
    )


def _use(
    name: str,
    sample: Sample,
    reading: Reading,
    said: Corrections,
    uses: dict[Use, tuple[str | None, ...]],
    leaks: list[Suspicion],
    aim: target.Target,
) -> tuple[Use, str]:
    """What a column is for, and why, in the order in which the reasons count."""
    found = reading.guesses.get(name)
    if name == aim.name:
        return "target", aim.why
    if name in said.drop:
        return "left out", "you left it out"
    whys = {
        "key": "it names each row",
        "time": "taken for when the decision was taken; `time none` if it is not",
        "group": "several rows are about the same one",
    }
    persons = {"key": said.key, "time": said.time, "group": said.group}
    for use, names in uses.items():
        if name in names:
            return use, "you said so" if persons[use] is not None else whys[use]
    if found is None:
        if not sample.present[name]:
            return "left out", "it has no value in any row"
        return "left out", "its type (a list, a record or bytes) is none that a model takes yet"
    if said.leaves_out(name):
        return "left out", "you named others"
    if _kept(name, said):
        return "feature", "you said so"
    if not reading.distinct[name]:
        return "left out", "it has no value in any row that was looked at"
    if sample.distinct[name] <= 1 and sample.present[name] == sample.rows:
        return "left out", "it has the same value in every row"
    for leak in leaks:
        if leak.column == name and leak.certain:
            return "left out", leak.why
    if places.names_things(name, found, sample):
        return "left out", f"{found.why}: it names rows and says nothing of others"
    return "feature", found.why


def _warnings(sample: Sample, reading: Reading, columns: tuple[Belief, ...]) -> list[str]:
    """What a person should know of the rows and columns, the target apart."""
    warned: list[str] = []
    if sample.repeated:
        warned.append(f"{sample.repeated:,} rows are equal to another in all columns.")
    alike = [f"'{c.name}'" for c in columns if c.why == "it has the same value in every row"]
    empty = [f"'{c.name}'" for c in columns if c.missing_fraction == 1]
    if alike:
        warned.append(f"The same value in every row: {_some(alike)}.")
    if empty:
        warned.append(f"No value in any row: {_some(empty)}.")
    features = sum(column.use == "feature" for column in columns)
    if features > MAX_FEATURES:
        warned.append(f"{features:,} columns would be features: choose at most {MAX_FEATURES:,}.")
    for column in columns:
        found = reading.guesses.get(column.name)
        if found and column.use != "left out":
            warned += _column_warnings(column, found, reading)
    return warned


def _numberings(
    sample: Sample, reading: Reading, columns: tuple[Belief, ...], said: Corrections
) -> list[str]:
    """Features that may only number the rows: nobody could learn from the next number."""
    return [
        f"'{one.name}' is another whole number in every row: if it only numbers them, `drop` it, "
        "or make it the `key`."
        for one in columns
        if one.use == "feature"
        and not _kept(one.name, said)
        and places.is_numbering(reading.typed[one.name], sample.rows, gaps=1.0)
    ]


def _column_warnings(column: Belief, found: Guess, reading: Reading) -> list[str]:
    warned: list[str] = []
    unread = reading.unread.get(column.name)
    if unread:
        shown = _some([f"'{value[:30]}'" for value, _ in unread.most_common(3)])
        what = "dates" if isinstance(column.kind, Date) else "numbers"
        warned.append(
            f"'{column.name}' is mixed: {max(column.unparsed_fraction, 0.0001):.2%} of its values "
            f"are no {what} ({shown}) and become missing."
        )
    if found.doubt:
        warned.append(f"'{column.name}': {found.doubt}; read by what is usual.")
    return warned


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
