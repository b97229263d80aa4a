"""Pretrains on several devices: one script, the engine of each backend.

    KERAS_BACKEND=jax python examples/pretrain_on_several_devices.py
    KERAS_BACKEND=tensorflow python examples/pretrain_on_several_devices.py
    KERAS_BACKEND=torch torchrun --nproc-per-node 2 \\
        examples/pretrain_on_several_devices.py

JAX and TensorFlow take all devices of the machine. torch starts a process for
each device, and so does JAX on several machines: set the variables of
`keras.distribution.initialize` there. Processes feed equal shares of each batch
and the same number of batches.
"""

import argparse
import contextlib
import os

import keras
import numpy as np

import keras_capi


def start_engine():
    """Returns a scope for the model, and this process's place and number."""
    backend = keras.backend.backend()
    if backend == "jax":
        place, count = 0, 1
        if "KERAS_DISTRIBUTION_PROCESS_ID" in os.environ:
            keras.distribution.initialize()
            place = int(os.environ["KERAS_DISTRIBUTION_PROCESS_ID"])
            count = int(os.environ["KERAS_DISTRIBUTION_NUM_PROCESSES"])
        # The processes below share the data themselves.
        engine = keras.distribution.DataParallel(auto_shard_dataset=False)
        return engine.scope(), place, count
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.distribute.MirroredStrategy().scope(), 0, 1
    import torch

    if "RANK" not in os.environ:
        return contextlib.nullcontext(), 0, 1
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if has_gpu else "gloo")
    return (
        contextlib.nullcontext(),
        torch.distributed.get_rank(),
        torch.distributed.get_world_size(),
    )


def main(batch_size, epochs, seed):
    scope, place, count = start_engine()
    # The same seed everywhere: it also tells the processes the same masks.
    keras.utils.set_random_seed(seed)
    photos = keras_capi.data.sample_photos(shorter_side=160)
    with scope:
        backbone = keras_capi.models.CAPIBackbone(
            patch_size=8,
            num_layers=2,
            predictor_num_layers=1,
            hidden_dim=64,
            num_heads=2,
            # The other method shuffles samples between the devices.
            drop_path_rate=0.1,
            drop_path_method="naive",
            seed=seed,
        )
        masking = keras_capi.layers.InverseBlockMasking(
            prediction_ratio=0.5, seed=seed
        )
        model = keras_capi.models.CAPI(backbone, 32, masking, ema_momentum=0.98)
        model.compile(keras_capi.optimizers.capi_optimizer(1e-3))
        crops = keras_capi.data.RandomCrops(
            photos,
            crop_size=64,
            batch_size=batch_size // count,
            num_batches=8,
            augment=keras_capi.layers.ImageNetNormalization(),
            # Other crops in each process.
            seed=seed + place,
        )
        history = model.fit(crops, epochs=epochs, verbose=2 * (place == 0))
    if place == 0:
        model.save("model.keras")
    print(f"Loss of process {place}: {np.round(history.history['loss'], 4)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
