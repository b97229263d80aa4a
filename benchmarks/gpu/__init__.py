"""One command that measures all on a machine with a GPU."""
