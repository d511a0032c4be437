"""Validation of tables by pandera, with its findings told as sentences."""

from __future__ import annotations

from typing import Any

from workbench.core.errors import DataError


def validate(name: str, table: Any, schema: Any) -> None:
    """Check `table` against a `pandera.ibis` schema; DataError names columns and checks."""
    import pandera.errors

    try:
        schema.validate(table, lazy=True)
    except pandera.errors.SchemaErrors as error:
        found = "; ".join(
            sorted(
                {
                    f"{e.schema.name or name}: {e.check or e.reason_code}"
                    for e in error.schema_errors
                }
            )
        )
        raise DataError(
            f"Table '{name}' is not what its schema says after cleaning: {found}.",
            kept="the collected data; nothing was replaced",
            fix="add a rule to `clean`, or correct the schema",
        ) from None
