"""Plugins by name: listed without an import, refused by name when broken. Each test brings its own distributions."""

import signal
import sys
import time
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
        ("Task = 3", "is a int, and must be something that can be called"),
        ("minigrad_api = 2\nTask = dict", "was written for API 2 of minigrad, and this one has API 1"),
        ("class Task:\n    minigrad_api = 0", "was written for API 0"),
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


def test_a_distribution_picks_one_of_two_of_a_name(install) -> None:
    install("first", "fixture_first", "Task = dict", "[minigrad.tasks]\nsame = fixture_first:Task\n")
    install("Second_One", "fixture_second", "Task = list", "[minigrad.tasks]\nsame = fixture_second:Task\n")
    assert registry.load("tasks", "first:same") is dict
    assert registry.load("tasks", "second-one:same") is list
    assert registry.names("tasks").count("same") == 1
    with pytest.raises(UsageError, match="third:same"):
        registry.load("tasks", "third:same")


def test_a_cell_and_a_model_of_one_name_are_two_claims(install) -> None:
    install("first", "fixture_first", "", "[minigrad.cells]\nsame = fixture_first:Cell\n")
    install("second", "fixture_second", "", "[minigrad.models]\nsame = fixture_second:build\n")
    with pytest.raises(PluginError, match=r"first 1\.2.*second 1\.2.*first:same"):
        registry.find("models", "same")
    assert registry.find("models", "second:same").kind == "models"
    assert registry.find("cells", "same").distribution == "first"


@pytest.mark.parametrize(
    ("kind", "source"), [("cells", "class It: pass"), ("cells", "It = len"), ("commands", "It = len")]
)
def test_an_object_of_another_kind_is_refused_where_it_is_loaded(install, kind: str, source: str) -> None:
    install("odd", "fixture_odd", source, f"[minigrad.{kind}]\nodd = fixture_odd:It\n")
    with pytest.raises(PluginError, match=r"odd 1\.2.*must be a"):
        registry.load(kind, "odd")


def test_an_import_that_hangs_is_ended(install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("slow", "fixture_slow", "while True: pass", "[minigrad.tasks]\nslow = fixture_slow:Task\n")
    monkeypatch.setattr(registry, "IMPORT_SECONDS", 0.2)
    with pytest.raises(PluginError, match=r"slow 1\.2.*takes longer than 0\.2 s"):
        registry.load("tasks", "slow")
    assert registry.load("tasks", "copy")


def alarm_after(load) -> float | None:
    """Seconds of an alarm of 0.3 s from when it was set to when it came, with `load()` in between; None: it never did."""
    came: list[float] = []
    began = time.monotonic()
    signal.signal(signal.SIGALRM, lambda *_: came.append(time.monotonic() - began))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        load()
        while not came and time.monotonic() - began < 2:
            time.sleep(0.01)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return came[0] if came else None


def test_the_users_own_alarm_comes_when_it_was_to_come(install) -> None:
    install("quick", "fixture_quick", "Task = dict", "[minigrad.tasks]\nquick = fixture_quick:Task\n")
    install(
        "lazy",
        "fixture_lazy",
        "import time\ntime.sleep(0.5)\nTask = dict",
        "[minigrad.tasks]\nlazy = fixture_lazy:Task\n",
    )
    for kind, name in (("cells", "lstm"), ("tasks", "quick"), ("tasks", "lazy")):
        assert alarm_after(lambda: registry.load(kind, name)) == pytest.approx(0.3, abs=0.1), name


def test_naming_what_is_built_in_touches_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> None:
        raise AssertionError("a signal or a timer was touched")

    monkeypatch.setattr(signal, "signal", touched)
    monkeypatch.setattr(signal, "setitimer", touched)
    for kind in ("cells", "models", "tasks", "unrolls"):
        for name in registry.names(kind):
            registry.load(kind, name)


def test_a_handler_is_left_as_it_was(install) -> None:
    install("calm", "fixture_calm", "Task = dict", "[minigrad.tasks]\ncalm = fixture_calm:Task\n")
    source = "import signal\nmine = lambda *_: None\nsignal.signal(signal.SIGALRM, mine)\nTask = dict"
    install("taker", "fixture_taker", source, "[minigrad.tasks]\ntaker = fixture_taker:Task\n")
    timed = source + "\nsignal.setitimer(signal.ITIMER_REAL, 500)"
    install("timer", "fixture_timer", timed, "[minigrad.tasks]\ntimer = fixture_timer:Task\n")
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    registry.load("tasks", "calm")
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (signal.SIG_DFL, (0, 0))
    try:
        registry.load("tasks", "taker")
        assert signal.getsignal(signal.SIGALRM) is sys.modules["fixture_taker"].mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)  # or ours rings a minute later, in the taker's hands
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        registry.load("tasks", "timer")
        assert signal.getsignal(signal.SIGALRM) is sys.modules["fixture_timer"].mine
        assert 400 < signal.getitimer(signal.ITIMER_REAL)[0] <= 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize("line", ["malformed", "ill = !!", "ill =", "= fixture_ill:Task", "ill = a b:c", "ill = x:y:z"])
def test_one_malformed_entry_point_breaks_no_other(install, line: str) -> None:
    install("ill", "fixture_ill", "Task = dict", f"[minigrad.tasks]\n{line}\nwell = fixture_ill:Task\n")
    install("other", "fixture_other", "Task = dict", "[minigrad.tasks]\nsound = fixture_other:Task\n")
    assert {*OURS, "well", "sound"} <= set(registry.names("tasks"))
    for name in ("copy", "well", "sound"):
        assert registry.load("tasks", name)
    (faulty,) = [e for e in registry.entries("tasks") if e.fault]
    assert (faulty.distribution, registry.declared_api(faulty)) == ("ill", "")
    with pytest.raises(PluginError, match="cannot be loaded"):
        registry.load_entry(faulty)


@pytest.mark.parametrize("metadata", [None, b"", b"\xff\xfe\0", b"Name"])
@pytest.mark.parametrize("points", [b"[minigrad.tasks]\nodd = fixture_odd:Task\n", b"\xff\xfe", b"[\n]\n= =\n"])
def test_metadata_that_cannot_be_read_hide_no_other(install, tmp_path: Path, metadata, points: bytes) -> None:
    install("sound", "fixture_sound", "Task = dict", "[minigrad.tasks]\nsound = fixture_sound:Task\n")
    info = tmp_path / "odd-1.2.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(points)
    if metadata is not None:
        (info / "METADATA").write_bytes(metadata)
    for kind in registry.KINDS:
        assert all(entry.distribution for entry in registry.entries(kind))
    assert {*OURS, "sound"} <= set(registry.names("tasks"))
    assert registry.load("tasks", "sound") is dict
    assert b"odd" not in points or registry.find("tasks", "odd").distribution == "an unnamed distribution"


def test_what_an_import_prints_goes_to_stderr(install, capsys: pytest.CaptureFixture[str]) -> None:
    install("loud", "fixture_loud", "print('hello')\nTask = dict", "[minigrad.tasks]\nloud = fixture_loud:Task\n")
    registry.load("tasks", "loud")
    assert capsys.readouterr() == ("", "hello\n")


def test_the_api_is_read_without_an_import(install) -> None:
    points = "[minigrad.tasks]\nnew = fixture_new:Task\nplain = fixture_plain:Task\nlost = fixture_lost.inner:Task\n"
    install("new", "fixture_new", "minigrad_api = 7\nraise RuntimeError", points)
    install("plain", "fixture_plain", "", "")
    apis = {e.name: registry.declared_api(e) for e in registry.entries("tasks")}
    assert (apis["new"], apis["plain"], apis["lost"]) == ("7", "", "")
    assert "fixture_new" not in sys.modules


def test_a_name_that_nobody_could_type_is_not_offered(install) -> None:
    install("odd", "fixture_odd", "", "[minigrad.tasks]\nhas space = fixture_odd:Task\nfine = fixture_odd:Task\n")
    assert set(registry.names("tasks")) - set(OURS) == {"fine"}


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
