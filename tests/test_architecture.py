"""The arrows between packages, read from the imports: who may import whom, and what the core may not touch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "ripstop"
ALLOWED = {
    "core": (),
    "wire": ("core",),
    "kernel": ("core",),
    "transport": ("core", "wire"),
    "dns": ("core", "wire"),
    "store": ("core",),
    "sim": ("core", "wire"),
    "api": ("core",),
    "client": ("api", "core"),
    "cni": (),
    "lab": ("core", "client", "api"),
    "kubernetes": ("core", "client", "api"),
    "cli": ("core", "client", "api", "lab", "kubernetes", "cni"),
    "daemon": ("core", "wire", "kernel", "transport", "store", "api"),
}
ANYWHERE = ("__init__",)  # the version
IMPURE = (
    "asyncio", "ctypes", "datetime", "fcntl", "io", "logging", "multiprocessing", "os", "pathlib", "secrets", "select",
    "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
    "aiohttp", "prometheus_client", "pyroute2", "rich",
)  # fmt: skip
EXCEPTIONS = {"cli/instance.py": ("daemon",)}  # `ripstop daemon` becomes the daemon, `ripstop up` checks its flags


def modules() -> Iterator[tuple[str, Path]]:
    """Yield each module's package and file."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        yield (parts[0] if len(parts) > 1 else path.stem), path


def imports(path: Path, *, at_top: bool = False) -> Iterator[str]:
    """Yield the dotted name of everything imported; with `at_top`, not what functions import when they run."""
    tree = ast.parse(path.read_text())
    later = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if at_top and id(node) in later:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def targets(path: Path) -> Iterator[str]:
    """Yield the packages of ours that a module imports."""
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "ripstop":
            yield parts[1] if (ROOT / parts[1]).exists() or (ROOT / f"{parts[1]}.py").exists() else "__init__"


def test_every_package_is_known() -> None:
    assert {package for package, _ in modules()} - {"__init__"} == {*ALLOWED}


@pytest.mark.parametrize(("package", "path"), list(modules()), ids=lambda value: str(value).removeprefix(str(ROOT)))
def test_imports_follow_the_arrows(package: str, path: Path) -> None:
    file = path.relative_to(ROOT).as_posix()
    allowed = (package, *ALLOWED.get(package, ()), *ANYWHERE, *EXCEPTIONS.get(file, ()))
    for target in targets(path):
        assert target in allowed, f"{file} imports {target}"


def test_nothing_in_the_core_touches_the_world() -> None:
    for package, path in modules():
        if package == "core":
            for name in imports(path):
                assert name.split(".")[0] not in IMPURE, f"{path.relative_to(ROOT)} imports {name}"


def test_the_parts_of_the_core_do_not_know_each_other() -> None:
    """`ipam` knows of the mesh only the shape of an entry; the mesh knows of `ipam` only its messages."""
    shared = ("names", "address", "errors", "events", "effects", "overlay")
    for package, path in modules():
        parts = path.relative_to(ROOT).parts
        if package != "core" or len(parts) < 3:
            continue
        for name in imports(path):
            if name.startswith("ripstop.core."):
                part = name.split(".")[2:]
                assert part[0] in (*shared, parts[1]) or part[1] == "messages" or parts[1] == "overlay", (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


def graph() -> dict[str, tuple[str, ...]]:
    """Return what each module imports at its top, by dotted name."""
    names = {".".join(("ripstop", *path.relative_to(ROOT).with_suffix("").parts)): path for _, path in modules()}
    found: dict[str, tuple[str, ...]] = {}
    for name, path in names.items():
        top = imports(path, at_top=True)
        found[name] = tuple(
            target for imported in top for target in (imported, imported.rpartition(".")[0]) if target in names
        )
    return found


def test_there_are_no_cycles() -> None:
    edges = graph()
    done: dict[str, None] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for target in edges[module]:
                visit(target, (*trail, module))
            done[module] = None

    for module in edges:
        visit(module, ())
