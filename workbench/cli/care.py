"""Commands that care for the state of a checkout: backup, restore, tidy, merge-lock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.show import Json, json_out, say, table
from workbench.core.errors import StateError
from workbench.core.paths import find_paths

MANY = 10


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(backup)
    app.command()(restore)
    app.command()(tidy)
    app.command()(merge_lock)


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(help="A new tar file, or a folder for a dated one; here by default."),
    ] = None,
    json: Json = False,
) -> None:
    """Save what Git does not hold: databases, runs, releases, predictions, and data behind them."""
    from workbench.registry.backup import backup as save

    made = save(find_paths(), file)
    if json:
        json_out(
            {
                "file": str(made.file),
                "size_bytes": made.size_bytes,
                "members": made.members,
                "bundles": made.bundles,
                "notes": made.notes,
            }
        )
        return
    say(
        f"{made.file}: {size(made.size_bytes)}, {made.members} files, "
        f"released bundles: {made.bundles}",
        "bold green",
    )
    for note in made.notes:
        say(note, "yellow")


def restore(
    file: Annotated[Path, typer.Argument(help="What `workbench backup` wrote.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Where files differ take the backup's; yours step aside."),
    ] = False,
    json: Json = False,
) -> None:
    """Put a backup back, after checking it whole; what is here stays, unless told otherwise."""
    from workbench.registry.restore import restore as put_back

    done = put_back(find_paths(), file, replace=replace)
    if json:
        json_out(
            {
                "made": done.made,
                "added": done.added,
                "same": done.same,
                "rows": done.rows,
                "left": done.left,
                "replaced": done.replaced,
                "aside": str(done.aside) if done.aside else None,
                "notes": done.notes,
            }
        )
        return
    say(
        f"backup of {done.made}: {done.added} files put back, {done.same} were here; "
        f"ledger: {done.rows} new rows",
        "bold green",
    )
    if done.replaced:
        say(f"{len(done.replaced)} replaced: {_some(done.replaced)}. Yours are in {done.aside}.")
    if done.left:
        say(
            f"{len(done.left)} differ and were left as they are here: {_some(done.left)}. "
            "`--replace` takes the backup's and keeps yours aside.",
            "yellow",
        )
    for note in done.notes:
        say(note, "yellow")


def tidy(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove what neither workspace, Git nor a release needs; never a released digest."""
    from workbench.registry.tidy import tidy as clean

    paths = find_paths()
    done = clean(paths, dry_run=dry_run)
    if json:
        json_out(
            {
                "freed_bytes": done.freed_bytes,
                "removed": not dry_run,
                "leftovers": [
                    {
                        "kind": one.kind,
                        "path": str(one.path),
                        "why": one.why,
                        "size_bytes": one.size_bytes,
                    }
                    for one in done.leftovers
                ],
                "notes": done.notes,
            }
        )
        return
    if dry_run and done.leftovers:
        rows = [
            [one.kind, _shown(one.path, paths.root), one.why, size(one.size_bytes)]
            for one in sorted(done.leftovers, key=lambda one: -one.size_bytes)
        ]
        table("", ["what", "where", "why", "frees"], rows)
    word = "would be freed" if dry_run else "freed"
    say(
        f"{size(done.freed_bytes)} {word}: {_counted([one.kind for one in done.leftovers])}",
        "green",
    )
    for note in done.notes:
        say(note, "yellow")


def merge_lock(
    base: Annotated[Path | None, typer.Argument(help="Given by Git.", show_default=False)] = None,
    ours: Annotated[Path | None, typer.Argument(help="Given by Git.", show_default=False)] = None,
    theirs: Annotated[Path | None, typer.Argument(help="Given by Git.", show_default=False)] = None,
    path: Annotated[str | None, typer.Argument(help="Given by Git.", show_default=False)] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Let Git do this at every merge in this clone.")
    ] = False,
) -> None:
    """Merge dvc.lock by stage and release logs by event, in or after a `git merge`."""
    from workbench.registry import merging

    if install:
        changed = merging.install(find_paths())
        say("Git now merges dvc.lock and release logs by itself in this clone.", "green")
        if changed:
            say("Commit .gitattributes, so that other clones need only `--install`.")
        return
    given = (base, ours, theirs, path)
    if base and ours and theirs and path:
        typer.echo("\n".join(merging.merge_files(base, ours, theirs, path).said), err=True)
        return
    if any(given):
        raise StateError("Git gives four arguments, a person none.", fix="`workbench merge-lock`")
    merged = merging.merge_checkout(find_paths())
    for one in merged:
        for sentence in one.said:
            say(sentence)
    say("Next: resolve what else is in conflict, `git commit`, then `workbench repro`.", "green")


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


def _counted(kinds: list[str]) -> str:
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in counts.items()) or "nothing to do"


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
