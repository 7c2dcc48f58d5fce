"""Plugins by name: listed without an import, refused by name when broken. Each test brings its own distributions."""

import sys
from pathlib import Path

import pytest

from minigrad import registry
from minigrad.errors import PluginError, UsageError


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution with one module and its entry points on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(distribution: str, module: str, source: str, points: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(points)

    yield put
    for name in [n for n in sys.modules if n.startswith("fixture_")]:
        del sys.modules[name]


OURS = registry.names("tasks")


def test_names_are_listed_without_importing(install) -> None:
    install("loud", "fixture_loud", "raise RuntimeError('imported!')", "[minigrad.tasks]\nloud = fixture_loud:Task\n")
    assert registry.names("tasks") == sorted([*OURS, "loud"])
    assert registry.names("models") == ["attention", "gru", "jordan", "lstm", "rnn", "seq2seq"]
    assert "fixture_loud" not in sys.modules


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_thing", "No module named 'no_such_thing'"),
        ("raise SystemExit(5)", "SystemExit"),
        ("x = 1", "has no attribute 'Task'"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_broken_plugin_is_named_with_its_cause(install, source: str, cause: str) -> None:
    install("broken", "fixture_broken", source, "[minigrad.tasks]\nbroken = fixture_broken:Task\n")
    with pytest.raises(PluginError, match=cause) as error:
        registry.load("tasks", "broken")
    assert "broken 1.2" in str(error.value)
    assert registry.load("tasks", "copy")


def test_a_name_that_two_claim_is_an_error_naming_both(install) -> None:
    install("first", "fixture_first", "Task = 1", "[minigrad.tasks]\nsame = fixture_first:Task\n")
    install("second", "fixture_second", "Task = 2", "[minigrad.tasks]\nsame = fixture_second:Task\n")
    with pytest.raises(PluginError, match=r"first 1\.2.*second 1\.2"):
        registry.load("tasks", "same")


def test_an_allow_list_admits_only_what_it_names(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("wanted-one", "fixture_wanted", "Task = 1", "[minigrad.tasks]\nwanted = fixture_wanted:Task\n")
    install("other", "fixture_other", "Task = 1", "[minigrad.tasks]\nother = fixture_other:Task\n")
    monkeypatch.setenv("MINIGRAD_PLUGINS", "Wanted_One")
    assert registry.names("tasks") == sorted([*OURS, "wanted"])
    monkeypatch.setenv("MINIGRAD_PLUGINS", "")
    assert registry.names("tasks") == OURS


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'lstm'"):
        registry.load("cells", "lstn")
    with pytest.raises(UsageError, match="Did you mean 'cells'"):
        registry.names("cell")
