"""Every task keeps the contract, and each does what its definition says, recomputed here by other means."""

import datetime
import os
import re
from math import log
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.config import resolve
from minigrad.errors import UsageError
from minigrad.objective import make_loss
from minigrad.train import Run

NAMES = mg.registry.names("tasks")


def task(name, *args, **options):
    return mg.registry.load("tasks", name)(*args, **options)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_keeps_the_contract(name: str) -> None:
    made = task(name)
    batch = made.batch(rng(), 5)
    steps = len(batch.xs)
    assert batch.xs.dtype == np.float32
    assert batch.xs.shape == (steps, 5, made.input_size)
    if isinstance(made.loss, str):
        assert batch.targets.shape in ((steps, 5), (5,))
    if made.loss == "cross_entropy":
        assert batch.targets.min() >= 0
        assert batch.targets.max() < made.output_size
    if batch.mask is not None:
        assert batch.mask.shape == batch.targets.shape
        assert batch.mask.any()
    if batch.lengths is not None:
        assert batch.lengths.min() >= 1
        assert batch.lengths.max() <= steps
    again, other = (task(name).batch(rng(seed), 5) for seed in (0, 1))
    np.testing.assert_array_equal(again.xs, batch.xs)
    assert again.xs.shape != other.xs.shape or (again.xs != other.xs).any()
    ys = mg.zeros((steps, 5, made.output_size))
    assert np.isfinite(make_loss(made.loss)(ys, batch).item())
    assert made.baseline > 0


@pytest.mark.parametrize("name", ["copy", "addition", "associative-recall", "dates", "delayed-recall", "dyck", "parity", "reversal",
                                  "selective-copy", "sentiment", "sorting", "temporal-order"])  # fmt: skip
def test_a_baseline_is_the_loss_of_who_knows_how_often_each_answer_comes_and_no_input(name: str) -> None:
    made = task(name)
    batches = [made.batch(rng(seed), 1000) for seed in range(3)]
    losses = []
    for batch, other in zip(batches, batches[1:] + batches[:1], strict=True):  # frequencies of one, loss on another
        classes, shape = made.output_size, batch.targets.shape
        counts = np.eye(classes)[other.targets].sum(axis=-2) + 1e-9  # [T, C] or [C], over the rows
        if name == "dyck":  # its answers are as likely at each place
            counts = np.ones_like(counts)
        logits = np.broadcast_to(np.log(counts / counts.sum(-1, keepdims=True))[..., None, :], (*shape, classes))
        if batch.targets.ndim == 1:
            logits = np.broadcast_to(logits, (len(batch.xs), *logits.shape))
        losses.append(make_loss("cross_entropy")(mg.tensor(np.ascontiguousarray(logits)), batch).item())
    assert np.mean(losses) == pytest.approx(made.baseline, abs=0.03)


def text_of(made, batch, row):
    source = made.text(batch.xs[: -made.answer, row].argmax(-1))
    return source, made.text(batch.targets[-made.answer :, row])


def test_the_answers_of_the_tasks_that_read_and_write() -> None:
    for name, answer in (
        ("reversal", lambda s: s[::-1]),
        ("sorting", lambda s: "".join(sorted(s))),
        ("selective-copy", lambda s: s.replace("_", "")),
        ("addition", lambda s: str(sum(map(int, s[::-1].split("+")))).ljust(4)),
    ):
        made = task(name)
        for batch in [made.batch(rng(), 50), getattr(made, "test_batch", made.batch)(rng(), 50)]:
            for row in range(50):
                source, target = text_of(made, batch, row)
                assert answer(source) == target
            assert batch.mask[-made.answer :].all()
            assert not batch.mask[: -made.answer].any()
            assert not batch.xs[-made.answer :].any()


def test_dates_are_days_in_many_ways() -> None:
    made = task("dates")
    batch, forms = made.batch(rng(), 300), set()
    for row in range(300):
        source, target = text_of(made, batch, row)
        day = datetime.date.fromisoformat(target)
        source = source.strip().lower()
        assert str(day.day) in source
        assert f"{day.year % 100:02}" in source
        forms.add((source[0].isalpha(), source.count(","), source.count("."), source.count("/"), source.count(" ")))
    assert len(forms) == 6  # two of the seven differ in how long the month is
    whole = {made.text(column) for column in made.iso.T}
    assert len(whole) == 21_915 == (datetime.date(2029, 12, 31) - datetime.date(1970, 1, 1)).days + 1


def test_addition_holds_a_tenth_back_and_asks_no_question_twice() -> None:
    made = task("addition")
    asked = {tuple(sorted(map(int, made.text(q)[::-1].split("+")))) for q in made.questions.T}
    assert len(asked) == 50_000
    assert made.cut == 45_000


@pytest.mark.parametrize(("marks", "spans"), [(2, [(10, 20), (50, 60)]), (3, [(10, 20), (33, 43), (66, 76)])])
def test_temporal_order_is_hochreiters(marks: int, spans) -> None:
    batch = task("temporal-order", 100, marks).batch(rng(), 200)
    codes = batch.xs.argmax(-1)
    assert (codes[0] == 0).all()
    assert (codes[-1] == 1).all()
    for row in range(200):
        (at,) = np.nonzero(codes[:, row] >= 6)
        assert [low <= t <= high for t, (low, high) in zip(at, spans, strict=True)] == [True] * marks
        assert batch.targets[row] == int("".join(str(code - 6) for code in codes[at, row]), 2)
    assert task("temporal-order", 100, marks).baseline == pytest.approx({2: 1.3863, 3: 2.0794}[marks], abs=1e-4)


def test_parity_counts_the_ones_of_each_row() -> None:
    batch = task("parity", 12).batch(rng(), 400)
    assert set(batch.lengths) == set(range(1, 13))
    for row, n in enumerate(batch.lengths):
        assert batch.targets[row] == batch.xs[:n, row].argmax(-1).sum() % 2
    assert (task("parity", 12, exact=True).batch(rng(), 5).lengths == 12).all()


def test_dyck_is_a_stack() -> None:
    made = task("dyck", 30, kinds=3, depth=4)
    batch = made.batch(rng(), 100)
    deepest = 0
    for row in range(100):
        stack = []
        for t, code in enumerate(batch.xs[:, row].argmax(-1)):
            if code < 3:
                stack.append(code)
            else:
                assert stack.pop() == code - 3
            deepest = max(deepest, len(stack))
            assert batch.mask[t, row] == bool(stack)
            assert not stack or batch.targets[t, row] == stack[-1]
    assert deepest == 4


def test_associative_recall_asks_for_all_its_pairs() -> None:
    batch = task("associative-recall", 5).batch(rng(), 100)
    assert (batch.xs[:5].sum(axis=-1) == 2).all()
    assert (batch.xs[5:].sum(axis=-1) == 1).all()
    for row in range(100):
        pairs = dict(np.nonzero(x)[0] for x in batch.xs[:5, row])
        asked = batch.xs[5:, row].argmax(-1)
        assert set(pairs) == set(asked)
        assert [pairs[letter] - 26 for letter in asked] == batch.targets[5:, row].tolist()
    assert batch.mask[5:].all()
    assert not batch.mask[:5].any()


def test_delayed_recall_asks_for_the_first_symbol() -> None:
    batch = task("delayed-recall", 9).batch(rng(), 50)
    codes = batch.xs.argmax(-1)
    np.testing.assert_array_equal(codes[0], batch.targets)
    assert (codes[1:] >= 8).all()


def test_mackey_glass_follows_its_equation() -> None:
    from minigrad_plugins.tasks.mackey_glass import mackey_glass

    x = mackey_glass(400)
    assert x[0] == pytest.approx(1.2)
    assert x[1] == pytest.approx(1.2 + (0.2 * 1.2 / (1 + 1.2**10) - 0.12) * 0.95, abs=2e-3)  # nearly straight at first
    assert 0.2 < x.min() < x.max() < 1.4
    # The slope over two units of time, against the right side of the equation in between.
    t = np.arange(200, 399)
    right = 0.2 * x[t - 17] / (1 + x[t - 17] ** 10) - 0.1 * x[t]
    np.testing.assert_allclose((x[t + 1] - x[t - 1]) / 2, right, atol=2e-3)


# --- what the systems are for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "name", "settings", "options", "within"),
    [
        ("jordan", "parity", {}, {"length": 10}, 500),
        ("lstm", "labelling", {}, {}, 400),
        ("lstm", "sentiment", {}, {"hidden": 64}, 700),
        ("gru", "delayed-recall", {}, {"length": 20, "hidden": 64}, 1100),
        ("attention", "associative-recall", {}, {"hidden": 64}, 500),
        ("attention", "reversal", {"decoder": True}, {"length": 5, "hidden": 64}, 400),
        ("seq2seq", "reversal", {"attention": "general"}, {"length": 8, "hidden": 32}, 700),
        ("seq2seq", "selective-copy", {"attention": "additive"}, {"length": 12, "hidden": 32}, 600),
    ],
)
def test_a_system_learns_what_it_is_for(model: str, name: str, settings, options, within: int) -> None:
    """Within some three times the steps that three seeds needed."""
    run = Run(resolve(model, name, settings=settings, options={"steps": within, "trace": "off", **options}), None)
    for _ in run.records():
        if run.solved:
            break
    assert run.solved
    assert run.average_loss < run.task.baseline / 2


# --- series and files of the user's ----------------------------------------------------------------------------------


def test_sunspots_are_cut_in_time_and_compared_with_eleven_years_before() -> None:
    made = task("forecast")
    lines = (Path(__file__).parents[1] / "plugins/tasks/sunspots.csv").read_text().splitlines()[1:]
    values = np.array([float(line.split(",")[1]) for line in lines])
    assert len(values) == 309
    cut = int(309 * 0.8)
    np.testing.assert_allclose(made.seen, (values[:cut] - values[:cut].mean()) / values[:cut].std(), atol=1e-5)
    naive = np.mean((values[11:] - values[:-11]) ** 2) / values[:cut].var()
    assert made.baseline == pytest.approx(naive, rel=1e-4)
    batch = made.batch(rng(), 20)
    np.testing.assert_array_equal(batch.xs[1:, :, 0], batch.targets[:-1])
    ahead = task("forecast", horizon=3)
    np.testing.assert_array_equal(ahead.batch(rng(), 9).xs[3:, :, 0], ahead.batch(rng(), 9).targets[:-3])


def test_a_column_is_found_by_title_or_number(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("day,temperature,rain\n" + "".join(f"{i},{i * i},{i % 7}\n" for i in range(100)))
    for column, values in (("temperature", np.arange(100.0) ** 2), ("1", np.arange(100.0)), ("", np.arange(100) % 7)):
        made = task("forecast", 5, file=str(file), column=column)
        found = np.concatenate([made.seen, made.held_out]) * made.deviation + made.mean
        np.testing.assert_allclose(found, values, atol=1e-2)
    (tmp_path / "bare.csv").write_text("".join(f"{i % 5}\n" for i in range(100)))
    assert len(task("forecast", 5, file=str(tmp_path / "bare.csv")).seen) == 80


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("forecast", None, {}, "No such file"),
        ("forecast", b"", {}, "is empty"),
        ("forecast", b"a,b\n1,2\n3,x\n", {}, "line 3: column 2 holds 'x', not a number"),
        ("forecast", b"a,b\n1,2\n3\n", {}, "line 3: column 2 holds ''"),
        ("forecast", b"a,b\n1,2\n\n4,nan\n", {}, "line 4: column 2 holds 'nan'"),
        ("forecast", b"a,b\n1,2\n", {"column": "c"}, "no column is called 'c'. There are: a, b"),
        ("forecast", b"a\n" + b"1\n2\n" * 20, {"season": 99}, "season must be from 1 to 39"),
        ("forecast", b"a\n" + b"1\n" * 200, {"length": 5}, "nothing to predict"),
        ("forecast", b"a\n" + b"1\n2\n" * 20, {"length": 50}, "Give a longer series"),
        ("forecast", b"a\n\xff\n", {}, "line 2: byte 2 is 0xff, which is not UTF-8"),
        ("forecast", b"date,a\n2020-01,2020_01\n", {}, "line 2: column 2 holds '2020_01', not a number"),
        ("forecast", b"a\n1\n1e999\n", {}, "line 3: column 1 holds '1e999'"),
        ("forecast", "a\n1\n\uff11\n".encode(), {}, "line 3: column 1 holds"),
        ("forecast", b"nan\n1\n2\n", {}, "line 1: column 1 holds 'nan'"),
        ("forecast", b"day,a\n1,2,5\n2,3,5\n", {}, "line 2: 3 columns, and the first row has 2"),
        ("forecast", b"2,5\n3,7\n3,1\n", {}, "line 1: '2,5' may be one number or two"),
        ("forecast", b"1,2,5\n2,3,7\n3,3,1\n", {}, "line 1: '1,2,5' may be one number or two"),
        ("forecast", b"Mon,5\nTue,6\n", {}, "line 1: .*may be titles or values"),
        (
            "forecast",
            b"year,2020\n1,2\n",
            {},
            "line 1: year, 2020 may be titles or values. Name the column by its title",
        ),
        ("forecast", b"DE,5\nFR,6\n", {"column": 2}, "line 1: DE, 5 may be titles or values"),
        ("forecast", b"1" * 5000 + b",5\n3,6\n", {}, "line 1: .* may be one number or two"),
        ("forecast", b"a;b\n1;2,5\n2;2.5\n3;2,5\n4;2.5\n", {}, "line 3: both"),
        ("forecast", b'a,b\n1,"1,234"\n2,"999"\n', {}, "line 2: '1,234' may be 1234 or 1.234"),
        ("forecast", b"a;b\n1;2,5\n2;2.5\n", {}, "line 3: both '.' and ','"),
        ("forecast", b"a;b\n1;1.234,5\n", {}, "line 2: column 2 holds '1.234,5'"),
        ("forecast", b'a,b\n1,"2\n3,4\n', {}, "line 2: this is no row of a CSV file"),
        ("forecast", b"a,b\n1,2\n", {"column": 3}, "no column is called 3. There are: a, b"),
        ("forecast", b"a,a\n1,2\n", {"column": "a"}, "2 columns are called 'a'. Say column=1 or column=2"),
        ("forecast", b"a,b\n1,2\0\n", {}, "line 2: there is a zero byte"),
        ("sentiment", None, {}, "No such file"),
        ("sentiment", b"id\ttext\tlabel\n", {}, "line 1: .* is not text, a tab and a label"),
        (
            "sentiment",
            b"meh\tmixed\n" + b"a\tgood\nb\tbad\n" * 20,
            {},
            "line 1: the label 'mixed' stands in no other line",
        ),
        ("sentiment", b"fine\tgood\nno label here\n", {}, "line 2: 'no label here' is not text, a tab and a label"),
        ("sentiment", b"fine\tgood\n\tbad\n", {}, "line 2"),
        ("sentiment", b"fine\tgood\n\xff\tbad\n", {}, "line 2: .*not UTF-8"),
        ("sentiment", b"fine\tgood\n" * 30, {}, "1 labels"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    tmp_path: Path, name: str, content, options, words: str
) -> None:
    file = tmp_path / "data.txt"
    if content is not None:
        file.write_bytes(content)
    options = {"length": 2, "season": 1} | options if name == "forecast" and content != b"" else options
    with pytest.raises(UsageError, match=words):
        task(name, **{"file" if name == "forecast" else "text": str(file)}, **options)


NUMBERS = 20 + np.sin(np.arange(60.0)).round(2)


@pytest.mark.parametrize(
    "line",
    [
        "{i},{x}",
        "{i};{x}",
        "{i};{comma}",
        "{i}\t{comma}",
        "{i}|{x}",
        '{i},"{comma}"',
        "2020_{i:02},{x}",
        "2020-{i:02};{comma}",
        "{comma}",
        "{x}",
    ],
)
@pytest.mark.parametrize("title", [True, False])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_numbers_are_read_whatever_stands_between_and_within_them(tmp_path: Path, line, title, mark, end) -> None:
    lines = [line.format(i=i + 10, x=f"{x:.2f}", comma=f"{x:.2f}".replace(".", ",")) for i, x in enumerate(NUMBERS)]
    if line == "{comma}" and not title:
        lines = ["value", *lines]  # without it, each is two integers as well
    elif title:
        lines = [re.sub(r'[^,;|\t"]+', "name", line.format(i="i", x="x", comma="c")), *lines]
    (tmp_path / "a.csv").write_bytes((mark + end.join(lines) + end).encode())
    made = task("forecast", 5, file=str(tmp_path / "a.csv"))
    found = np.concatenate([made.seen, made.held_out]) * made.deviation + made.mean
    np.testing.assert_allclose(found, NUMBERS, atol=1e-5)
    assert made.kept["mean"] == pytest.approx(NUMBERS[:48].mean())


def test_a_columns_number_may_be_an_integer_and_no_title(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("".join(f"{i % 7}.5,{i % 5}.5\n" for i in range(100)))
    for column, period in ((1, 7), ("1", 7), (2, 5), ("", 5)):
        made = task("forecast", 5, file=str(file), column=column)
        assert len(made.seen) == 80
        np.testing.assert_array_equal(made.seen[:-period], made.seen[period:])
    (tmp_path / "b.csv").write_text("year,2020\n" + "".join(f"{i},{i % 7}\n" for i in range(100)))
    for column in (2020, "2020"):
        assert len(task("forecast", 5, file=str(tmp_path / "b.csv"), column=column).seen) == 80
    config = resolve("rnn", "forecast", settings={"file": str(file), "column": 1}, options={"length": 5})
    assert config["task"]["column"] == 1


def test_a_byte_order_mark_is_no_character_of_a_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbf" + b"abcd" * 300)
    made = task("charlm", 7, text=str(tmp_path / "t.txt"))
    assert made.alphabet == "abcd"
    assert len(made.seen) + len(made.held_out) == 1200


@pytest.mark.parametrize("title", ["text\tlabel", "Review\tSentiment", "phrase\tClass"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_of_titles_is_no_class(tmp_path: Path, title: str, mark: str) -> None:
    lines = [f"word{i % 3} stands here\t{'yes' if i % 2 else 'no'}" for i in range(100)]
    (tmp_path / "t.tsv").write_text(mark + "\n".join([title, *lines]))
    made = task("sentiment", text=str(tmp_path / "t.tsv"))
    assert (made.labels, len(made.texts)) == (["no", "yes"], 100)
    (tmp_path / "t.tsv").write_text(mark + "\n".join(lines))
    assert len(task("sentiment", text=str(tmp_path / "t.tsv")).texts) == 100
    assert set(made.words) == {"?", "word0", "word1", "word2", "stands", "here"}


@pytest.mark.parametrize(("name", "option"), [("charlm", "text"), ("sentiment", "text"), ("forecast", "file")])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, name: str, option: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "pipe", "no plain file"), ("/dev/zero", "no plain file"),
                        ("a\0b", "not the name of a file"), ("\udcff", "not the name"), ("x" * 5000, "too long")):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            task(name, **{option: str(path)})


def test_texts_with_labels_are_read_and_a_tenth_is_held_back(tmp_path: Path) -> None:
    lines = [f"word{i % 3} stands here, {'really' * (i % 2)}\t{'yes' if i % 2 else 'no'}" for i in range(100)]
    (tmp_path / "t.tsv").write_text("\n".join(lines) + "\n\n")
    made = task("sentiment", length=3, text=str(tmp_path / "t.tsv"))
    assert made.labels == ["no", "yes"]
    assert made.cut == 90
    assert made.baseline == pytest.approx(log(2))
    batch = made.batch(rng(), 8)
    assert batch.xs.shape[0] <= 3
    words = [[made.words[i] for i in batch.xs[: batch.lengths[r], r].argmax(-1)] for r in range(8)]
    for row, found in enumerate(words):
        assert ("really" in found) == (batch.targets[row] == 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [("addition", {"length": 0}), ("dates", {"length": 5}), ("selective-copy", {"length": 3, "marked": 4}),
     ("temporal-order", {"marks": 4}), ("temporal-order", {"length": 5}), ("delayed-recall", {"length": 1}), ("dyck", {"kinds": 1}),
     ("associative-recall", {"length": 27}), ("mackey-glass", {"horizon": 0}), ("forecast", {"season": -1}), ("forecast", {"season": 309}), ("forecast", {"horizon": -3})],
)  # fmt: skip
def test_options_out_of_range_are_refused(name: str, options) -> None:
    with pytest.raises(UsageError, match=name):
        task(name, **options)
