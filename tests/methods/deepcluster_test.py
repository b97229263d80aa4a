import keras
import numpy as np
import pytest
from helpers import make_images
from helpers import make_vit
from helpers import to_numpy
from helpers import weights_of
from methods.corner_views import Corners

import keras_capi
from keras_capi.callbacks import Checkpoint
from keras_capi.data import RandomCrops
from keras_capi.ops import spherical_kmeans

# The battery traces the steps.
pytestmark = pytest.mark.usefixtures("untraced")

IMAGES = make_images(10)
VIEWS = {
    "global_views": make_images(20).reshape(10, 2, 16, 16, 3),
    "local_views": make_images(20, 8, 8).reshape(10, 2, 8, 8, 3),
}


def make_deepcluster(**arguments):
    return keras_capi.methods.DeepCluster(
        make_vit(),
        **{
            "num_prototypes": (3, 4),
            "head": keras_capi.layers.SwAVHead(12, 6),
            **arguments,
        },
    )


def compiled(**arguments):
    keras.utils.set_random_seed(0)
    model = make_deepcluster(**arguments)
    model.compile(model.published_optimizer(6, batch_size=4, learning_rate=1.0))
    return model


def train(folder, interrupt=None):
    views = Corners((16, 16))
    model, seen = compiled(views=views), []
    crops = RandomCrops(list(make_images(3, 20, 24)), 20, 4, 2, seed=0)

    def count(batch, logs):
        seen.append(batch)
        if len(seen) == interrupt:
            raise KeyboardInterrupt

    model.fit(
        crops,
        epochs=2,
        callbacks=[
            keras.callbacks.LambdaCallback(on_train_batch_end=count),
            Checkpoint(folder, crops, every=1),
        ],
        verbose=0,
    )
    return model


@pytest.fixture(scope="module")
def trained():
    model = compiled()
    model.fit(VIEWS, batch_size=5, epochs=2, verbose=0)
    return model


def test_clusters_become_prototypes_and_labels(trained):
    indices, embeddings = trained.memory.filled()
    np.testing.assert_array_equal(np.sort(indices), np.arange(10))
    starts = [np.arange(10), np.arange(10)[::-1]]
    trained.assign_clusters(starts=starts)
    for number, layer in enumerate(trained.prototypes):
        # The first clustering is of the first views, the second of the others.
        centroids, labels = spherical_kmeans(
            keras.ops.convert_to_tensor(embeddings[:, number]),
            starts[number][: layer.num_prototypes],
        )
        np.testing.assert_allclose(
            to_numpy(layer.kernel).T, to_numpy(centroids), atol=1e-6
        )
        np.testing.assert_array_equal(
            to_numpy(trained.memory.labels)[number, indices], to_numpy(labels)
        )


def test_goes_on_after_a_crash(trained, tmp_path):
    """Bit for bit, in the midst of an epoch, with its clusters."""
    reference = weights_of(train(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", interrupt=4)
    for weight, expected in zip(
        weights_of(train(tmp_path / "run")), reference, strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


def test_saved_model(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    clone = keras.saving.load_model(tmp_path / "model.keras")
    for weight, expected in zip(
        weights_of(clone), weights_of(trained), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
    assert clone.memory.num_images == 10
    np.testing.assert_allclose(
        clone.predict(IMAGES, verbose=0)["global"],
        trained.predict(IMAGES, verbose=0)["global"],
        atol=1e-6,
    )


def test_images_without_a_cluster_do_not_count():
    model = compiled(num_images=10)
    inputs = {**VIEWS, "indices": np.arange(10, dtype="int32")}
    losses = model.compute_losses(inputs, False)
    assert to_numpy(losses["cluster_loss"]) == 0
    labels = np.full((2, 10), -100, "int32")
    labels[:, 3] = 1
    model.memory.labels.assign(labels)
    expected = model.compute_losses(
        {name: values[3:4] for name, values in inputs.items()}, False
    )
    found = model.compute_losses(inputs, False)
    assert to_numpy(found["cluster_loss"]) == pytest.approx(
        float(to_numpy(expected["cluster_loss"])), rel=1e-5
    )


def test_prototypes_are_frozen_as_published():
    optimizer = make_deepcluster().published_optimizer(800, 4096)
    assert optimizer.groups["prototypes"].frozen_steps == 800
    assert float(optimizer._learning_rate(9)) == pytest.approx(4.8)


def test_a_batch_of_images_is_a_data_set_of_its_own():
    views = Corners((12, 16))
    model = compiled(views=views)
    losses = [model.train_on_batch(IMAGES)[0] for _ in range(2)]
    assert all(np.isfinite(losses)) and min(losses) > 0
    assert (to_numpy(model.memory.labels) >= 0).all()
    assert model.test_on_batch(IMAGES)[0] > 0
    part = {"images": IMAGES[:4], "indices": np.array([9, 3, 3, 0])}
    assert np.isfinite(model.train_on_batch(part)[0])
    with pytest.raises(ValueError, match="num_images=10, 4 images"):
        model.train_on_batch(IMAGES[:4])


def test_fit_clusters_all_images_after_a_batch():
    """The clusters of a batch are no clusters of an interrupted epoch."""
    model = compiled(views=Corners((12, 16)), num_images=10)
    part = {"images": IMAGES[:4], "indices": np.arange(4)}
    model.train_on_batch(part)
    assert (to_numpy(model.memory.labels)[:, 4:] < 0).all()
    model.fit(IMAGES, batch_size=5, shuffle=False, verbose=0)
    assert (to_numpy(model.memory.labels) >= 0).all()
    indices, _ = model.memory.filled()
    np.testing.assert_array_equal(indices, np.arange(10))


def test_data_sets_of_users():
    """Those that give numbers can be of any kind."""

    class Numbered(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            part = slice(5 * index, 5 * index + 5)
            return ({"images": IMAGES[part], "indices": np.arange(10)[part]},)

    views = Corners((12, 16))
    model = compiled(views=views, num_images=10)
    history = model.fit(Numbered(), epochs=2, verbose=0).history
    assert np.isfinite(history["cluster_loss"]).all()
    indices, _ = model.memory.filled()
    np.testing.assert_array_equal(np.sort(indices), np.arange(10))


def test_data_sets_without_an_end():
    """The pass that fills the memory ends, too."""

    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            part = np.arange(4 * index, 4 * index + 4) % 10
            return ({"images": IMAGES[part], "indices": part},)

    model = compiled(views=Corners((12, 16)), num_images=10)
    model.fit(Endless(), steps_per_epoch=3, shuffle=False, verbose=0)
    indices, _ = model.memory.filled()
    assert set(indices) == set(range(10))


def batches():
    yield (IMAGES,)


class Unnumbered(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return (IMAGES,)


@pytest.mark.parametrize(
    "data, message",
    [
        (batches(), "Received: a generator"),
        (Unnumbered(), '"indices".*Received: a Unnumbered of arrays'),
        (IMAGES[:4], "num_images=10, 4 images"),
        ({"images": IMAGES, "indices": np.arange(1, 11)}, "11 images"),
        *(
            ({"images": IMAGES, "indices": indices}, message)
            for indices, message in (
                (np.arange(10) - 1, "numbers from 0. Received: from -1 to 8"),
                (np.arange(10) + 0.5, "must be integers"),
                (np.arange(10) > 4, "must be integers"),
                (np.arange(10)[:, None], r"must be .* shape \(batch,\)"),
                (np.arange(4), "a number for each image"),
                (list(range(10)), "must be .* Received: list"),
            )
        ),
    ],
)
def test_images_that_are_not_known(data, message):
    with pytest.raises(ValueError, match=message):
        compiled(num_images=10).fit(data)


def test_numbers_beyond_the_data_set():
    """Of a user's data set, before any training."""
    batches = [{"images": IMAGES, "indices": np.arange(1, 11)}]
    model = compiled(num_images=10)
    with pytest.raises(ValueError, match="from 0 to 9.*from 1 to 10"):
        model.fit(iter_again([(batch,) for batch in batches]), verbose=0)
    assert model.optimizer.iterations == 0


def test_no_targets_to_evaluate():
    """There would be no loss, and room for these images alone."""
    model = compiled()
    for method in (model.evaluate, model.test_on_batch):
        with pytest.raises(ValueError, match="needs targets, which `fit`"):
            method(IMAGES[:4])
    assert model.memory is None


def test_errors():
    tensors = [{"images": IMAGES, "indices": np.arange(10)}]
    with pytest.raises(ValueError, match="`num_images` must be given"):
        compiled().fit(iter_again(tensors))
    for arguments in (
        {"validation_data": (IMAGES, None)},
        {"validation_split": 0.5},
    ):
        with pytest.raises(ValueError, match="leave out `validation"):
            compiled().fit(IMAGES, **arguments)
    # What Keras's defaults are, given.
    compiled(views=Corners((12, 16))).fit(
        IMAGES, validation_data=None, validation_split=float("0"), verbose=0
    )
    with pytest.raises(ValueError, match="num_prototypes"):
        make_deepcluster(num_prototypes=(3, 0))


def iter_again(batches):
    class Numbered(keras.utils.PyDataset):
        def __len__(self):
            return len(batches)

        def __getitem__(self, index):
            return batches[index]

    return Numbered()
