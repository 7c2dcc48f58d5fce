"""A training run's configuration: defaults, file, `--set`, options; every key known, every value of the right type.

Imports `errors` and `registry`. Tables `[model] [task] [optimizer] [unroll]` hold the options of what they name.
"""

import inspect
import tomllib
import typing
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, time
from math import isfinite
from pathlib import Path
from typing import Any

from minigrad import registry
from minigrad.device import DEVICES
from minigrad.errors import UsageError, did_you_mean

Table = dict[str, Any]
TABLES = ("model", "task", "optimizer", "unroll")
OPTIMIZERS = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}
# What each top-level key holds. The model and the task are named by `name` in their tables.
KEYS: dict[str, type] = {
    "steps": int, "batch": int, "length": int, "hidden": int, "layers": int, "bidirectional": bool, "lr": float,
    "clip": float, "seed": int, "device": str, "trace": str, "patience": int, "loggers": str,
}  # fmt: skip
DEFAULTS: Table = {
    "batch": 32, "hidden": 128, "layers": 1, "bidirectional": False, "lr": 1e-3, "clip": 1.0, "seed": 0,
    "device": "cpu", "trace": "time",
}  # fmt: skip
MODEL_KEYS = ("hidden", "layers", "bidirectional")  # that a model's `build` may ask for by name
# Of the table [optimizer], for all of them.
TRAINING: dict[str, type] = {"clip_value": float, "noise": float, "schedule": str, "warmup": int}
SIZES = {"patience": 10**9, "steps": 10**9, "batch": 10**6, "length": 10**7, "hidden": 10**5, "layers": 1000}
CHOICES = {"device": DEVICES, "trace": ("off", "params", "time")}
UNSOLVABLE_STEPS = 1000  # where a task does not say when it is solved
MOST_STEPS = 20_000  # of a run that stops when the task is solved
NAMED_BY = {"optimizer": "adam", "unroll": "full"}  # tables that a top-level option names, with the default


def read_toml(path: str | Path) -> Table:
    """Read a TOML file.

    Raises:
        UsageError: if it is missing, not UTF-8, or not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text("utf-8-sig"))  # some editors write a byte order mark
    except OSError as error:
        raise UsageError(f"the configuration {path}: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"the configuration {path} is not TOML: {error}.") from None


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` -> (key, value); the value as TOML reads it, else a number, else text. A date is text.

    Raises:
        UsageError: without a key or an equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set takes key=value, not {text!r}. For example --set nonlinearity=relu.")
    for read in (lambda text: tomllib.loads(f"v = {text}")["v"], float):  # TOML does not take .5
        with suppress(ValueError):
            found = read(value)
            return key.strip(), value.strip() if isinstance(found, date | time) else found
    return key.strip(), value.strip()


def _signature(target: Any, leave_out: tuple[str, ...]) -> dict[str, Any]:
    """The options that a class or function takes, with their types."""
    try:
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError):
        hints = {}
    found = {}
    for p in inspect.signature(target).parameters.values():
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in leave_out:
            found[p.name] = hints.get(p.name, object)
    return found


def known_options(model: str, task: str, optimizer: str, unroll: str) -> dict[str, dict[str, Any]]:
    """For each table the keys that its plugin takes, with their types."""
    from minigrad import optim

    is_cell = registry.find("models", model).kind == "cells"
    target = registry.load("models", model)
    skip = ("input_size", "hidden_size") if is_cell else ("task", *MODEL_KEYS)
    return {
        "model": _signature(target, skip) | ({"dropout": float} if is_cell else {}),
        "task": _signature(registry.load("tasks", task), ("length",)),
        "optimizer": _signature(getattr(optim, OPTIMIZERS[optimizer]), ("params", "lr")) | TRAINING,
        "unroll": _signature(registry.load("unrolls", unroll), ()),
    }


def cell_options(cell: str, settings: Mapping[str, Any]) -> Table:
    """The settings as options of a cell.

    Raises:
        UsageError: for an unknown one, or a value of another type.
    """
    known = _signature(registry.load("cells", cell), ("input_size", "hidden_size"))
    for key in settings:
        if key not in known:
            raise UsageError(
                f"--set: {cell} has no option {key!r}.{did_you_mean(key, known)} Options: {', '.join(known) or 'none'}."
            )
    return {key: _typed(f"--set: {key}", value, known[key]) for key, value in settings.items()}


class Resolver:
    """Collects keys from weaker to stronger sources, and checks each against what is known."""

    def __init__(self, model: str, task: str, optimizer: str | None, unroll: str | None) -> None:
        self.names = {"model": model, "task": task, "optimizer": optimizer or "adam", "unroll": unroll or "full"}
        if self.names["optimizer"] not in OPTIMIZERS:
            raise UsageError(
                f"no optimizer is called {optimizer!r}.{did_you_mean(str(optimizer), OPTIMIZERS)} "
                f"There are: {', '.join(OPTIMIZERS)}."
            )
        self.known = known_options(**self.names)
        self.top: Table = dict(DEFAULTS)
        self.tables: dict[str, Table] = {table: {} for table in TABLES}

    def suggest(self, suggestions: Mapping[str, Any]) -> None:
        """Take a task's advice, where the model or the optimizer has such an option."""
        for key, value in suggestions.items():
            if key in KEYS:
                self.top[key] = value
            for table in ("model", "optimizer"):
                if key in self.known[table]:
                    self.tables[table][key] = value

    def add(self, source: str, keys: Mapping[str, Any]) -> None:
        """Take keys from a file, from `--set`, or from options; `table.key` and bare keys alike.

        Raises:
            UsageError: for an unknown or ambiguous key, or a value of another type.
        """
        for key, value in keys.items():
            if key in TABLES and isinstance(value, Mapping):
                self.add(source, {f"{key}.{inner}": v for inner, v in value.items()})
                continue
            table, name = self._place(source, key)
            kind = KEYS[name] if not table else self.known[table][name]
            value = _typed(f"{source}: {key}", value, kind)
            if table == "task" and value == "" and source == "--set":  # as of a variable that is not set
                raise UsageError(f"--set: {key} is empty. Say what it is, or leave it out.")
            if table == "optimizer" and name in TRAINING:
                _check_training(source, name, value)
            if not table:
                _check_range(source, name, value)
            (self.tables[table] if table else self.top)[name] = value

    def _place(self, source: str, key: str) -> tuple[str, str]:
        table, dot, name = key.partition(".")
        if dot and table in TABLES and name in self.known[table]:
            return table, name
        if not dot and key in KEYS:
            return "", key
        homes = [t for t in TABLES if key in self.known[t]]
        if len(homes) == 1:
            return homes[0], key
        if len(homes) > 1:
            raise UsageError(
                f"{source}: {key!r} is an option of {' and of '.join(homes)}. Say {homes[0]}.{key}, for example."
            )
        if dot and table in TABLES:
            mine = ", ".join(self.known[table]) or "none"
            raise UsageError(
                f"{source}: the {table} {self.names[table]!r} has no option {name!r}."
                f"{did_you_mean(name, self.known[table])} Its options: {mine}."
                + (f" There are also: {', '.join(registry.names('unrolls'))}." if table == "unroll" else "")
            )
        everything = [
            *KEYS,
            *(f"{t}.{k}" for t in TABLES for k in self.known[t]),
            *(k for t in TABLES for k in self.known[t]),
        ]
        mine = ", ".join(f"{t}.{k}" for t in TABLES for k in self.known[t])
        raise UsageError(
            f"{source}: there is no option {key!r} for {self.names['model']} on {self.names['task']}."
            f"{did_you_mean(key, everything)} Options: {', '.join(KEYS)}, {mine}."
        )

    def resolved(self) -> Table:
        """The whole configuration as it is written to `config.toml`.

        Raises:
            UsageError: if the warmup leaves no step of the run.
        """
        warmup, steps = self.tables["optimizer"].get("warmup", 0), self.top.get("steps", MOST_STEPS)
        if warmup >= steps:
            raise UsageError(
                f"warmup={warmup} takes all {steps} steps of the run. Make it shorter, or give more --steps."
            )
        tables = {table: {"name": self.names[table], **self.tables[table]} for table in TABLES}
        return {**{k: self.top[k] for k in KEYS if k in self.top}, **tables}


def _typed(where: str, value: Any, kind: Any) -> Any:
    """The value as its key wants it.

    Raises:
        UsageError: if it is of another type.
    """
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if not isinstance(value, list) or len(value) != len(parts):
            raise UsageError(f"{where} must be a list of {len(parts)}, not {value!r}.")
        return [_typed(where, v, part) for v, part in zip(value, parts, strict=True)]
    kinds = typing.get_args(kind) or (kind,)
    if object in kinds or Any in kinds:
        return value
    if type(value) is int and float in kinds and int not in kinds:
        value = float(value)
    if type(value) is float and not isfinite(value):
        raise UsageError(f"{where} must be a finite number, not {value}.")
    if not any(type(value) is k for k in kinds):
        words = {int: "an integer", float: "a number", str: "text", bool: "true or false", type(None): "none"}
        wanted = " or ".join(words.get(k, str(k)) for k in kinds if k is not type(None))
        raise UsageError(f"{where} must be {wanted}, not {value!r}.")
    return value


def _check_training(source: str, name: str, value: Any) -> None:
    from minigrad.optim.course import NAMES

    if name == "schedule" and value not in NAMES:
        raise UsageError(
            f"{source}: no schedule is called {value!r}.{did_you_mean(value, NAMES)} There are: {', '.join(NAMES)}."
        )
    if name != "schedule" and not 0 < value < float("inf"):
        raise UsageError(f"{source}: {name} must be a number above 0, not {value}.")


def _check_range(source: str, name: str, value: Any) -> None:
    if name in SIZES and not 1 <= value <= SIZES[name]:
        raise UsageError(f"{source}: {name} must be from 1 to {SIZES[name]}, not {value}.")
    if name in ("lr", "clip") and not 0 < value < float("inf"):
        raise UsageError(f"{source}: {name} must be a number above 0, not {value}.")
    if name == "seed" and not 0 <= value < 2**63:
        raise UsageError(f"{source}: seed must be an integer from 0 on, not {value}.")
    if name in CHOICES and value not in CHOICES[name]:
        raise UsageError(
            f"{source}: {name} must be one of {', '.join(CHOICES[name])}, not {value!r}."
            f"{did_you_mean(value, CHOICES[name])}"
        )


def resolve(
    model: str | None,
    task: str | None,
    *,
    file: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    file_name: str = "the configuration",
    advised: bool = True,
) -> Table:
    """Put a configuration together: options beat `settings`, they beat the file, it beats the task's advice.

    A file that holds everything already, as a run's does, is taken without advice: `advised=False`.

    Raises:
        UsageError: for anything unknown, missing or of the wrong type.
    """
    from_file = {k: dict(v) if isinstance(v, Mapping) else v for k, v in (file or {}).items()}
    given = dict(options or {})
    names: dict[str, str | None] = {"model": model, "task": task}
    names |= {table: given.pop(table, None) for table in NAMED_BY}
    for table in TABLES:
        inner = from_file.get(table)
        name = inner.pop("name", None) if isinstance(inner, dict) else from_file.pop(table, None)
        names[table] = names[table] or _typed(f"{file_name}: {table}", name, str | type(None))
    for table in ("model", "task"):
        if not names[table]:
            remedy = "For example: minigrad train lstm --task copy." if advised else "A run's configuration names it."
            raise UsageError(f"{'' if advised else f'{file_name}: '}which {table}? {remedy}")
    resolver = Resolver(str(names["model"]), str(names["task"]), names["optimizer"], names["unroll"])
    sources = ((file_name, from_file), ("--set", settings or {}), ("options", given))
    for source, keys in sources:
        resolver.add(source, keys)
    if not advised:
        return resolver.resolved()
    made = make_task(registry.load("tasks", str(names["task"])), resolver.resolved())
    if getattr(made, "solved", None) is None:
        resolver.suggest({"steps": UNSOLVABLE_STEPS})
    resolver.suggest(getattr(made, "suggests", {}))
    for source, keys in sources:  # once more, for what is said beats what is advised
        resolver.add(source, keys)
    return resolver.resolved()


def make_task(task_class: Any, config: Table) -> Any:
    """The task that a configuration describes."""
    options = {k: v for k, v in config["task"].items() if k != "name"}
    return task_class(**({"length": config["length"]} if "length" in config else {}), **options)
