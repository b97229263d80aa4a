import numpy as np
import pytest
from helpers import make_images
from helpers import make_mae
from helpers import make_model
from helpers import make_vit
from helpers import to_numpy
from PIL import Image

from keras_capi.visualization import nearest_patches
from keras_capi.visualization import prototype_browser

IMAGES = make_images(9, 16, 24)


def test_nearest_patches():
    model = make_model()
    found = nearest_patches(model, IMAGES, num_patches=3, batch_size=4)
    features = model.teacher.encode_patches(IMAGES)
    logits = to_numpy(model.clustering.logits(features))
    best = logits.max(axis=1)
    for cluster, patches in enumerate(found):
        order = np.argsort(-best[:, cluster])[:3]
        np.testing.assert_array_equal(patches[:, 0], order)
        for image, row, column in patches:
            place = logits[image, :, cluster].argmax()
            assert (row, column) == divmod(place, 6)


def test_draws_the_patches(tmp_path):
    model = make_model()
    pictures = np.zeros((9, 16, 24, 3), "uint8")
    found = nearest_patches(model, IMAGES, num_patches=2)
    # The patches that should be drawn are red, all others black.
    for image, row, column in found[5]:
        pictures[image, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = (
            255,
            0,
            0,
        )
    figure = prototype_browser(
        model, IMAGES, pictures, clusters=(5,), num_patches=2, context=1
    )
    assert len(figure.axes) == 2
    for axes in figure.axes:
        [drawn] = axes.get_images()
        array = np.asarray(drawn.get_array())
        assert array.shape == (12, 12, 3)
        assert (array[4:8, 4:8] == (255, 0, 0)).all()
    assert figure.axes[0].get_ylabel() == "5"
    figure.savefig(tmp_path / "prototypes.png")
    with Image.open(tmp_path / "prototypes.png") as picture:
        assert picture.width > picture.height


def test_defaults():
    figure = prototype_browser(make_model(), IMAGES)
    assert len(figure.axes) == 8 * 8
    array = figure.axes[0].get_images()[0].get_array()
    assert 0.0 <= array.min() < array.max() <= 1.0


def test_bad_input():
    with pytest.raises(ValueError, match="an image for each of `num_patches`"):
        prototype_browser(make_model(), IMAGES[:7])
    for clusters in ((8,), ()):
        with pytest.raises(ValueError, match="`clusters` must be .* 0 to 7"):
            prototype_browser(make_model(), IMAGES, clusters=clusters)


def test_models_without_clusters():
    other = make_mae(make_vit())
    for draw in (nearest_patches, prototype_browser):
        with pytest.raises(ValueError, match="must have clusters.*MAE"):
            draw(other, IMAGES, num_patches=1)


def test_pictures_of_other_images():
    model = make_model()
    for pictures in (IMAGES[:2], IMAGES[:, :8]):
        with pytest.raises(ValueError, match="as many as `images`"):
            prototype_browser(model, IMAGES, pictures, num_patches=1)


@pytest.mark.parametrize(
    "value, dtype", [(3000, "uint16"), (-2.0, "float32"), (255.0, "float32")]
)
def test_pictures_of_other_values(value, dtype):
    pictures = np.full(IMAGES.shape, value, dtype)
    with pytest.raises(ValueError, match=f"uint8, or floats.*dtype {dtype}"):
        prototype_browser(make_model(), IMAGES, pictures)
