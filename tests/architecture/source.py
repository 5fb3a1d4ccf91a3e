"""Source code as the rules see it: modules by feature and name, with names resolved to what they import."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The tree under test; the rules take a root, so that a planted offence goes through the same code."""

NO_FEATURES = {"core", "cli"}
"""The folders of the application that are none: what every feature stands on, and the command line."""


@cache
def parsed(source: str) -> ast.Module:
    """The syntax of a source; the same sources are asked about again and again."""
    return ast.parse(source)


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Every node of a source's syntax, in the order of `ast.walk`."""
    return tuple(ast.walk(parsed(source)))


@dataclass(frozen=True)
class Module:
    """One source file of the application."""

    root: Path
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax."""
        return parsed(self.path.read_text())

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of its syntax."""
        return nodes_of(self.path.read_text())

    @property
    def parts(self) -> tuple[str, ...]:
        """Its dotted name in parts, such as app, tasks, service."""
        parts = self.path.relative_to(self.root).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def feature(self) -> str | None:
        """The feature that it belongs to; None for the core and for what stands on top of the features."""
        return self.parts[1] if len(self.parts) > 2 and self.parts[1] not in NO_FEATURES else None

    @property
    def name(self) -> str:
        """Its own name: router, access, service …"""
        return self.parts[-1]

    @cached_property
    def imports(self) -> dict[str, str]:
        """What each imported name stands for."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and not node.level:
                found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    found[name] = alias.name if alias.asname else name
        return found

    def full_name(self, node: ast.expr) -> str:
        """What an expression like `sa.select` names; empty if it is no plain name."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.full_name(node.value)}.{node.attr}"
        return ""

    def calls(self, within: ast.AST | None = None) -> Iterator[tuple[ast.Call, str]]:
        """Every call, with the full name of what is called."""
        for node in ast.walk(within) if within else self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.full_name(node.func)

    def offence(self, node: ast.AST, what: str) -> str:
        """An offence as a rule reports it."""
        return f"{self.path.relative_to(self.root)}:{getattr(node, 'lineno', 1)}: {what}"


def modules(root: Path) -> list[Module]:
    """Every module of the application."""
    return [Module(root, path) for path in sorted((root / "app").rglob("*.py"))]


def feature_modules(root: Path) -> list[Module]:
    """Every module of a feature."""
    return [module for module in modules(root) if module.feature]


def features(root: Path) -> list[str]:
    """The feature folders."""
    return sorted({path.parent.name for path in (root / "app").glob("*/*.py")} - NO_FEATURES)
