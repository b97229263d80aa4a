"""Clusters that are made anew between the epochs of a training."""

import keras
from keras import ops


class ClusterAssignments(keras.callbacks.Callback):
    """Has a method make its assignments at the start of each epoch.

    `fit` brings it along. An epoch that a training goes on with in its midst
    has its assignments, as they are a part of the model.

    Args:
        fill: Function without arguments that fills an empty memory.
    """

    def __init__(self, fill):
        super().__init__()
        self.fill = fill

    def on_epoch_begin(self, epoch, logs=None):
        memory = self.model.memory
        if int(ops.convert_to_numpy(memory.position)):
            return
        if not len(memory.filled()[0]):
            self.fill()
            memory.rewind()
        self.model.assign_clusters(seed=epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.model.memory.rewind()
