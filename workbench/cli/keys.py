"""Commands about the keys of the server: keys add, list, revoke."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.show import Json, json_out, moment, say, table
from workbench.core.errors import DataError, did_you_mean
from workbench.core.paths import Paths, find_paths

if TYPE_CHECKING:
    from workbench.serving.door.keys import Key
    from workbench.serving.door.uses import Use


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    keys = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    keys.command("add")(add)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys", help="Who may ask the server, for what and how much.")


def add(
    name: Annotated[str, typer.Argument(help="Who or what will use it.", metavar="NAME")],
    pipeline: Annotated[
        list[str] | None, typer.Option(help="That it may ask; several times for several.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="ask: predictions; feedback: true outcomes; watch: metrics; admin: everything. "
            "Several times for several; ask by default.",
        ),
    ] = None,
    rate_per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests, also the most at once.")
    ] = None,
    requests_per_month: Annotated[
        int | None, typer.Option(min=1, help="Most requests in a month (UTC).")
    ] = None,
    budget_usd_per_month: Annotated[
        float | None, typer.Option(help="What its answers may cost, at the site's prices.")
    ] = None,
    expires: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day on which it opens nothing (UTC)."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a key and show it, this once; running servers know it within a second."""
    from workbench.serving.door.keys import Allowance, Role, add_key, role_of

    paths = find_paths()
    roles: list[Role] = [role_of(word) for word in (["ask"] if role is None else role)]
    _check_pipelines(paths, pipeline or [])
    if budget_usd_per_month is not None and not 0 < budget_usd_per_month < 1e15:
        raise DataError(f"A budget of {budget_usd_per_month} USD is none.", fix="give more than 0")
    made, secret = add_key(
        paths,
        name,
        roles=roles,
        pipelines=pipeline or [],
        allowance=Allowance(rate_per_minute, requests_per_month, budget_usd_per_month),
        expires_s=expires.replace(tzinfo=dt.UTC).timestamp() if expires else None,
    )
    if json:
        json_out({"key": secret, **_shown(made, None, time.time())})
        return
    say(secret)
    say(f"This is the key of {made.name}. It is shown once: only its hash is kept.", "bold")
    say("Send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", "dim")


def list_keys(json: Json = False) -> None:
    """Show all keys, what each has used this month and when it was used last."""
    from workbench.serving.door.keys import read_keys
    from workbench.serving.door.uses import read_uses

    paths = find_paths()
    keys = read_keys(paths.keys)
    now_s = time.time()
    listed = keys.keys if keys else ()
    uses = read_uses(paths.key_uses, listed, now_s)
    shown = [_shown(key, use, now_s) for key, use in zip(listed, uses, strict=True)]
    if json:
        json_out(shown)
        return
    if not shown:
        say("No keys: a server on this machine answers its own programs, and nobody else.")
        say("Add one with `workbench keys add NAME`.", "dim")
        return
    columns = ["name", "id", "state", "may", "pipelines", "this month", "limits", "last use"]
    columns.append("expires")
    table("", columns, map(_row, shown), ("name", "id"), (("id",), ("expires", "limits")))


def revoke(
    name: Annotated[str, typer.Argument(help="Whose key to take back.", metavar="NAME")],
    json: Json = False,
) -> None:
    """Let a key open nothing any more; running servers know within a second."""
    from workbench.serving.door.keys import revoke_key

    revoked = revoke_key(find_paths(), name)
    if json:
        json_out({"revoked": revoked.name, "id": revoked.id})
    else:
        say(f"Key {revoked.name} ({revoked.id}) opens nothing any more.", "bold")


def _check_pipelines(paths: Paths, wanted: list[str]) -> None:
    """A key for a misspelt pipeline would be found out when it is refused, elsewhere and late."""
    if not wanted:
        return
    from workbench.core.params import read_params
    from workbench.storage.pointer import read_pointer

    known = {*read_params(paths.params).pipelines, *read_pointer(paths.pointer).pipelines}
    for name in wanted:
        if name not in known:
            raise DataError(
                f"There is no pipeline '{name[:80]}'.{did_you_mean(name, known)}",
                fix="use a name of params.yaml",
            )


def _shown(key: Key, use: Use | None, now_s: float) -> dict[str, Any]:
    """A key without its hash."""
    return {
        "name": key.name,
        "id": key.id,
        "state": key.state(now_s),
        "roles": list(key.roles),
        "pipelines": list(key.pipelines),
        "rate_per_minute": key.allowance.rate_per_minute,
        "requests_per_month": key.allowance.requests_per_month,
        "usd_per_month": key.allowance.usd_per_month,
        "requests": use.requests if use else 0,
        "usd": use.usd if use else 0.0,
        "created_s": key.created_s,
        "expires_s": key.expires_s,
        "last_use_s": use.last_s if use else None,
    }


def _row(shown: dict[str, Any]) -> list[Any]:
    limits = [
        f"{shown[name]:,} {words}"
        for name, words in (
            ("rate_per_minute", "a minute"),
            ("requests_per_month", "a month"),
            ("usd_per_month", "USD a month"),
        )
        if shown[name] is not None
    ]
    used = f"{shown['requests']:,} requests"
    if shown["usd"]:
        used += f", {shown['usd']:.2g} USD"
    expires = shown["expires_s"]
    return [
        shown["name"],
        shown["id"],
        shown["state"],
        ", ".join(shown["roles"]),
        ", ".join(shown["pipelines"]) or "all",
        used,
        ", ".join(limits) or "none",
        moment(shown["last_use_s"]) if shown["last_use_s"] else "never",
        dt.datetime.fromtimestamp(expires, dt.UTC).date().isoformat() if expires else "never",
    ]
