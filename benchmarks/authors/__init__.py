"""The authors' training steps, built from a checkout of their code."""
