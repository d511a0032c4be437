"""One pass over a statement: its canonical text, and the names that it mentions.

Text and names come from the same pass, so what is left out of one is left out of the other.
The text is the same on every supported Python: positions and empty fields are left out, constants
carry their type, and f-strings are put into one form.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from workbench.core.fingerprint.mentions import Context, Keep, Reading
from workbench.core.fingerprint.observed import is_observed
from workbench.core.fingerprint.syntax import (
    COMPREHENSIONS,
    Alias,
    Chain,
    callee_of,
    chain_of,
    has_docstring,
    import_aliases,
    is_type_checking,
    merged,
    names_in,
    targets,
)

_SKIPPED = frozenset({"ctx", "kind", "type_comment"})


def read(node: ast.stmt, context: Context, keep: Keep) -> Reading:
    """Read one top-level statement."""
    reader = _Reader(node, context, keep)
    reader.visit(node)
    reader.reading.text = "".join(reader.out)
    return reader.reading


class _Plain:
    """The context of a statement read on its own: nothing is known, so everything counts."""

    def harmless(self, decorator: Chain) -> bool:
        return False

    def notebook(self, decorator: Chain) -> bool:
        return False

    def watches(self, callee: Chain, local: dict[str, list[Alias]]) -> bool:
        return False

    def is_value(self, name: str) -> bool:
        return False

    def aliases(self, node: ast.Import | ast.ImportFrom) -> list[tuple[str, Alias]]:
        return import_aliases(node, "", False)


def dump(node: ast.stmt) -> str:
    """Canonical text of a statement by itself, the same on every supported Python."""
    return read(node, _Plain(), Keep()).text


class _Reader:
    """State of one pass: where it stands, and what it found."""

    def __init__(self, root: ast.stmt, context: Context, keep: Keep) -> None:
        self.root, self.context, self.keep = root, context, keep
        self.out: list[str] = []
        self.reading = Reading()
        self.nested = False
        self.in_class = False
        self.targets: frozenset[str] = frozenset()
        self.kept = keep.annotations
        self.kept_docs = keep.docs
        self._visitors: dict[type, Callable[..., None]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.FunctionDef: self._definition,
            ast.AsyncFunctionDef: self._definition,
            ast.ClassDef: self._definition,
            ast.Lambda: self._lambda,
            ast.arg: self._argument,
            ast.AnnAssign: self._annotated,
            ast.Expr: self._expression,
            ast.If: self._if,
            ast.Import: self._import,
            ast.ImportFrom: self._import,
            ast.Call: self._call,
            ast.JoinedStr: self._joined,
            ast.Pass: self._nothing,
        } | dict.fromkeys(COMPREHENSIONS, self._comprehension)

    def visit(self, node: ast.AST) -> None:
        self._visitors.get(node.__class__, self._generic)(node)

    # how the text is written

    def _generic(self, node: ast.AST) -> None:
        self._open(node)
        for name in node._fields:
            if name not in _SKIPPED:
                self._field(name, getattr(node, name, None))
        self.out.append(")")

    def _open(self, node: ast.AST) -> None:
        self.out.append(node.__class__.__name__)
        self.out.append("(")

    def _field(self, name: str, value: object) -> None:
        if value is None or value == []:
            return
        self.out.append(f"{name}=")
        self._value(value)
        self.out.append(";")

    def _value(self, value: object) -> None:
        if isinstance(value, list):
            self.out.append("[")
            for item in value:
                before = len(self.out)
                self._value(item)
                # A statement that means nothing leaves no trace, not even a comma.
                if len(self.out) > before:
                    self.out.append(",")
            self.out.append("]")
        elif isinstance(value, ast.AST):
            self.visit(value)
        else:
            self.out.append(ascii(value))

    def _nothing(self, node: ast.AST) -> None:
        """Leave the node out."""

    def _constant(self, node: ast.Constant) -> None:
        # ascii() and hex() do not depend on Python's Unicode tables and digit limits.
        value = node.value
        text = hex(value) if type(value) is int else ascii(value)
        self.out.append(f"{value.__class__.__name__}:{text}")

    def _joined(self, node: ast.JoinedStr) -> None:
        self.out.append("JoinedStr(")
        for kind, text, part in merged(node.values):
            if kind:
                self.out.append(f"str:{text!a},")
            elif isinstance(part, ast.FormattedValue):
                self.out.append(f"{{{part.conversion}")
                self.visit(part.value)
                if isinstance(part.format_spec, ast.JoinedStr) and part.format_spec.values:
                    self.out.append(":")
                    self.visit(part.format_spec)
                self.out.append("},")
        self.out.append(")")

    # names

    def _mention(self, chain: Chain) -> None:
        if not self.nested and chain[0] in self.targets:
            return
        (self.reading.inner if self.nested else self.reading.outer).add(chain)
        self.reading.words.update(chain)

    def _name(self, node: ast.Name) -> None:
        self.out.append(node.id)
        self._mention((node.id,))

    def _attribute(self, node: ast.Attribute) -> None:
        chain = chain_of(node)
        if chain is None:
            self.reading.words.add(node.attr)
            self.visit(node.value)
            self.out.append(f".{node.attr}")
            return
        self.out.append(".".join(chain))
        self._mention(chain)
        if not self.nested and not isinstance(node.ctx, ast.Load):
            self.reading.changed.add(chain)

    def _subscript(self, node: ast.Subscript) -> None:
        if not self.nested and not isinstance(node.ctx, ast.Load):
            owner: ast.AST | None = node
            while owner is not None and chain_of(owner) is None:
                owner = getattr(owner, "value", None) or getattr(owner, "func", None)
            chain = chain_of(owner) if owner else None
            self.reading.changed |= {chain} if chain else set()
        self._generic(node)

    def _call(self, node: ast.Call) -> None:
        callee = callee_of(node)
        if callee and not self.nested:
            self.reading.calls.add(callee)
        if callee and callee[-1] in ("import_module", "__import__") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                self.reading.loads.add(first.value)
        self._generic(node)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for written, (bound, alias) in zip(node.names, self.context.aliases(node), strict=True):
            is_module = isinstance(node, ast.Import)
            self.reading.imported.add(written.name if is_module else alias.dotted)
            if self.nested:
                self.reading.local.setdefault(bound, []).append(alias)
                if self.context.watches((bound,), {bound: [alias]}):
                    continue
            name = written.name if is_module else alias.dotted
            self.out.append(f"import({name} as {bound}),")

    # scopes

    def _scoped(self, visit: Callable[[], None], *, nested: bool, in_class: bool = False) -> None:
        before = self.nested, self.in_class
        self.nested, self.in_class = nested, in_class
        visit()
        self.nested, self.in_class = before

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        is_class = isinstance(node, ast.ClassDef)
        decorators = [d for d in node.decorator_list if not self._is_marimo(d)]
        before = self.kept, self.kept_docs
        if not all(self._is_harmless(d) for d in decorators):
            self.kept = self.kept_docs = True
        self._open(node)
        self.out.append(f"{node.name};")
        self._field("type_params", getattr(node, "type_params", None))
        if isinstance(node, ast.ClassDef):
            self._field("bases", node.bases)
            self._field("keywords", node.keywords)
        else:
            self._field("args", node.args)
            if self.kept and node.returns:
                self.out.append("returns=")
                self._annotation(node.returns)
                self.out.append(";")
        for decorator in decorators:
            callee = callee_of(decorator)
            if callee and not self.nested:
                self.reading.calls.add(callee)
                if len(callee) > 1:
                    self.reading.changed.add(callee)
        self._field("decorators", decorators)
        body = node.body
        if has_docstring(body):
            if self.kept_docs and isinstance(body[0], ast.Expr):
                self.out.append("doc=")
                self.visit(body[0].value)
                self.out.append(";")
            body = body[1:]
        if not is_class:
            # What a method's own scope holds is not read by the decorator of its class.
            self.kept, self.kept_docs = self.keep.annotations, self.keep.docs
        self.out.append("body=")
        self._scoped(lambda: self._value(body), nested=True, in_class=is_class)
        self.out.append(")")
        self.kept, self.kept_docs = before

    def _is_marimo(self, decorator: ast.expr) -> bool:
        callee = callee_of(decorator)
        return callee is not None and self.context.notebook(callee)

    def _is_harmless(self, decorator: ast.expr) -> bool:
        callee = callee_of(decorator)
        if callee is None:
            return False
        accessor = len(callee) == 2 and callee[1] in ("setter", "getter", "deleter")
        return accessor or self.context.harmless(callee)

    def _lambda(self, node: ast.Lambda) -> None:
        self._open(node)
        self._field("args", node.args)
        self._scoped(lambda: self._field("body", node.body), nested=True)
        self.out.append(")")

    def _comprehension(self, node: ast.ListComp | ast.DictComp) -> None:
        self._open(node)
        # Only the first iterable is looked up outside.
        self._field("first", node.generators[0].iter)

        def inside() -> None:
            for name in node._fields:
                if name != "generators":
                    self._field(name, getattr(node, name))
            for place, generator in enumerate(node.generators):
                self.out.append(f"for{generator.is_async}")
                self._field("target", generator.target)
                if place:
                    self._field("iter", generator.iter)
                self._field("ifs", generator.ifs)

        # Python 3.12 has no table of its own for a comprehension at the top of a module.
        before = self.targets
        if not self.nested:
            self.targets = self.targets | targets(node)
        self._scoped(inside, nested=self.nested, in_class=self.in_class)
        self.targets = before
        self.out.append(")")

    # what may be left out

    def _argument(self, node: ast.arg) -> None:
        self.out.append(node.arg)
        if self.kept and node.annotation:
            self.out.append(":")
            self._annotation(node.annotation)

    def _annotation(self, node: ast.expr) -> None:
        """Names in annotations are looked up in the module, strings included."""
        self._scoped(lambda: self.visit(node), nested=False)
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                self.reading.outer.update(names_in(part.value))

    def _annotated(self, node: ast.AnnAssign) -> None:
        if self.in_class or self.keep.annotations:
            self._open(node)
            self.visit(node.target)
            self.out.append(":")
            self._annotation(node.annotation)
            self.out.append(";")
            self._field("value", node.value)
            self.out.append(")")
        elif node.value is not None:
            self.visit(ast.Assign(targets=[node.target], value=node.value))
        else:
            # `x: int` without a value still makes the name local.
            self._open(node)
            self.visit(node.target)
            self.out.append(")")

    def _if(self, node: ast.If) -> None:
        if is_type_checking(node):
            for stmt in node.orelse:
                self.visit(stmt)
        else:
            self._generic(node)

    def _expression(self, node: ast.Expr) -> None:
        value = node.value
        if isinstance(value, ast.Constant) or is_observed(
            value, self.root, self.context, self.reading
        ):
            return
        before = set(self.reading.outer)
        self._generic(node)
        if not self.nested:
            self._mark_changed(value, self.reading.outer - before)

    def _mark_changed(self, value: ast.expr, mentioned: set[Chain]) -> None:
        """`X.append(f)` changes X; `register(X)(f)` may change all that it mentions."""
        callee = chain_of(value.func) if isinstance(value, ast.Call) else None
        self.reading.changed |= {callee} if callee and len(callee) > 1 else mentioned
