"""Whether one bundle can answer in another's place, by their signatures."""

from __future__ import annotations

from workbench.core.records import Signature


def unlike(champion: Signature, challenger: Signature) -> str | None:
    """Why `challenger` cannot answer what `champion` is asked; None where it can.

    Inputs that it does not take are left out of what it gets, and those that it takes in addition
    are missing; but what a client reads from an answer must be there, of the same kind.
    """
    if champion.task != challenger.task or champion.interface != challenger.interface:
        return (
            f"it is for {challenger.task} ({challenger.interface}), "
            f"the champion for {champion.task} ({champion.interface})"
        )
    roles = {column.name: column.role for column in challenger.inputs}
    for column in champion.inputs:
        if roles.get(column.name, column.role) != column.role:
            return f"its input '{column.name}' is a {roles[column.name]}, no {column.role}"
    given = {column.name for column in challenger.outputs}
    for column in champion.outputs:
        if column.name not in given:
            return f"it has no output '{column.name}'"
    if champion.classes != challenger.classes:
        return "its classes are others"
    return None
