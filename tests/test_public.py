"""The public door: every name with its signature, as `golden/public.txt` has it. See docs/plugins for what it promises.

After a change that adds something: `python tests/test_public.py > tests/golden/public.txt`. One that takes something away
first warns for a release: `RENAMED` in `minigrad/__init__.py`.
"""

import inspect
from pathlib import Path

import pytest

import minigrad as mg
from minigrad import api, check, nn, optim, random, registry, tree

GOLDEN = Path(__file__).parent / "golden" / "public.txt"
PLACES = {
    "mg": (mg, api.__all__), "mg.nn": (nn, nn.__all__), "mg.optim": (optim, optim.__all__), "mg.check": (check, check.__all__),
    "mg.registry": (registry, ["KINDS", "names", "find", "load"]), "mg.random": (random, ["generator", "seed"]),
    "mg.tree": (tree, ["flatten", "unflatten", "tree_map"]), "mg.errors": (mg.errors, None),
}  # fmt: skip


def signature(value: object) -> str:
    """Arguments with their defaults; annotations may change."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=plain, return_annotation=found.empty))


def public() -> list[str]:
    lines = []
    for place, (module, names) in PLACES.items():
        names = names or [n for n, v in vars(module).items() if inspect.isclass(v) and issubclass(v, mg.MinigradError)]
        for name in sorted(names):
            value = getattr(module, name)
            lines.append(f"{place}.{name}{signature(value) if callable(value) else ''}")
            if (
                inspect.isclass(value)
                and value.__module__.startswith("minigrad")
                and not issubclass(value, BaseException)
            ):
                for member in sorted(n for n in dir(value) if not n.startswith("_")):
                    found = getattr(value, member)
                    lines.append(f"{place}.{name}.{member}{signature(found) if inspect.isfunction(found) else ''}")
    return lines


def test_no_public_name_or_argument_goes_away_unseen() -> None:
    assert public() == GOLDEN.read_text().splitlines()


def test_a_renamed_name_warns_for_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mg.RENAMED, "tanch", "tanh")
    with pytest.warns(DeprecationWarning, match="mg.tanch is now mg.tanh"):
        assert mg.tanch is mg.tanh


if __name__ == "__main__":
    print("\n".join(public()))
