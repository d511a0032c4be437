"""What MLflow's own scoring server answers, so that its clients can ask here instead.

`/invocations/NAME`; `/invocations` alone where one pipeline is served, or with `params` naming it.
The name is this protocol's: nothing of MLflow is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import workbench
from workbench.core.errors import DataError
from workbench.core.records import Column
from workbench.serving.columns import columns_of
from workbench.serving.models import Model
from workbench.serving.protocols.tensors import decode_any, decoded
from workbench.serving.request import JSON, Refused, Reply, Request, encode
from workbench.serving.service import Service, check_rows

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|\bNaN\b', re.DOTALL)
"""A string, to step over it, also one that never ends: then each byte is looked at once; or NaN."""


async def invocations(service: Service, request: Request, name: str | None) -> Reply:
    """Rows in one of MLflow's four forms in, a record of named outputs for each row out."""
    request.need("POST")
    media = request.header(b"content-type") or JSON
    if media.partition(b";")[0].strip().lower() != JSON:
        shown = media[:60].decode("latin-1")
        raise Refused(415, f"Rows come as application/json here, not as '{shown}'.")
    body = await request.body()
    # MLflow's clients write a missing number as NaN, which is no JSON but is what they mean.
    content = decoded(_NAN.sub(_null, body) if b"NaN" in body else body, decode_any)
    if not isinstance(content, dict):
        raise DataError(f"The body must be an object with one of {', '.join(FORMATS)}.")
    model = _model(service, request, name, content.pop("params", None))
    columns, rows = columns_in(content, model.bundle.inputs)
    answer = await service.answer(model, columns, rows, request)
    named = answer.model.bundle.named(answer.outputs)
    said = {
        "predictions": [
            dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)
        ],
        "id": answer.id,
        "release": answer.model.target.release,
        "notice": answer.model.bundle.signature.notice,
        "warnings": answer.warnings,
    }
    return Reply(encode(said), headers=answer.headers)


def ping(service: Service, request: Request) -> Reply:
    """A blank line when everything released is answered for."""
    request.need("GET")
    return Reply(b"\n", 200 if service.models.ready else 503)


def version(request: Request) -> Reply:
    """The version of what answers here."""
    request.need("GET")
    return Reply(workbench.__version__.encode())


def error(status: int, said: str) -> dict[str, Any]:
    """An error as MLflow's server writes it."""
    codes = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
    codes |= {404: "RESOURCE_DOES_NOT_EXIST", 429: "REQUEST_LIMIT_EXCEEDED"}
    codes |= {503: "TEMPORARILY_UNAVAILABLE"}
    default = "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"
    return {"error_code": codes.get(status, default), "message": said}


def columns_in(
    content: Mapping[str, Any], known: Mapping[str, Column]
) -> tuple[dict[str, Any], int]:
    """Columns of a body in one of the four forms, and the number of its rows.

    DataError says which form it is not, or what of it does not fit. Values without names are taken
    only where there is one input: an order of columns would be a guess.
    """
    given = [form for form in FORMATS if form in content]
    if len(given) != 1 or len(content) != 1:
        shown = ", ".join(sorted(content))[:80] or "nothing"
        raise DataError(f"The body must have exactly one of {', '.join(FORMATS)}, got {shown}.")
    form, data = given[0], content[given[0]]
    if form == "dataframe_split":
        records = _split(data, known)
    elif isinstance(data, list) and (form == "dataframe_records" or _has_object(data)):
        records = data
    elif form == "inputs" and isinstance(data, dict):
        return _by_column(data, known)
    elif form != "dataframe_records" and isinstance(data, list):
        records = [{_only(known): value} for value in data]
    else:
        raise DataError(f"{form} must be a list of rows, got {_kind(data)}.")
    check_rows(len(records))
    return columns_of(records, known), len(records)


def _null(found: re.Match[bytes]) -> bytes:
    return b"null" if found[0] == b"NaN" else found[0]


def _model(service: Service, request: Request, name: str | None, params: Any) -> Model:
    """The pipeline that the path or `params` names, or the only one there is."""
    if params is not None:
        if not isinstance(params, dict) or params.keys() - {"pipeline"}:
            raise DataError("params can name the `pipeline`, and nothing else.")
        said = params.get("pipeline")
        if not isinstance(said, str) or (name is not None and said != name):
            raise DataError("params.pipeline must name one pipeline, that of the path if it does.")
        name = said
    if name is not None:
        return service.model(name)
    served = sorted(filter(request.caller.may_ask, service.models.by_name))
    if len(served) == 1:
        return service.model(served[0])
    if not served:
        return service.model("")  # says why there is none
    raise Refused(
        404,
        f"Several pipelines are served: {', '.join(served)}. Ask /invocations/NAME, or name one in "
        'the body: "params": {"pipeline": NAME}.',
    )


def _split(data: Any, known: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Rows of `dataframe_split`: columns once, then the values of each row."""
    if not isinstance(data, dict) or data.keys() - {"columns", "data", "index"}:
        raise DataError("dataframe_split must have `columns` and `data`, and may have an `index`.")
    columns, rows = data.get("columns"), data.get("data")
    if columns is None and len(known) == 1:
        columns = list(known)
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise DataError(f"dataframe_split.columns must be names of {', '.join(sorted(known))}.")
    if len(set(columns)) < len(columns):
        raise DataError("dataframe_split.columns names a column twice.")
    if not isinstance(rows, list):
        raise DataError(f"dataframe_split.data must be a list of rows, got {_kind(rows)}.")
    check_rows(len(rows))
    for place, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise DataError(
                f"dataframe_split.data[{place}] must be a list of {len(columns)} values."
            )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _by_column(data: dict[str, Any], known: Mapping[str, Column]) -> tuple[dict[str, Any], int]:
    """Columns of `inputs`: a list of values each, or one value for one row."""
    columns = columns_of([data], known)
    if not any(isinstance(value, list) for value in data.values()):
        return columns, 1
    columns = {name: _unwrapped(known[name], values[0]) for name, values in columns.items()}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError("The columns of inputs must be lists of one length, at least one value.")
    rows = lengths.pop()
    check_rows(rows)
    return columns, rows


def _unwrapped(column: Column, values: Any) -> list[Any]:
    """A column's values; a matrix of one column, as arrays often come, is that column."""
    if not isinstance(values, list):
        raise DataError(f"inputs['{column.name}'] must be a list with a value for each row.")
    if column.role in ("list", "image"):
        return values
    return [v[0] if isinstance(v, list) and len(v) == 1 else v for v in values]


def _only(known: Mapping[str, Column]) -> str:
    if len(known) > 1:
        raise DataError(
            f"There are {len(known)} inputs ({', '.join(sorted(known))}): give rows as objects "
            "that name them."
        )
    return next(iter(known))


def _has_object(data: list[Any]) -> bool:
    return any(isinstance(row, dict) for row in data)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "a boolean"}
    return kinds.get(type(value), "a number")
