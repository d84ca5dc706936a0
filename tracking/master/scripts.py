"""Slave scripts, looked at before any slave loads them."""

from __future__ import annotations

import ast

from tracking.errors import InputError


def check_script(path: str) -> None:
    """A script must be Python that defines one slave class, or starts something itself.

    Raises:
        InputError: says what is wrong, and where.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise InputError(f"slave script {path!r} cannot be read: {error.strerror}") from error
    try:
        tree = ast.parse(source, path)
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"slave script {path!r}{where}: {getattr(error, 'msg', error)}") from error
    if _starts_something(tree) or _imports_all(tree):
        return  # an old-style program; what it starts is seen when it runs
    slaves = _slave_classes(tree)
    if not slaves and not _may_import_slave(tree):
        raise InputError(f"slave script {path!r} defines no JobSlave subclass and starts no slave")
    if len(slaves) > 1:
        raise InputError(
            f"slave script {path!r} defines more than one JobSlave subclass ({', '.join(slaves)}) "
            "and starts none of them: end it with NAME().start()"
        )


def _starts_something(tree: ast.Module) -> bool:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr == "start" for call in calls)


def _imports_all(tree: ast.Module) -> bool:
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return any(alias.name == "*" for node in imports for alias in node.names)


def _may_import_slave(tree: ast.Module) -> bool:
    """Some name that is imported, other than JobSlave itself, may be the slave class."""
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return any(
        alias.name[:1].isupper() and alias.name != "JobSlave"
        for node in imports
        if (node.module or "").partition(".")[0] != "tracking"
        for alias in node.names
    )


def _slave_classes(tree: ast.Module) -> list[str]:
    """Names of the classes at the top of a script that are JobSlaves, without those that others derive from."""
    bases: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases[node.name] = {_last_name(base) for base in node.bases}
    slaves: set[str] = {"JobSlave"}
    for _ in bases:
        slaves |= {name for name, its_bases in bases.items() if its_bases & slaves}
    derived_from = {base for name in slaves & bases.keys() for base in bases[name]}
    return sorted(slaves & bases.keys() - derived_from)


def _last_name(base: ast.expr) -> str:
    if isinstance(base, ast.Attribute):
        return base.attr
    return base.id if isinstance(base, ast.Name) else ""
