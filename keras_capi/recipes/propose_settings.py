from keras_capi.validation import check_positive_integer

# Published for ViT-S and ViT-B, and for ViT-L.
LEARNING_RATE_SMALL, LEARNING_RATE_LARGE = 2e-3, 1e-3
LARGE_WIDTH = 1024
MAX_CLUSTERS = 16384
MIN_CLUSTERS = 16
IMAGES_PER_CLUSTER = 16
UPDATES_OF_AVERAGE = 30
STALE_SHARE = 0.2
PREDICTIONS = 16
MASK_RATIO = 0.65


def propose_settings(
    num_images,
    batch_size,
    total_steps,
    num_patches,
    hidden_dim=192,
    gradient_accumulation_steps=1,
):
    """Proposes pretraining settings for a data set and a batch size.

    A starting point if you cannot use the published batch of 16384 images. The
    rules, and the reasons for them:

    - *Learning rate*: 2e-3, or 1e-3 from a width of 1024 on, as published for
      batches of 16384. AdamW's steps do not grow with the gradient, and batches
      of 128 learn well with 2e-3 in `benchmarks/fashion_mnist.py`. If the loss
      rises after the warm-up, halve the rate. The clustering has half the rate,
      as published.
    - *Momentum of the teacher*: 1 minus the learning rate, the published rule,
      unless the run is short: the teacher averages over 1 / (1 - momentum)
      updates, and lags far behind if that is a large part of the run. Here it
      is at most a thirtieth.
    - *Clusters*: each position of the image is balanced over the batch and the
      queue, so if there are more clusters than images in these, not every
      cluster can be used. There is also at most one cluster for every 16 images
      of the data set, so that clusters do not stand for single images, but at
      least 16. Otherwise more are better, up to 16384: see the ablation in the
      paper.
    - *Queue*: makes up for a small batch. Its features come from earlier
      teachers, so it reaches back by at most a fifth of the updates that the
      teacher averages over. Batches accumulated for the same update do not
      count as old.
    - *Prediction ratio*: 0.2, as the authors now advise, but at least 16
      predictions per image if that is at most half of the hidden patches.

    Args:
        num_images: Integer. Images in the data set. If many crops are taken
            from a large image, each of them counts.
        batch_size: Integer. Images per batch, as many as the device can take.
        total_steps: Integer. Updates of the optimizer.
        num_patches: Integer. Patches of an image.
        hidden_dim: Integer. Width of the encoder. Defaults to `192`.
        gradient_accumulation_steps: Integer. Batches per update. Defaults to
            `1`.

    Returns:
        Dictionary of `"learning_rate"`, `"clustering_learning_rate"`,
        `"ema_momentum"`, `"num_clusters"`, `"queue_size"` and
        `"prediction_ratio"`.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    >>> settings = keras_capi.recipes.propose_settings(
    ...     num_images=60_000, batch_size=64, total_steps=20_000, num_patches=64
    ... )
    >>> clustering = keras_capi.layers.OnlineClustering(
    ...     settings["num_clusters"], queue_size=settings["queue_size"]
    ... )

    Reference:

    - [CAPI](https://arxiv.org/abs/2502.08769), appendix A (hyper-parameters)
      and table 3 (number of prototypes)
    """
    for name, value in (
        ("num_images", num_images),
        ("batch_size", batch_size),
        ("total_steps", total_steps),
        ("num_patches", num_patches),
        ("hidden_dim", hidden_dim),
        ("gradient_accumulation_steps", gradient_accumulation_steps),
    ):
        check_positive_integer(name, value)
    is_large = hidden_dim >= LARGE_WIDTH
    learning_rate = LEARNING_RATE_LARGE if is_large else LEARNING_RATE_SMALL
    step_of_average = max(learning_rate, UPDATES_OF_AVERAGE / total_steps)
    step_of_average = min(step_of_average, 0.1)

    update_size = batch_size * gradient_accumulation_steps
    num_stale = int(STALE_SHARE / step_of_average) * update_size
    longest_queue = update_size - batch_size + num_stale
    largest = _power_of_two(min(batch_size + longest_queue, MAX_CLUSTERS))
    num_clusters = choose_num_clusters(num_images, max(largest, MIN_CLUSTERS))
    queue_size = max(num_clusters - batch_size, 0)

    num_masked = int(num_patches * MASK_RATIO)
    prediction_ratio = min(max(PREDICTIONS / max(num_masked, 1), 0.2), 0.5)
    return {
        "learning_rate": learning_rate,
        "clustering_learning_rate": learning_rate / 2,
        "ema_momentum": 1.0 - step_of_average,
        "num_clusters": num_clusters,
        "queue_size": queue_size,
        "prediction_ratio": round(prediction_ratio, 2),
    }


def choose_num_clusters(num_images, maximum):
    """Returns how many clusters suit a number of images.

    One for every 16 images, rounded down to a power of two, but at least 16 and
    at most `maximum`.

    Args:
        num_images: Integer.
        maximum: Integer.
    """
    proposed = _power_of_two(num_images // IMAGES_PER_CLUSTER)
    return min(max(proposed, MIN_CLUSTERS), maximum)


def _power_of_two(limit):
    return 2 ** max(int(limit).bit_length() - 1, 0)
