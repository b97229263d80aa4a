"""The group of processes that the authors' losses speak with."""

import tempfile


def start_group_of_one():
    """Starts a group without other processes, on the CPU."""
    import torch

    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{tempfile.mkdtemp()}/group",
        rank=0,
        world_size=1,
    )
