"""The rules that source code can break. Each takes a tree and returns its offences, one line each."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from tests.architecture.source import Module, feature_modules, features, modules, nodes_of

PUBLIC_MODULES = {"models", "access", "scopes", "schemas", "errors"}
"""The modules of a feature that other features may import."""

MAX_WORDS = 10
"""In the name of a test, after `test_`."""

SELECTING_MODULES = {"queries", "access", "scopes"}

MAKERS = {"Caller": "callers", "Permission": "scopes", "KeyScope": "scopes"}
"""Who makes what lets somebody in, where it is not its own feature's `access`: callers are made where tokens are read;
permissions and what API keys may be used for hold nobody's ids."""


def private_modules(root: Path) -> list[str]:
    """Features import only the public modules of one another."""
    offences, others = [], features(root)
    for module in feature_modules(root):
        for node in module.nodes:
            if isinstance(node, ast.ImportFrom):
                targets = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            else:
                continue
            for target in targets:
                _, other, name = (*target.split("."), "", "")[:3]
                if target.startswith("."):
                    offences.append(module.offence(node, "imports relatively, which hides where it enters"))
                elif target.startswith("app.") and other in {*others} - {module.feature} and name not in PUBLIC_MODULES:
                    offences.append(
                        module.offence(
                            node,
                            f"imports {other}.{name}: import {', '.join(sorted(PUBLIC_MODULES))} of it, or a port"
                            if name
                            else f"imports {other}: import one of its public modules",
                        )
                    )
    return offences


def commits(root: Path) -> list[str]:
    """Transactions are committed in `app.core.database.database` only: services open `database.transaction()`."""
    return [
        module.offence(node, f"uses .{node.attr}: open `database.transaction()` instead")
        for module in modules(root)
        for node in module.nodes
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "begin", "rollback"}
    ]


def unrepeated_transactions(root: Path) -> list[str]:
    """What PostgreSQL undoes to end a deadlock is repeated: single statements always, transactions as a function."""
    return [
        module.offence(call, f"opens a transaction in {function.name}, which needs `@repeated_if_undone`")
        for module in feature_modules(root)
        for function in module.nodes
        if isinstance(function, ast.AsyncFunctionDef)
        and all(module.full_name(one).rpartition(".")[2] != "repeated_if_undone" for one in function.decorator_list)
        for call, name in module.calls(function)
        if name.rpartition(".")[2] in {"transaction", "transaction_of"}
    ]


def selects(root: Path) -> list[str]:
    """Features read by `queries`, `access` and `scopes`, which start from a scope; a service only writes.

    A SELECT that feeds an INSERT (`from_select`) is part of a write: it lets permission and insertion be one statement.
    """
    offences = []
    for module in feature_modules(root):
        if module.name in SELECTING_MODULES:
            continue
        feeding = [
            node
            for node in module.nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and any(isinstance(part, ast.Attribute) and part.attr == "from_select" for part in ast.walk(node))
        ]
        allowed = {call for function in feeding for call, _ in module.calls(function)}
        for call, name in module.calls():
            if re.fullmatch(r"sqlalchemy(\.\w+)*\.select", name) and call not in allowed:
                offences.append(module.offence(call, "selects outside queries, access and scopes"))
        offences += [
            module.offence(node, "selects outside queries, access and scopes")
            for node in module.nodes
            if isinstance(node, ast.Constant) and re.match(r"\s*(SELECT|WITH)\s", str(node.value))
        ]
    return offences


def clocks(root: Path) -> list[str]:
    """Times come from the database's clock (or `time`'s monotonic one), which all processes share."""
    return [
        module.offence(call, f"calls {name}")
        for module in modules(root)
        if module.parts not in {("app", "core", "logging"), ("app", "core", "clock")}
        for call, name in module.calls()
        if re.fullmatch(r"(datetime\.)?(datetime\.(now|utcnow|today)|date\.today)|time\.time", name)
    ]


def prints(root: Path) -> list[str]:
    """Only the command line talks to the terminal; everything else logs."""
    return [
        module.offence(call, "prints")
        for module in modules(root)
        if module.parts[:2] != ("app", "cli")
        for call, name in module.calls()
        if name in {"print", "sys.stdout.write", "sys.stderr.write"}
    ]


def scopes_made_elsewhere(root: Path) -> list[str]:
    """Only a feature's own `access` makes its scopes: whoever holds one was let in."""
    makers: dict[str, tuple[str, str]] = {}
    for module in feature_modules(root):
        if module.name == "scopes":
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef) and (node.name.endswith("Scope") or node.name in MAKERS):
                    maker = MAKERS.get(node.name, "access")
                    makers[".".join((*module.parts, node.name))] = (str(module.feature), maker)
    offences = []
    for module in modules(root):
        for call, name in module.calls():
            # Inside scopes.py itself the class has no import to resolve.
            only = makers.get(name) or makers.get(".".join((*module.parts, name)))
            if only and only != (module.feature, module.name):
                offences.append(module.offence(call, f"makes {name.rpartition('.')[2]}: {'.'.join(only)} does that"))
            elif name in {"dataclasses.replace", "copy.replace"} and module.feature and module.name != "access":
                offences.append(module.offence(call, "makes a changed copy, and that may be a scope's"))
    return offences


def bypassed_aliases(root: Path) -> list[str]:
    """The database comes by `DatabaseDep`, or for a whole request by `transaction_of`."""
    offences = []
    for module in modules(root):
        if module.parts[:3] == ("app", "core", "database"):
            continue
        for call, name in module.calls():
            wanted = [module.full_name(argument) for argument in (*call.args, *(word.value for word in call.keywords))]
            if name.rpartition(".")[2] in {"Depends", "Security"}:
                offences += [
                    module.offence(call, f"depends on {target} past its alias")
                    for target in wanted
                    if target.startswith("app.core.database.database.")
                    or target.endswith((".transaction", ".database"))
                ]
        if module.feature:
            offences += [
                module.offence(node, "takes the database from the services")
                for node in module.nodes
                if isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Call)
                and module.full_name(node.slice).endswith(".Database")
            ]
    return offences


def slow_middleware(root: Path) -> list[str]:
    """Middleware is plain ASGI: `BaseHTTPMiddleware` costs 200 µs a request."""
    return [
        module.offence(node, "uses BaseHTTPMiddleware")
        for module in modules(root)
        for node in module.nodes
        if (isinstance(node, ast.alias) and node.name.endswith("BaseHTTPMiddleware"))
        or (isinstance(node, ast.Attribute) and node.attr in {"BaseHTTPMiddleware", "middleware"})
    ]


LIBRARY_NAMES = {
    "_type_adapter": ("app/core/http/fast_path.py", "fastapi", "0.165.0"),
    "_embed_body_fields": ("app/core/http/fast_path.py", "fastapi", "0.165.0"),
    "_transport": ("app/core/database/connecting.py", "asyncpg", "0.32.0"),
    "_value": ("app/core/metrics.py", "prometheus-client", "0.26.0"),
    "_sum": ("app/core/metrics.py", "prometheus-client", "0.26.0"),
    "_buckets": ("app/core/metrics.py", "prometheus-client", "0.26.0"),
    "_m": ("app/core/metrics.py", "prometheus-client", "0.26.0"),
    "_positions": ("app/core/metrics.py", "prometheus-client", "0.26.0"),
}
"""The private names of libraries that are used, because the public way costs too much or there is none: the module that
may use each, its library, and the version in which it was read what they mean."""

_NAMED_TUPLE = {"_asdict", "_fields", "_replace"}


def private_names_of_libraries(root: Path) -> list[str]:
    """Each private name of a library is used by one module, and somebody has read its source in this version."""
    ours, used = set(_NAMED_TUPLE), []
    for module in modules(root):
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                ours.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                ours.add(node.id)
            elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr):
                if isinstance(node.ctx, ast.Store):
                    ours.add(node.attr)
                else:
                    used.append((module, node))
    offences = [
        module.offence(node, f"uses {node.attr} of a library: take a public name, or add it to LIBRARY_NAMES")
        for module, node in used
        if node.attr not in ours and LIBRARY_NAMES.get(node.attr, ("",))[0] != module.path.relative_to(root).as_posix()
    ]
    offences += [
        f"{name} is no longer used: take it out of LIBRARY_NAMES"
        for name in sorted(LIBRARY_NAMES.keys() - {node.attr for _, node in used})
    ]
    return offences + [
        f"{library} is {version(library)}: read in its source whether {name} is what {module} takes it for, and name "
        "the version in LIBRARY_NAMES"
        for name, (module, library, read_in) in LIBRARY_NAMES.items()
        if version(library) != read_in
    ]


def anonymous_errors(root: Path) -> list[str]:
    """What a feature refuses is a class in its `errors`, with a code; never a bare HTTPException."""
    offences = []
    for module in feature_modules(root):
        for node in module.nodes:
            # One that a library raised may be caught, and answered by a class.
            made = node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else None
            if made is not None and module.full_name(made).endswith("HTTPException"):
                offences.append(module.offence(node, "raises HTTPException"))
            elif isinstance(node, ast.ClassDef) and node.name.endswith("Error") and module.name != "errors":
                offences.append(module.offence(node, f"defines {node.name} outside errors"))
    return offences


def long_test_names(root: Path) -> list[str]:
    """A test's name says subject, condition and result in at most ten words (docs/style.md)."""
    return [
        f"{path.relative_to(root)}: {name} has more than {MAX_WORDS} words: say subject, condition and result"
        for path in sorted((root / "tests").rglob("test_*.py"))
        for name in re.findall(r"def test_(\w+)", path.read_text())
        if len(name.split("_")) > MAX_WORDS
    ]


def path_ids_read_elsewhere(root: Path) -> list[str]:
    """Ids in the path are read by `access` (and by the core, which routes)."""
    return [
        module.offence(node, "reads the path's parameters")
        for module in feature_modules(root)
        if module.name != "access"
        for node in module.nodes
        if isinstance(node, ast.Attribute) and node.attr == "path_params"
    ]


def features_named_by_core(root: Path) -> list[str]:
    """Core names no feature's table and no feature's index: features hand over theirs."""
    names = {name for feature in features(root) for name in _tables(root, feature).values()}
    for module in feature_modules(root):
        texts = (node.value for node in module.nodes if isinstance(node, ast.Constant))
        names |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"\w+_idx", text)}
    named = re.compile(rf"(?<![\w/])({'|'.join(names)})(?![\w/])")
    offences = []
    for module in modules(root):
        if module.parts[:2] != ("app", "core"):
            continue
        documented = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
        offences += [
            module.offence(node, f"names {found[1]}, which is a feature's")
            for node in module.nodes
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documented
            and (found := named.search(node.value))
        ]
    return offences


def unlisted_features(root: Path) -> list[str]:
    """Every router is imported by `app.features` and stands in its list, lowest layer first."""
    listing = Module(root, root / "app" / "features.py")
    routers = next(
        (
            [listing.full_name(item) for item in node.value.elts]
            for node in listing.tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Tuple)
            and any(isinstance(target, ast.Name) and target.id == "ROUTERS" for target in node.targets)
        ),
        [],
    )
    listed = [name.split(".") for name in routers]
    layers = [name for name in _layers(root) if name in {parts[1] for parts in listed}]
    ordered = list(dict.fromkeys(parts[1] for parts in listed))
    written = [module.parts for module in feature_modules(root) if module.name == "router"]
    offences = [
        f"app/features.py: does not list {'.'.join(parts[1:])}"
        for parts in written
        if not any(tuple(other[:-1]) == parts for other in listed)
    ]
    if ordered != layers[::-1]:
        offences.append(f"app/features.py: lists {ordered}, but the layers from below are {layers[::-1]}")
    return offences


def unmirrored_features(root: Path) -> list[str]:
    """Every feature, the core and each of its packages has a folder with tests in it; a feature with tables has
    factories.
    """
    packages = sorted({f"core/{path.parent.name}" for path in (root / "app" / "core").glob("*/*.py")})
    offences = [
        f"tests/{name}/: has no tests"
        for name in [*features(root), "core", *packages]
        if not any((root / "tests" / name).glob("test_*.py"))
    ]
    for name in features(root):
        has_tables = (root / "app" / name / "models.py").exists()
        if has_tables and not (root / "tests" / name / "factories.py").exists():
            offences.append(f"tests/{name}/factories.py: is missing")
    return offences


def tables_without_factory(root: Path) -> list[str]:
    """Every table has a factory beside the tests of its feature."""
    offences = []
    for feature in features(root):
        path = root / "tests" / feature / "factories.py"
        source = path.read_text() if path.exists() else ""
        offences += [
            f"tests/{feature}/factories.py: has no factory of {model}"
            for model in _tables(root, feature)
            if not re.search(rf"__model__ = {model}\b", source)
        ]
    return offences


def tables_outside_the_metadata(root: Path) -> list[str]:
    """Importing `app.features` imports every table: else Alembic would draft its removal."""
    done = subprocess.run(
        [sys.executable, "-c", "import app.features, app.core.database.models as m; print(*m.Base.metadata.tables)"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    declared = {table for feature in features(root) for table in _tables(root, feature).values()}
    return [f"app/features.py: importing it does not import {name}" for name in declared - set(done.stdout.split())]


def _tables(root: Path, feature: str) -> dict[str, str]:
    """The table of each model class of a feature, wherever in the feature it is declared."""
    found = {}
    for path in (root / "app" / feature).glob("*.py"):
        for node in nodes_of(path.read_text()):
            if isinstance(node, ast.ClassDef):
                for line in node.body:
                    if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__tablename__":
                        found[node.name] = str(ast.literal_eval(line.value))
    return found


def _layers(root: Path) -> list[str]:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["app"]]
    return list(layers)
