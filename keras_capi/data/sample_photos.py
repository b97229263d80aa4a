from keras_capi.data.resizing import resize_shorter_side
from keras_capi.optional_imports import import_optional
from keras_capi.validation import check_positive_integer

# The colour photographs that scikit-image's package contains; it would have to
# download the others.
SKIMAGE_PHOTOS = (
    "astronaut",
    "chelsea",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "rocket",
    "stereo_motorcycle",
)
SKLEARN_PHOTOS = ("china", "flower")


def sample_photos(shorter_side=None):
    """Returns the sample photographs of scikit-image and scikit-learn.

    Ten colour photographs of very different things (a cat, a temple, galaxies,
    tissue under a microscope, ...), for demonstrations without a download.

    Args:
        shorter_side: Integer or `None`. If given, each photo is resized so that
            its shorter side has this many pixels. Defaults to `None`.

    Returns:
        Dictionary from name to uint8 array of shape `(height, width, 3)`,
        sorted by name. Original sizes range from 300 x 451 to 1411 x 1411.

    Raises:
        ImportError: If scikit-image or scikit-learn is not installed.

    Example:

    >>> photos = keras_capi.data.sample_photos()
    >>> photos["chelsea"].shape  # (300, 451, 3)
    """
    check_positive_integer("shorter_side", shorter_side, or_none=True)
    skimage_data = import_optional("skimage.data", extra="demo")
    sklearn_datasets = import_optional("sklearn.datasets", extra="demo")
    photos = {}
    for name in SKIMAGE_PHOTOS:
        photo = getattr(skimage_data, name)()
        # The stereo pair comes as left image, right image and disparity.
        photos[name] = photo[0] if isinstance(photo, tuple) else photo
    for name in SKLEARN_PHOTOS:
        photos[name] = sklearn_datasets.load_sample_image(f"{name}.jpg")
    if shorter_side is not None:
        for name, photo in photos.items():
            photos[name] = resize_shorter_side(photo, shorter_side)
    return dict(sorted(photos.items()))
