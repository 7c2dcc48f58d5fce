import numpy as np
import pytest
from minigrad_lynx import HELD_OUT, TRAPPED, Lynx

import minigrad as mg


def test_it_is_a_sound_task():
    assert mg.check.check_task(Lynx).checks >= 5


def test_the_data_are_the_published_ones():
    years = [int(n) for n in TRAPPED.split()]
    assert len(years) == 1934 - 1821 + 1
    assert (years[0], max(years), years.index(max(years)) + 1821, years[-1]) == (269, 6991, 1904, 3396)


def test_what_is_asked_for_is_the_next_year_and_held_out_years_stay_unseen():
    task, rng = Lynx(length=6), np.random.default_rng(0)
    for draw, unseen in ((task.batch, False), (task.test_batch, True)):
        batch = draw(rng, 200)
        assert (batch.xs[1:, :, 0] == batch.targets[:-1]).all()
        late = set(task.years[-HELD_OUT:].tolist()) - set(task.years[:-HELD_OUT].tolist())
        assert bool(late & set(batch.targets.ravel().tolist())) is unseen


def test_a_length_that_the_held_out_years_do_not_have_is_refused():
    with pytest.raises(mg.errors.UsageError, match="from 1 to 23 years"):
        Lynx(length=24)
