import sys

import numpy as np
import pytest

from keras_capi.visualization import feature_pictures
from keras_capi.visualization import principal_components


def make_feature_maps(shapes=((4, 5), (3, 3)), width=8, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.normal(size=(*shape, width)) for shape in shapes]


def make_pictures(count=2):
    images = {
        f"photo {i}": np.zeros((32, 40, 3), "uint8") for i in range(count)
    }
    cluster_maps = [np.array([[3, 7], [7, 5]])] * count
    return images, make_feature_maps(((4, 5),) * count), cluster_maps


def test_components_have_the_shapes_of_the_maps():
    colors = principal_components(make_feature_maps())
    assert [color.shape for color in colors] == [(4, 5, 3), (3, 3, 3)]
    for color in colors:
        assert color.dtype == np.float32
        assert color.min() >= 0 and color.max() <= 1


def test_components_are_the_directions_of_most_variance():
    generator = np.random.default_rng(0)
    hidden = generator.uniform(size=(30, 40, 3)) * (9, 4, 1)
    basis = np.linalg.qr(generator.normal(size=(8, 8)))[0][:3]
    features = hidden @ basis + 5.0
    colors = principal_components([features[:10], features[10:]])
    colors = np.concatenate(colors).reshape(-1, 3)
    correlation = np.corrcoef(colors.T, hidden.reshape(-1, 3).T)[:3, 3:]
    # The sign of a component is free.
    np.testing.assert_allclose(np.abs(correlation), np.eye(3), atol=0.1)


def test_equal_features_have_equal_colors_in_all_images():
    first, second = make_feature_maps()
    second[1, 2] = first[3, 4]
    colors = principal_components([first, second])
    np.testing.assert_allclose(colors[1][1, 2], colors[0][3, 4], atol=1e-6)


def test_outliers_leave_contrast():
    (features,) = make_feature_maps(((20, 20),))
    features[0, 0] *= 1000.0
    (colors,) = principal_components([features])
    assert np.std(colors[..., 1]) > 0.1


def test_constant_features():
    (colors,) = principal_components([np.ones((4, 4, 8))])
    assert np.all(np.isfinite(colors))


@pytest.mark.parametrize(
    "shapes",
    [[], [(4, 8)], [(4, 4, 8), (4, 4, 6)], [(4, 4, 2)]],
    ids=str,
)
def test_bad_feature_maps(shapes):
    with pytest.raises(ValueError, match="`feature_maps` must be"):
        principal_components([np.ones(shape) for shape in shapes])


def test_pictures(tmp_path):
    figure = feature_pictures(*make_pictures())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "photo 0",
        "principal components",
        "clusters",
        "photo 1",
        "",
        "",
    ]
    shapes = [axes.images[0].get_array().shape for axes in figure.axes]
    assert shapes == [(32, 40, 3), (4, 5, 3), (2, 2, 3)] * 2
    # Patches lie over the pixels that they describe.
    assert {tuple(axes.images[0].get_extent()) for axes in figure.axes} == {
        (0, 40, 32, 0)
    }
    figure.savefig(tmp_path / "features.png")
    assert (tmp_path / "features.png").stat().st_size > 1000


def test_equal_clusters_have_equal_colors():
    figure = feature_pictures(*make_pictures())
    first, second = (figure.axes[i].images[0].get_array() for i in (2, 5))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[0, 1], first[1, 0])
    assert len(np.unique(first.reshape(-1, 3), axis=0)) == 3


def test_pictures_of_a_list_without_clusters():
    images, feature_maps, _ = make_pictures(1)
    figure = feature_pictures(list(images.values()), feature_maps)
    assert len(figure.axes) == 2


def test_different_lengths():
    images, feature_maps, cluster_maps = make_pictures()
    with pytest.raises(ValueError, match=r"Received: lengths \[2, 2, 1\]"):
        feature_pictures(images, feature_maps, cluster_maps[:1])


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_missing_package_names_the_extra(monkeypatch, package):
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}.*keras-capi\[demo\]"):
        feature_pictures(*make_pictures())


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_few_patches(columns):
    """Those of one patch have no differences, of two only one kind."""
    features = make_feature_maps(((1, columns),))
    (colors,) = principal_components(features)
    assert colors.shape == (1, columns, 3)
    assert np.all(np.isfinite(colors))
    varying = np.ptp(colors, axis=(0, 1)) > 0.5
    np.testing.assert_array_equal(varying, np.arange(3) < columns - 1)


@pytest.mark.parametrize("deviation", [1e-3, 3e-4, 1e-5])
def test_small_differences_of_large_features(deviation):
    """Those of a model that collapses."""
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(16, 16, 1))
    varying = hidden * generator.choice([-1.0, 1.0], 96)
    varying += 0.1 * generator.normal(size=(16, 16, 96))
    features = generator.normal(size=96) + deviation * varying
    (colors,) = principal_components([features.astype("float32")])
    # The percentiles cut off a hundredth on each side.
    middle = np.abs(hidden[..., 0]) < 2
    correlation = np.corrcoef(colors[..., 0][middle], hidden[middle][:, 0])
    assert abs(correlation[0, 1]) > 0.995
