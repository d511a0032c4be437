"""What a person says where a look was wrong, a line each: `word zip`, `drop note`, `time day`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from workbench.core.errors import DataError, did_you_mean
from workbench.data.kinds import Kind, date, number, text, word
from workbench.data.look.beliefs import Corrections

HELP = """\
drop COLUMN ...              leave columns out
keep COLUMN ...              use them, whatever is believed
only COLUMN ...              use no others; here and above `gene_*` names all that begin so
number COLUMN [, [.]]        a number; its decimal mark, its mark of thousands
date COLUMN [FORMAT ...]     a date; how it is written, such as %d.%m.%Y
word COLUMN                  a category or a code
text COLUMN                  free text
key COLUMN ... | none        what names a row
time COLUMN | none           when the decision was taken
group COLUMN | none          what several rows are about, such as a customer
positive VALUE               the answer that counts as yes
task binary | multiclass | regression"""

_WORDS = tuple(line.split()[0] for line in HELP.splitlines())


def corrected(said: Corrections, line: str) -> Corrections:
    """Return what is `said` with one more line; DataError where it is not understood."""
    try:
        verb, *rest = shlex.split(line)
    except ValueError as error:
        raise DataError(f"'{line}' is not understood: {error}.") from None
    if verb not in _WORDS:
        raise DataError(
            f"'{verb}' is no correction.{did_you_mean(verb, _WORDS)}",
            fix="write for example `word zip`, `drop note` or `time day`",
        )
    if not rest:
        raise DataError(f"`{verb}` needs a name after it.", fix=f"for example `{verb} NAME`")
    if verb == "drop":
        return replace(said, drop=(*said.drop, *rest), keep=_without(said.keep, rest))
    if verb == "keep":
        return replace(said, keep=(*said.keep, *rest), drop=_without(said.drop, rest))
    if verb == "only":
        return replace(said, only=tuple(rest))
    if verb in ("number", "date", "word", "text"):
        return replace(said, kinds={**said.kinds, rest[0]: _kind(verb, rest[1:])})
    if verb == "key":
        return replace(said, key=() if rest == ["none"] else tuple(rest))
    if len(rest) > 1:
        raise DataError(
            f"`{verb}` takes one value, and {len(rest)} were given.",
            fix=f'put a name with blanks into quotes: `{verb} "{" ".join(rest)}"`',
        )
    value = "" if verb in ("time", "group") and rest[0] == "none" else rest[0]
    return replace(said, **{verb: value})


def all_corrected(lines: Iterable[str]) -> Corrections:
    """What a person said in several lines, later ones winning."""
    said = Corrections()
    for line in lines:
        said = corrected(said, line)
    return said


def _without(names: Iterable[str], gone: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in gone)


def _kind(verb: str, marks: list[str]) -> Kind:
    if verb == "number":
        decimal, thousands = (*marks[:2], *(".", "")[len(marks) :])
        return number(decimal, thousands)
    if verb == "date":
        return date(*marks)
    return word() if verb == "word" else text()
