"""The training step of each method, and its matrix products."""
