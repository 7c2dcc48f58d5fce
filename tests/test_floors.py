"""The house holds: imports go down the floors only, without circles, and Numba stands behind one door."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Within a floor a file may import those before it.
FLOORS = [
    ["errors", "arguments", "arraytype", "tree", "files", "svg"],
    ["core", "threads", "jit", "llvm", "gpu", "device"],
    ["kernels", "kernels.tails", "kernels.vector_math", "kernels.matmul", "kernels.cpu", "kernels.rows", "ops", "ops.elementwise", "ops.bits", "ops.smooth", "ops.shape", "ops.index", "ops.reduce", "ops.softmax",
     "ops.linalg", "ops.create", "ops.operators",
     "kernels.cuda_math", "kernels.cuda_scan", "kernels.cuda", "kernels.cuda_array", "kernels.cuda_elements", "kernels.cuda_products", "kernels.cuda_ops"],
    ["random", "mode", "tape", "numpy_calls", "values", "eager", "functional"],
    ["ir", "ir.graph", "ir.watch", "ir.trace", "ir.replay", "ir.backward", "ir.equations", "ir.simplify", "ir.products", "ir.passes", "ir.rows", "ir.hoist"],
    ["codegen", "codegen.places", "codegen.plan", "codegen.schedule", "codegen.text", "codegen.loops", "codegen.cpu",
     "codegen.half", "codegen.host_text", "codegen.host", "codegen.program", "codegen.workspace", "codegen.cuda_loops", "codegen.cuda", "codegen.cuda_run", "codegen.run"],
    ["padding", "tracing", "folding", "compiled", "fused", "recurrence", "batch", "weights", "api"],
    ["nn.module", "nn.layers", "nn.attention", "nn.losses", "nn.ctc", "registry", "nn.cell", "nn.recurrent", "nn",
     "optim.arguments", "optim.clipping", "optim.rules", "optim.schedules", "optim.onecycle", "optim.course", "optim", "gradcheck", "config", "origin", "checkpoint",
     "objective", "gates", "curves", "connectivity", "models", "story", "train", "conformance.report", "conformance.cells", "conformance.others", "conformance.loggers", "conformance", "check"],
]  # fmt: skip
ORDER = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT / "minigrad").with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports(path: Path):
    """Every module that a file imports, at its top or inside a function."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists() or (
                    ROOT / inner.replace(".", "/")
                ).is_dir()
                yield inner if is_module else node.module


LIBRARY = sorted(p for p in (ROOT / "minigrad").rglob("*.py") if p != ROOT / "minigrad" / "__init__.py")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: module_of(p))
def test_imports_go_down(path: Path) -> None:
    me = module_of(path)
    assert me in ORDER, f"{me} stands on no floor: give it one in FLOORS, and in CONTRIBUTING.md"
    for name in imports(path):
        if not name.startswith("minigrad."):
            assert not name.startswith(("minigrad_plugins", "minigrad_cli")), f"{me} imports upward: {name}"
            continue
        other = name.removeprefix("minigrad.")
        assert other in ORDER, f"{me} imports {other}, which stands on no floor"
        assert ORDER[other] < ORDER[me], f"{me} imports upward: {other}"


def test_numba_has_one_door_a_target() -> None:
    where = [p for folder in ("minigrad", "plugins", "cli") for p in (ROOT / folder).rglob("*.py")
             if any(name.split(".")[0] == "numba" for name in imports(p))]  # fmt: skip
    assert sorted(where) == [ROOT / "minigrad" / "gpu.py", ROOT / "minigrad" / "jit.py"]


def test_plugins_use_the_public_door_only() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        for name in imports(path):
            if name.startswith("minigrad"):
                assert name in ("minigrad", "minigrad.check") or name.startswith("minigrad_plugins"), f"{path}: {name}"


def test_no_file_is_named_like_a_function() -> None:
    from minigrad import api

    files = {module_of(p).split(".")[0] for p in LIBRARY}
    assert files & set(api.__all__) == set()


def test_the_list_names_no_file_that_is_gone() -> None:
    assert set(ORDER) == {module_of(p) for p in LIBRARY}
