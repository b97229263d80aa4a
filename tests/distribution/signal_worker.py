"""Trains in two torch processes, of which one is told to stop.

Usage: `torchrun ... signal_worker.py FOLDER`, which gets the checkpoints.
"""

import os
import signal
import sys

import keras
import torch.distributed as dist
from helpers import make_images
from helpers import make_model

from keras_capi.callbacks import Checkpoint
from keras_capi.data import RandomCrops


def main(folder):
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    crops = RandomCrops(list(make_images(3, 20, 24)), 16, 4, 5, seed=rank)

    def stop_second(batch, logs):
        if rank == 1 and batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        make_model().fit(
            crops,
            callbacks=[
                keras.callbacks.LambdaCallback(on_train_batch_end=stop_second),
                Checkpoint(folder, crops),
            ],
            verbose=0,
        )
    except SystemExit as stop:
        print(f"process {rank} stops with {stop.code}", flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
