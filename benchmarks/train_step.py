"""How long is a training step, against what the machine can do?

    python benchmarks/train_step.py --backend jax --size tiny --batch-size 16

Trains on one batch of noise and prints images per second, the median step time
with its quartiles, the peak memory of the process, and the share of the
machine's peak: the step's matrix products, counted from the sizes, over the
time that they would take at the speed of a float32 product of two 2048 x 2048
matrices, measured before and after. With `--compile` a backend's compiler is
forced on or off; `auto` is Keras's choice.
"""

import os

from speed import SIZES
from speed import block_flops
from speed import make_images
from speed import make_parser
from speed import measure


def step_flops(model, batch_size, image_size):
    """Matrix products of a training step, backward passes included."""
    encoder, num_predictor_layers = (
        model.student.encoder,
        model.student.predictor.num_layers,
    )
    width, clusters = encoder.hidden_dim, model.clustering.num_clusters
    grid = (image_size // encoder.patch_size,) * 2
    visible, predicted = model.masking.count_patches(grid)
    patches = grid[0] * grid[1]
    registers = encoder.register_tokens.num_registers
    pixels = 3 * encoder.patch_size**2
    dropped = encoder.drop_path.rate if encoder.drop_path else 0.0
    kept = max(int(batch_size * (1 - dropped)), 1) / batch_size
    teacher = 2 * pixels * width * patches
    teacher += encoder.num_layers * block_flops(width, patches + registers)
    clustering = 2 * width * clusters * patches
    student = 2 * pixels * width * visible
    student += (
        kept * encoder.num_layers * block_flops(width, visible + registers)
    )
    student += (
        kept
        * num_predictor_layers
        * block_flops(width, predicted, visible + registers)
    )
    head = 2 * width * clusters * predicted
    # A backward pass takes two products for each one of the forward pass, but
    # the clustering needs no gradient of its input.
    return batch_size * (teacher + 2 * clustering + 3 * (student + head))


def main(options):
    import keras

    import keras_capi

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(options.precision)
    width, heads, layers, predictor_layers, patch_size = SIZES[options.size]
    backbone = keras_capi.models.CAPIBackbone(
        patch_size,
        layers,
        predictor_layers,
        width,
        num_heads=heads,
        drop_path_rate=0.2,
        image_shape=(options.image_size, options.image_size, 3),
    )
    clustering = keras_capi.layers.OnlineClustering(
        options.clusters, chunk_size=options.chunk_size
    )
    model = keras_capi.models.CAPI(backbone, clustering=clustering)
    model.compile(
        keras_capi.optimizers.capi_optimizer(1e-3),
        jit_compile={"auto": "auto", "on": True, "off": False}[options.compile],
    )
    images = make_images(options)
    measure(
        lambda: model.train_on_batch(images),
        step_flops(model, options.batch_size, options.image_size),
        options,
    )


if __name__ == "__main__":
    parser = make_parser(__doc__.splitlines()[0], steps=20)
    parser.add_argument("--clusters", type=int, default=4096)
    parser.add_argument("--chunk-size", type=int)
    parser.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto"
    )
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    main(arguments)
