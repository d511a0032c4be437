"""Promises of the documentation: it is whole, it leads somewhere, and what it shows works."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
import yaml
from typer import Exit
from typer.exceptions import TyperException

import workbench
from workbench.cli.main import app
from workbench.core.check import ARGUMENTS, check
from workbench.core.files import read_json
from workbench.core.fingerprint import write_all
from workbench.core.params import PARTS, Block, read_params
from workbench.core.paths import STAGES, Paths, find_paths
from workbench.notebook.corrections import HELP

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {
    f"{name} {inner}".rstrip(): found
    for name, command in GROUP.commands.items()
    for inner, found in {"": command, **getattr(command, "commands", {})}.items()
}


# the site


class _Page(HTMLParser):
    """Ids and links of a built page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: a warning of MkDocs is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", folder]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def _page(site: Path, name: str) -> str:
    return (site / name / "index.html").read_text(encoding="utf-8")


def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    sections = re.split(r'<h2 id="workbench-?([\w-]*)"', _page(site, "reference/commands"))
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    known = {name.replace(" ", "-"): command for name, command in COMMANDS.items()}
    assert set(told) == {"", *known}
    for name, command in {"": GROUP, **known}.items():
        for param in command.params:
            is_option = param.param_type_name == "option"
            words = [*param.opts, *param.secondary_opts] if is_option else [param.name.upper()]
            assert [w for w in words if w not in told[name]] == [], f"workbench {name}"


def test_every_public_name_is_in_the_reference(pages: dict[Path, _Page], site: Path) -> None:
    page = pages[site / "reference/library/index.html"]
    assert {f"{home}.{name}" for name, home in workbench._HOMES.items()} <= page.ids


def test_every_command_option_and_public_name_says_what_it_is() -> None:
    silent = []
    for name, command in COMMANDS.items():
        silent += [name] if not command.help else []
        silent += [f"{name} {param.name}" for param in command.params if not param.help]
    for name in workbench._HOMES:
        value = getattr(workbench, name)
        said = value.__doc__ or ""
        made = said.startswith(f"{name}(")  # by a dataclass that says nothing itself
        silent += [f"wb.{name}"] if callable(value) and (made or not said) else []
    assert silent == []


def test_every_correction_of_a_look_is_on_the_page_of_ones_own_data() -> None:
    page = (DOCS / "how-to" / "bring-your-data.md").read_text(encoding="utf-8")
    verbs = {line.split()[0] for line in HELP.splitlines()}
    assert {m[1] for m in re.finditer(r"^\| `(\w+) ", page, re.M)} >= verbs


def test_every_function_and_setting_of_the_contract_is_in_the_reference(site: Path) -> None:
    page = _page(site, "reference/library")
    for name, arguments in ARGUMENTS.items():
        assert f"<code>{name}({', '.join(arguments)})</code>" in page
    for part in PARTS:
        model: Any = Block.model_fields[part].annotation
        for key in model.model_fields:
            assert f"<code>{key}</code>" in page, f"{part}.{key}"


def test_every_internal_link_leads_to_a_page_and_a_place_on_it(
    pages: dict[Path, _Page], site: Path
) -> None:
    lost, followed = [], 0
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of wherever the site will stand
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            followed += 1
            there = pages.get(target)
            if there is None or unquote(parts.fragment) not in {"", *there.ids}:
                lost.append(f"{path.relative_to(site)}: {link}")
    assert followed
    assert sorted(set(lost)) == []


def test_every_page_is_in_the_navigation_and_every_entry_has_a_page() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert set(_leaves(nav)) == {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")}


def _leaves(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for inner in entry.values() if isinstance(entry, dict) else entry:
        if not isinstance(entry, str):
            yield from _leaves(inner)


# what is quoted


def _blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks as (info, content)."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S)


def _quoted(text: str) -> set[str]:
    """Commands of the workbench in a page: at a prompt, in a shell block, or in running text."""
    found: set[str] = set()
    for info, content in _blocks(text):
        kind = info.split(" ")[0]
        if kind == "console":
            found |= {m[1] for m in re.finditer(r"^\$ (.+)$", content, re.M)}
        elif kind in ("sh", "bash", "shell"):
            found |= {line.strip() for line in content.splitlines()}
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found |= {" ".join(m[1].split()) for m in re.finditer(r"`([^`]+)`", prose)}
    return {part.strip() for line in found for part in line.split("&&") if _is_ours(part.strip())}


def _is_ours(line: str) -> bool:
    # `workbench check | status | ...` of the change log is a list of names
    return bool(re.match(r"workbench( |$)", line)) and "|" not in line


def _parse(line: str) -> None:
    """Parse a command line as the program would, without running it."""
    with contextlib.suppress(Exit):  # --help
        words = shlex.split(line, comments=True)[1:]
        if not words:
            return
        context = GROUP.make_context("workbench", words)
        name, command, rest = GROUP.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        if words[-1] == name:  # "`workbench repro` ..." in prose names it, arguments left out
            assert command is not None
            return
        inner = command.make_context(name, rest, parent=context)
        if hasattr(command, "commands"):
            name, command, rest = command.resolve_command(
                inner, [*inner._protected_args, *inner.args]
            )
            command.make_context(name, rest, parent=inner)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_quoted_command_is_one_that_the_program_understands(page: Path) -> None:
    wrong = []
    for line in sorted(_quoted(page.read_text(encoding="utf-8"))):
        if "COMMAND" in line:  # stands for any of them
            continue
        try:
            _parse(line)
        except TyperException as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []


def test_commands_are_found_and_a_wrong_one_is_noticed() -> None:
    text = "`workbench runs --last 3`\n\n```console\n$ git pull && workbench sync\nruns: 0\n```\n"
    assert _quoted(text) == {"workbench runs --last 3", "workbench sync"}
    for wrong in ("workbench runs --first 3", "workbench wrong fraud", "workbench rollback fraud"):
        with pytest.raises(TyperException):
            _parse(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_file_of_the_project_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:workbench|tests|docs|dashboards|notebooks)/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


# the example


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A checkout with the pipeline of the how-to page, and nothing else."""
    root = tmp_path_factory.mktemp("checkout")
    shown = {
        match[1]: content
        for info, content in _blocks((DOCS / "how-to/write-a-pipeline.md").read_text("utf-8"))
        if (match := re.search(r'title="([^"]+)"', info))
    }
    (root / "pipelines").mkdir()
    (root / "pipelines/deliveries.py").write_text(shown["pipelines/deliveries.py"], "utf-8")
    head = "version: 1\npipelines: [deliveries]\n\n"
    (root / "params.yaml").write_text(head + shown["params.yaml"], "utf-8")
    shutil.copy(ROOT / "requirements.txt", root)
    # A copy: an edit in the repository meanwhile is not an edit under a running stage.
    shutil.copytree(
        ROOT / "workbench", root / "workbench", ignore=shutil.ignore_patterns("__pycache__")
    )
    paths = find_paths(root)
    write_all(paths, ["deliveries"])
    return paths


def test_the_example_keeps_the_contract(example: Paths) -> None:
    assert check(example.root, read_params(example.params)) == []


def test_the_example_opens_in_marimo_as_it_is_written(example: Paths) -> None:
    command = [sys.executable, "-m", "marimo", "check", "--strict", "pipelines/deliveries.py"]
    done = subprocess.run(command, cwd=example.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_goes_from_raw_data_to_a_model_that_has_learnt(
    example: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.root)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    for stage in STAGES[: STAGES.index("train") + 1]:
        import_module(f"workbench.stages.{stage}").run("deliveries")
    dropped = read_json(example.report("clean", "deliveries"))["dropped"]["deliveries"]
    assert dropped["invalid distance"] > 0
    late = read_json(example.report("label", "deliveries"))["positive_fraction"]
    chance = -late * math.log(late) - (1 - late) * math.log(1 - late)
    assert read_json(example.report("train", "deliveries"))["valid_loss"] < chance / 2
