"""CAPI's training step."""

from benchmarks.speed import SIZES
from benchmarks.speed import block_flops
from benchmarks.speed import count_patches
from benchmarks.speed import make_images

NUM_REGISTERS = 16
DROP_PATH_RATE = 0.2
MASK_RATIO, PREDICTED = 0.65, 0.05


def count_masked(options):
    """Returns how many patches an image has, shows, and has predicted."""
    patches = count_patches(options.image_size, SIZES[options.size][-1])
    masked = int(patches * MASK_RATIO)
    return patches, patches - masked, int(masked * PREDICTED)


def flops(options):
    """Matrix products of a step, backward passes included."""
    width, _, layers, predictor_layers, patch_size = SIZES[options.size]
    return count_flops(
        options.batch_size,
        count_masked(options),
        patch_size,
        width,
        layers,
        predictor_layers,
        options.clusters,
        NUM_REGISTERS,
        DROP_PATH_RATE,
    )


def model_flops(model, batch_size, image_size):
    """Likewise, of a `keras_capi.methods.CAPI` and square images."""
    encoder = model.student.encoder
    grid = (image_size // encoder.patch_size,) * 2
    return count_flops(
        batch_size,
        (grid[0] * grid[1], *model.masking.count_patches(grid)),
        encoder.patch_size,
        encoder.hidden_dim,
        encoder.num_layers,
        model.student.predictor.num_layers,
        model.clustering.num_clusters,
        encoder.register_tokens.num_registers,
        encoder.drop_path.rate,
    )


def count_flops(
    batch_size,
    num_patches,
    patch_size,
    width,
    layers,
    predictor_layers,
    clusters,
    registers,
    drop_path_rate,
):
    """Counts the products from the sizes; `num_patches` as `count_masked`."""
    patches, visible, predicted = num_patches
    pixels = 3 * patch_size**2
    kept = max(int(batch_size * (1 - drop_path_rate)), 1) / batch_size
    teacher = 2 * pixels * width * patches
    teacher += layers * block_flops(width, patches + registers)
    clustering = 2 * width * clusters * patches
    student = 2 * pixels * width * visible
    context = visible + registers
    student += kept * layers * block_flops(width, context)
    student += kept * predictor_layers * block_flops(width, predicted, context)
    head = 2 * width * clusters * predicted
    # A backward pass takes two products for each one of the forward pass, but
    # the clustering needs no gradient of its input.
    return batch_size * (teacher + 2 * clustering + 3 * (student + head))


def build(options):
    """Returns a model, its optimizer and a batch."""
    import keras_capi

    width, heads, layers, predictor_layers, patch_size = SIZES[options.size]
    backbone = keras_capi.models.CAPIBackbone(
        patch_size,
        layers,
        predictor_layers,
        width,
        num_heads=heads,
        drop_path_rate=DROP_PATH_RATE,
        image_shape=(options.image_size, options.image_size, 3),
    )
    clustering = keras_capi.layers.OnlineClustering(
        options.clusters, chunk_size=options.chunk_size
    )
    model = keras_capi.models.CAPI(backbone, clustering=clustering)
    optimizer = keras_capi.optimizers.capi_optimizer(1e-3)
    return model, optimizer, make_images(options)
