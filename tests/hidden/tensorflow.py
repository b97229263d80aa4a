"""Stands for a TensorFlow that is not installed, see `python_path`."""

raise ImportError("TensorFlow is hidden from this process.")
