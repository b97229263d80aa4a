"""Calls what averages over two torch processes in the first one alone.

Usage: `torchrun ... alone_worker.py`.
"""

import time

import torch.distributed as dist
from helpers import make_images
from helpers import make_model

from keras_capi.backend import process_group


def main():
    dist.init_process_group("gloo")
    model = make_model()
    process_group.PATIENCE = 1
    dist.barrier()
    if dist.get_rank():
        # Busy with something else.
        time.sleep(6)
        return
    model.predict(make_images(), verbose=0)
    for method in ("fit", "evaluate"):
        try:
            getattr(model, method)(make_images(), verbose=0)
        except RuntimeError as error:
            print(f"refused: {error}", flush=True)


if __name__ == "__main__":
    main()
