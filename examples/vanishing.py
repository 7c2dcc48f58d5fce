"""Why a plain recurrent network forgets: the gradient shrinks by the same factor at every step back.

    python examples/vanishing.py

h' = W h with W = ρ Q, Q orthogonal: over k steps the gradient's norm changes by exactly ρᵏ. With tanh between the steps
it shrinks faster, since no slope of tanh is above 1.
"""

import numpy as np

import minigrad as mg

STEPS, UNITS = 100, 32


def shrinkage(rho: float, nonlinearity) -> float:
    """Norm of dL/dh at the first of 101 steps over that at the last."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(UNITS, UNITS)))
    w = mg.tensor(rho * q, requires_grad=True)
    xs = 0.1 * np.random.default_rng(1).normal(size=(STEPS + 1, 1, UNITS))
    with mg.trace() as trace:
        last, _ = mg.scan(lambda h, x: (nonlinearity(h @ w + x), None), np.zeros((1, UNITS)), xs)
        last.sum().backward()
    norms = trace.scans[0].carry_grad_norm[0][:, 0]
    return float(norms[0] / norms[-1])


def main() -> None:
    print(f"{'ρ':>5}  {'ρ^100':>10}  {'linear':>10}  {'tanh':>10}")
    for rho in (0.9, 0.95, 1.0, 1.05):
        print(f"{rho:5}  {rho**STEPS:10.3e}  {shrinkage(rho, lambda h: h):10.3e}  {shrinkage(rho, mg.tanh):10.3e}")


if __name__ == "__main__":
    main()
