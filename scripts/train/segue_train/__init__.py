"""Trains Segue's two towers and its ranker, and exports them to ONNX. The contract is `docs/formats.md`."""

import os

# Idle OpenMP threads sleep instead of spinning: on a machine that does other work too, spinning made a step 9 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
