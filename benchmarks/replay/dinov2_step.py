"""One step of DINOv2: what goes in, what passes through, and its losses."""

import keras_capi
from benchmarks.replay.files import channels_last
from benchmarks.replay.recording import recorded
from benchmarks.replay.weights import to_numpy

NETWORKS = ("student", "teacher")


def batch_of(arrays, config, prefix=""):
    """Views and masks with the batch first, in our layout."""
    batch = {}
    for name, theirs in (
        ("global_views", "global_crops"),
        ("local_views", "local_crops"),
        ("mask", "masks"),
    ):
        values = arrays.get(f"{prefix}collated_{theirs}")
        if values is not None and len(values):
            # All samples of the first view, then of the second.
            shape = (-1, config["batch"], *values.shape[1:])
            values = values.reshape(shape).swapaxes(0, 1)
            batch[name] = values if name == "mask" else channels_last(values)
    return batch


def _parts(model, name):
    """Returns encoder, head and the head of patches."""
    if name == "student":
        head = model.head
        return model.student, head, model.patch_head or head
    head = model.teacher_head
    return model.teacher, head, model.teacher_patch_head or head


def run_recorded(model, batch):
    """Runs the model, and returns its losses and what passed through it."""
    layers = {
        "dino_targets": model.centering,
        "ibot_targets": model.patch_centering,
    }
    for name in NETWORKS:
        encoder, head, patch_head = _parts(model, name)
        layers |= {
            f"{name}/output": encoder.final_norm,
            f"{name}/block": encoder.blocks[0],
            f"{name}/head": head,
        }
        if patch_head is not head:
            layers[f"{name}/patch_head"] = patch_head
    with recorded(layers) as passed:
        losses = model.compute_losses(batch, training=False)
    results = {
        "dino_targets": passed["dino_targets"][0][1],
        "ibot_targets": passed["ibot_targets"][0][1],
    }
    for name in NETWORKS:
        for index, views in enumerate(("global", "local")):
            if index < len(passed[f"{name}/output"]):
                key = f"{name}_{views}"
                results[f"{key}/output"] = passed[f"{name}/output"][index][1]
                results[f"{key}/tokens"] = passed[f"{name}/block"][index][0]
        # If one head serves both, the teacher scores images first, the student
        # patches.
        calls = [outputs for _, outputs in passed[f"{name}/head"]]
        calls += [outputs for _, outputs in passed[f"{name}/patch_head"]]
        calls.sort(key=lambda scores: -len(scores.shape))
        results[f"{name}/class"], results[f"{name}/patches"] = calls
    return losses, {k: to_numpy(v) for k, v in results.items()}


def logged_losses(model, config, losses, passed):
    """The losses as they are logged by the authors, by name."""
    targets, logits = passed["dino_targets"], passed["student/class"]
    # Without local views, the authors divide by 3.
    num_pairs = 2 + max(2 * (logits.shape[1] - 2), 1)
    between = keras_capi.ops.view_cross_entropy(
        targets, logits[:, :2], model.student_temperature
    )
    of_global = 2 * float(to_numpy(between)) / num_pairs
    losses = {
        name: float(to_numpy(losses[name])) for name in model.loss_weights
    }
    total = sum(w * losses[name] for name, w in model.loss_weights.items())
    return {
        "dino_local_crops_loss": losses["class_loss"] - of_global,
        "dino_global_crops_loss": of_global,
        # What is added is twice that.
        "koleo_loss": config["koleo_weight"] * losses["koleo_loss"] / 2,
        "ibot_loss": losses["patch_loss"] / 2,
        "total_loss": total,
    }
