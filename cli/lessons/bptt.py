"""Backpropagation through time of three steps, by hand, and by the tape."""

from collections.abc import Iterator
from math import tanh

import minigrad as mg

W, U, XS, TARGET = 0.7, 0.9, (0.5, -0.3, 0.8), 0.2


def pages() -> Iterator[str]:
    """Forward, then each node backward with what it adds up, then the tape's own figures."""
    hs = [0.0]
    lines = [
        "A network of one unit, three steps:",
        "",
        "    a_t = w x_t + u h_(t-1),   h_t = tanh(a_t),   L = (h_3 - y)² / 2",
        f"    w = {W}, u = {U}, y = {TARGET}",
        "",
    ]
    for t, x in enumerate(XS, 1):
        a = W * x + U * hs[-1]
        hs.append(tanh(a))
        lines.append(f"    t = {t}   x = {x:5}   a = {a:8.5f}   h = {hs[-1]:8.5f}")
    lines.append(f"    L = {(hs[-1] - TARGET) ** 2 / 2:.6f}")
    yield "\n".join(lines)

    yield (
        "w and u stand in every step, and so does a part of their gradient. The way back begins at the end:\n\n"
        f"    dL/dh_3 = h_3 - y = {hs[-1] - TARGET:.6f}"
    )
    g, dw, du = hs[-1] - TARGET, 0.0, 0.0
    for t in (3, 2, 1):
        slope = 1 - hs[t] ** 2
        ga = g * slope
        lines = [
            f"Step {t}. Through tanh, whose slope here is 1 - h_{t}² = {slope:.6f}:",
            "",
            f"    dL/da_{t} = {g:.6f} · {slope:.6f} = {ga:.6f}",
            "",
            f"a_{t} = w x_{t} + u h_{t - 1}: each of w, u and h_{t - 1} gets its part.",
            "",
            f"    dL/dw  {dw:.6f} + dL/da_{t} x_{t} = {dw:.6f} + {ga:.6f} · {XS[t - 1]} = {dw + ga * XS[t - 1]:.6f}",
            f"    dL/du  {du:.6f} + dL/da_{t} h_{t - 1} = {du:.6f} + {ga:.6f} · {hs[t - 1]:.6f} = {du + ga * hs[t - 1]:.6f}",
        ]
        dw, du = dw + ga * XS[t - 1], du + ga * hs[t - 1]
        g = ga * U
        lines.append(f"    dL/dh_{t - 1} = dL/da_{t} u = {g:.6f}" + ("   and on to the step before" if t > 1 else ""))
        yield "\n".join(lines)

    w, u, h = (
        mg.tensor(W, requires_grad=True, dtype="f8"),
        mg.tensor(U, requires_grad=True, dtype="f8"),
        mg.tensor(0.0, dtype="f8"),
    )
    for x in XS:
        h = mg.tanh(w * x + u * h)
    (mg.square(h - TARGET) / 2).backward()
    yield (
        "The tape wrote the same nodes down and went the same way:\n\n"
        f"    by hand   dL/dw = {dw:.12f}   dL/du = {du:.12f}\n"
        f"    the tape  dL/dw = {w.grad.item():.12f}   dL/du = {u.grad.item():.12f}\n\n"
        f"At each step back the gradient was multiplied by u (1 - h²), here {U * (1 - hs[3] ** 2):.3f}, {U * (1 - hs[2] ** 2):.3f}, "
        f"{U * (1 - hs[1] ** 2):.3f}.\nOver many steps that product vanishes or explodes: minigrad explain vanishing."
    )
