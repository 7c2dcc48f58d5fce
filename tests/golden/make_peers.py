"""Make `peers-SOURCE.safetensors`, and its line in `counts.toml`.

    pip install jax==0.10.2 torch==2.13.0 onnx==1.23.2
    python tests/golden/make_peers.py jax torch onnx

JAX compiles each of its loops three times over, which takes five minutes.
"""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

if __name__ == "__main__":
    for source in sys.argv[1:]:
        import_module(f"peers.test_{source}").make()
