"""Vanishing and exploding gradients."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad as mg
from minigrad_cli.charts import overlay

STEPS, UNITS = 100, 64


def norms(rho: float, nonlinearity: Any) -> Any:
    """Of dL/dh_t, over that at the end, of h' = φ(ρ Q h + x) with Q orthogonal."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(UNITS, UNITS)))
    w, xs = mg.tensor(rho * q, requires_grad=True), 0.1 * np.random.default_rng(1).normal(size=(STEPS + 1, 1, UNITS))
    with mg.trace() as trace:
        last, _ = mg.scan(lambda h, x: (nonlinearity(h @ w + x), None), np.zeros((1, UNITS)), xs, compiled=False)
        last.sum().backward()
    found = trace.scans[0].carry_grad_norm[0][:, 0]
    return found / found[-1]


def pages() -> Iterator[str]:
    """A linear network exactly, then with a nonlinearity, then how steep that is."""
    linear = {rho: norms(rho, lambda h: h) for rho in (0.9, 0.95, 1.0, 1.05)}
    rows = [f"    {rho:<5}  {rho**STEPS:12.5e}   {float(n[0]):12.5e}" for rho, n in linear.items()]
    yield (
        "A linear network h' = ρ Q h + x, where Q turns and does not stretch. Each step back multiplies a gradient by ρ,\n"
        f"so after {STEPS} steps ρ^{STEPS} of it is left:\n\n"
        "    ρ      ρ^100          measured on the trace\n" + "\n".join(rows)
    )
    yield (
        "Drawn, time to the right, the loss at the last step:   ● ρ = .9   ▲ 1   ■ 1.05\n\n"
        + "\n".join(overlay({"●": linear[0.9], "▲": linear[1.0], "■": linear[1.05]}, 78, 9))
    )
    squashed = {rho: norms(rho, mg.tanh) for rho in (0.9, 1.0, 1.05, 1.5)}
    rows = [f"    {rho:<5}  {float(n[0]) ** (1 / STEPS):.4f} a step" for rho, n in squashed.items()]
    yield (
        "With tanh each step also multiplies by its slope, 1 - tanh², which is at most 1: what was shrinking shrinks more,\n"
        "and what would explode is held back where units saturate.\n\n" + "\n".join(rows)
    )
    x = np.linspace(-6, 6, 100_001)
    slopes = {}
    for name, f in (("tanh", mg.tanh), ("sigmoid", mg.sigmoid)):
        slopes[name] = float(mg.grad(lambda v, f=f: f(v).sum())(mg.tensor(x)).numpy().max())
    yield (
        "How steep are they at most? Measured on 100 001 points:\n\n"
        f"    tanh {slopes['tanh']:.6f}    sigmoid {slopes['sigmoid']:.6f}\n\n"
        "Teaching notes often say that tanh's slope is at most .25. That is the sigmoid's; tanh's is 1, and a tanh network near\n"
        "rest with ρ = 1 loses almost nothing. What gates do about the rest: minigrad explain forget-bias."
    )
