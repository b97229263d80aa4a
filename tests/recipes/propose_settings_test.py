import pytest

from keras_capi.recipes import propose_settings


def test_published_scale():
    settings = propose_settings(
        num_images=14_000_000,
        batch_size=16384,
        total_steps=500_000,
        num_patches=256,
        hidden_dim=1024,
    )
    assert settings == {
        "learning_rate": 1e-3,
        "clustering_learning_rate": 5e-4,
        "ema_momentum": 0.999,
        "num_clusters": 16384,
        "queue_size": 0,
        "prediction_ratio": 0.2,
    }


def test_settings_of_the_benchmark():
    settings = propose_settings(60_000, 128, 1500, 49, hidden_dim=96)
    assert settings["learning_rate"] == 2e-3
    assert settings["ema_momentum"] == pytest.approx(0.98)
    assert settings["prediction_ratio"] == 0.5


@pytest.mark.parametrize("batch_size", [4, 32, 256])
@pytest.mark.parametrize("accumulated", [1, 8])
@pytest.mark.parametrize("num_images", [300, 50_000])
def test_clusters_can_be_used(batch_size, accumulated, num_images):
    settings = propose_settings(
        num_images,
        batch_size,
        20_000,
        196,
        gradient_accumulation_steps=accumulated,
    )
    balanced = batch_size + settings["queue_size"]
    num_clusters = settings["num_clusters"]
    assert num_clusters <= max(balanced, 16)
    assert num_clusters <= max(num_images / 16, 16)
    if num_images == 50_000:
        # More clusters than images in a batch, thanks to the queue.
        assert num_clusters > batch_size


def test_short_runs():
    settings = propose_settings(100, 4, 20, 16)
    assert settings["ema_momentum"] == pytest.approx(0.9)
    assert settings["num_clusters"] == 16


def test_bad_arguments():
    with pytest.raises(ValueError, match="`batch_size` must be a positive"):
        propose_settings(100, 0, 100, 16)
