"""A cell of one's own, trained on the adding problem, with the gradient at every time step.

    python examples/minimal.py

The cell is a gated average: h' = z h + (1 - z) W x, z = σ(V x). Nothing but `step` says what it does.
"""

import minigrad as mg


class Minimal(mg.nn.Cell):
    """h' = z h + (1 - z) W x,   z = σ(V x)"""

    def __init__(self, input_size, hidden_size):
        self.z = mg.nn.Linear(input_size, hidden_size)
        self.h = mg.nn.Linear(input_size, hidden_size)

    def initial_carry(self, batch):
        return mg.zeros((batch, self.h.out_features))

    def step(self, carry, x):  # x [B, D]
        z = mg.sigmoid(self.z(x))
        h = z * carry + (1 - z) * self.h(x)
        return h, h  # (carry, y)


def main() -> None:
    mg.seed(0)
    task = mg.registry.load("tasks", "adding")(length=10)
    layer = mg.nn.Recurrent(Minimal, input_size=2, hidden_size=32, num_layers=2)
    readout = mg.nn.Linear(32, 1)
    parameters = layer.parameters() + readout.parameters()
    optimizer = mg.optim.Adam(parameters, lr=0.01)
    rng = mg.random.generator()
    for step in range(1, 201):
        batch = task.batch(rng, 32)
        with mg.trace() as trace:
            ys, _ = layer(batch.xs)
            loss = mg.nn.mse_loss(readout(ys[-1])[:, 0], batch.targets)
            optimizer.zero_grad()
            loss.backward()
        mg.optim.clip_grad_norm(parameters, 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}  loss {loss.item():.4f}  (the best blind guess: {task.baseline:.4f})")
    norms = trace.scans[-1].carry_grad_norm[0].mean(axis=1)  # [T]: the last layer, averaged over the batch
    for t, norm in enumerate(norms):
        print(f"dL/dh at time step {t:2}  {norm:.2e}  {'#' * round(40 * norm / norms.max())}")


if __name__ == "__main__":
    main()
