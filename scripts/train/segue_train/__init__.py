"""Trains Segue's two towers and its ranker, and exports them to ONNX. The contract is `docs/formats.md`."""
