from click.testing import CliRunner
from minigrad_reach import reach


def test_what_is_left_of_an_identity_is_all():
    # h' = h + W x: the gradient of h is the same at every step.
    import minigrad as mg

    class Sum(mg.nn.Cell):
        def __init__(self, input_size, hidden_size):
            self.w = mg.nn.Linear(input_size, hidden_size)

        def initial_carry(self, batch):
            return mg.zeros((batch, self.w.out_features))

        def step(self, h, x):
            h = h + self.w(x)
            return h, h

    with mg.trace() as trace:
        mg.nn.Recurrent(Sum, 10, 4)(mg.ones((5, 2, 10)))[0][-1].sum().backward()
    assert (trace.scans[0].carry_grad_norm[0] == 2).all()


def test_a_row_for_each_cell_and_a_column_for_each_distance():
    result = CliRunner().invoke(reach, ["rnn", "lstm", "--length", "30", "--hidden", "8"])
    assert result.exit_code == 0, result.output
    head, rnn, lstm = (line.split() for line in result.output.splitlines())
    assert head == ["steps", "back", "1", "2", "5", "10", "20"]
    assert (rnn[0], lstm[0]) == ("rnn", "lstm")
    shares = [float(x) for x in rnn[1:]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < 1e-3


def test_a_cell_that_is_not_there_is_named():
    result = CliRunner().invoke(reach, ["lstn"])
    assert "Did you mean 'lstm'" in str(result.exception)
