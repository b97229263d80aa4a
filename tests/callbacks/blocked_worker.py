"""Trains on a data set whose third batch never comes."""

import threading

from helpers import make_images
from helpers import make_model

from keras_capi.callbacks import Checkpoint
from keras_capi.callbacks import stop_signals
from keras_capi.data import RandomCrops


class BlockedCrops(RandomCrops):
    def make_batch(self, epoch, batch):
        if batch == 2:
            print("stuck", flush=True)
            threading.Event().wait()
        return super().make_batch(epoch, batch)


def main(folder):
    stop_signals.PATIENCE = 3.0
    crops = BlockedCrops(list(make_images(3, 20, 24)), 16, 4, 4, seed=0)
    make_model().fit(crops, callbacks=[Checkpoint(folder, crops)], verbose=0)
