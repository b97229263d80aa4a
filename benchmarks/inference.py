"""How many images a second does a backbone encode?

    python benchmarks/inference.py --backend torch --size tiny --batch-size 16

Predicts features of one batch of noise, in a compiled function where the
backend has one, and prints what `benchmarks/train_step.py` prints.
"""

import os

from speed import SIZES
from speed import block_flops
from speed import make_images
from speed import make_parser
from speed import measure


def main(options):
    import keras

    import keras_capi

    keras.config.set_dtype_policy(options.precision)
    width, heads, layers, _, patch_size = SIZES[options.size]
    backbone = keras_capi.models.CAPIBackbone(
        patch_size,
        layers,
        1,
        width,
        num_heads=heads,
        drop_path_rate=0.0,
    )
    # The global feature comes from the predictor; patches need the encoder.
    extractor = keras_capi.models.FeatureExtractor(backbone, ("average",))
    images = make_images(options)
    patches = (options.image_size // patch_size) ** 2
    flops = 6 * patch_size**2 * width * patches
    flops += layers * block_flops(width, patches + 16)
    measure(
        lambda: extractor.predict_on_batch(images),
        options.batch_size * flops,
        options,
    )


if __name__ == "__main__":
    parser = make_parser(__doc__.splitlines()[0], steps=10)
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = arguments.backend
    main(arguments)
