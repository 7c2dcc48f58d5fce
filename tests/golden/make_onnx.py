"""Make `onnx.safetensors` from ONNX' own definition: `pip install onnx safetensors && python tests/golden/make_onnx.py`.

What PyTorch does not have: a GRU that resets before the matmul, and an LSTM with peepholes. In ONNX' order of gates
(z r n, i o f c) turned into ours; values only, gradients are checked by differences.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import save_file

T, B, D, H = 6, 3, 4, 5


def outputs(kind, arrays, **options):
    """ys [T, B, H] of one layer."""
    names = [name for name in arrays if name]
    inputs = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, arrays[n].shape) for n in names]
    out = helper.make_tensor_value_info("ys", TensorProto.DOUBLE, None)
    order = ["x", "w", "r", "b", "", "h", "c", "p"] if kind == "LSTM" else ["x", "w", "r", "b", "", "h"]
    node = helper.make_node(kind, order, ["ys"], hidden_size=H, **options)
    model = helper.make_model(helper.make_graph([node], "one", inputs, [out]))
    return ReferenceEvaluator(model).run(None, arrays)[0][:, 0]


def turned(array, order):
    """Rows of gates in another order."""
    parts = np.split(array, len(order))
    return np.concatenate([parts[i] for i in order])


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    found = {}
    for kind, gates, order in (("GRU", 3, (1, 0, 2)), ("LSTM", 4, (0, 2, 3, 1))):  # to r z n, to i f g o
        w, r, b, c = (rng.normal(size=s) for s in ((gates * H, D), (gates * H, H), gates * H, gates * H))
        x, h, state = rng.normal(size=(T, B, D)), rng.normal(size=(1, B, H)), rng.normal(size=(1, B, H))
        arrays = {"x": x, "w": w[None], "r": r[None], "b": np.concatenate([b, c])[None], "h": h}
        options = {"linear_before_reset": 0} if kind == "GRU" else {}
        if kind == "LSTM":
            peepholes = rng.normal(size=3 * H)  # i o f
            arrays |= {"c": state, "p": peepholes[None]}
            for name, values in zip("iof", np.split(peepholes, 3), strict=True):
                found[f"LSTM.w.weight_c{name}_l0"] = values
        found |= {f"{kind}.x": x, f"{kind}.h": h, f"{kind}.c": state, f"{kind}.ys": outputs(kind, arrays, **options)}
        for name, array in (("weight_ih", w), ("weight_hh", r), ("bias_ih", b), ("bias_hh", c)):
            found[f"{kind}.w.{name}_l0"] = turned(array, order)
    save_file(found, Path(__file__).with_name("onnx.safetensors"), metadata={"onnx": onnx.__version__})
