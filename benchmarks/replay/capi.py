"""CAPI on the arrays of its authors."""

import functools

import numpy as np

import keras_capi
from benchmarks.replay.comparison import DIFFERENT
from benchmarks.replay.comparison import Replay
from benchmarks.replay.files import channels_last
from benchmarks.replay.files import named
from benchmarks.replay.files import under
from benchmarks.replay.gradients import take_gradient_step
from benchmarks.replay.schedules import warmup_cosine
from benchmarks.replay.weights import assign
from benchmarks.replay.weights import in_their_layout
from benchmarks.replay.weights import shapes_of
from benchmarks.replay.weights import to_numpy
from keras_capi.convert.capi_keys import paired_weights

INDICES = ("visible_indices", "predict_indices")
LOSSES = ("capi_loss", "clustering_loss", "target_entropy")
SCHEDULES = {
    "lr": "learning_rate",
    "clustering_lr": "clustering_learning_rate",
    "momentum": "ema_momentum",
}


def replay(arrays, description):
    """Returns the `Replay` of a file, see `comparison`."""
    result = Replay(inputs=_inputs(arrays))
    result.add("forward", _forward(arrays, description))
    gradients, losses = _gradients(arrays, description)
    result.add("gradients", gradients)
    result.add("losses", losses)
    losses, schedules, final = _training(arrays, description)
    result.add("losses", losses)
    result.add("schedules", schedules)
    result.add("final", final)
    if description["mult"]["rope_lr_mult"] == 0:
        result.fixed = {name for name in final if name.endswith("rope.freqs")}
    result.add("masks", _masks(arrays))
    result.add_figures("masks", _mask_counts(arrays, description))
    return result


def make_model(arrays, description):
    """Returns the model of a file with its initial weights."""
    sizes = description["model"]
    blocks = sizes["transformers_kwargs"]
    config, momentum = description["clustering"], description["schedules"]
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=sizes["patch_size"],
        num_layers=sizes["encoder_kwargs"]["depth"],
        predictor_num_layers=sizes["decoder_kwargs"]["depth"],
        hidden_dim=blocks["embed_dim"],
        num_heads=blocks["block_kwargs"]["attn_kwargs"]["num_heads"],
        num_register_tokens=sizes["n_registers"],
        register_coordinates=sizes.get("register_coordinates", "edge"),
        scale_registers_to_visible=sizes.get("scale_reg_to_visible", True),
        drop_path_rate=blocks["drop_path_rate"],
        image_shape=(None, None, arrays["images"].shape[1]),
    )
    model = keras_capi.models.CAPI(
        backbone,
        clustering=keras_capi.layers.OnlineClustering(
            description["num_clusters"],
            target_temperature=config["target_temp"],
            prediction_temperature=config["pred_temp"],
            num_iterations=config["n_sk_iter"],
            positionwise=config["positionwise_sk"],
            use_bias=config["bias"],
        ),
        student_temperature=description["student_temp"],
        ema_momentum=_schedule(momentum["momentum"], description),
    )
    state = under(arrays, "weights/")
    assign(_student_pairs(state, model))
    assign(_teacher_pairs(state, model))
    return model


def _schedule(config, description):
    return warmup_cosine(
        config["base_value"],
        description["steps"],
        config.get("warmup_iters", 0),
        start_value=config.get("start_warmup_value", 0.0),
        final_value=config["final_value"],
        truncate=config.get("truncate_cos", 1.0),
    )


def _network_pairs(state, backbone, head):
    pairs = paired_weights(under(state, "backbone."), backbone)
    yield from (pair for _, pair in pairs)
    yield head.direction, state["head.last_layer.weight_v"].T
    yield head.gain, state["head.last_layer.weight_g"][:, 0]


def _clustering_pairs(state, model):
    yield model.clustering.kernel, state["teacher_head.layer.weight"].T
    if model.clustering.use_bias:
        yield model.clustering.bias, state["teacher_head.layer.bias"]


def _student_pairs(state, model):
    yield from _network_pairs(state, model.student, model.prototype_head)
    yield from _clustering_pairs(state, model)


def _teacher_pairs(state, model):
    head = model.teacher_prototype_head
    yield from _network_pairs(state, model.teacher, head)


def _inputs(arrays):
    uses = {
        "images": "images of the forward pass",
        "visible_indices": "mask of the forward pass",
        "predict_indices": "mask of the forward pass",
        "train/images": "images of the training steps",
        "train/visible_indices": "masks of the training steps",
        "train/predict_indices": "masks of the training steps",
    }
    if "images_other_size" in arrays:
        uses["images_other_size"] = "images of the forward pass"
    for name in arrays:
        if name.startswith("weights/"):
            uses[name] = "loaded into the model"
    return uses


def _per_image(indices, arrays):
    batch, num_patches = _grid(arrays)[0], np.prod(_grid(arrays)[1:])
    offsets = num_patches * np.arange(batch)[:, None]
    return (indices.reshape(batch, -1) - offsets).astype("int32")


def _grid(arrays):
    return arrays["mask"].shape


def _batch(arrays, prefix="", step=...):
    return {
        "images": channels_last(arrays[prefix + "images"][step]),
        **{
            name: _per_image(arrays[prefix + name][step], arrays)
            for name in INDICES
        },
    }


def _forward(arrays, description):
    model = make_model(arrays, description)
    backbone, inputs = model.student, _batch(arrays)
    images, visible = inputs["images"], inputs["visible_indices"]
    results = {}
    for name, prefix in (
        ("images", "eval/"),
        ("images_other_size", "eval_other_size/"),
    ):
        if name in arrays:
            features = backbone(channels_last(arrays[name]))
            results |= named(prefix, features)
    encoder = backbone.encoder
    tokens, coordinates = encoder.register_tokens(
        encoder.patch_embedding(images, visible),
        encoder.patch_coordinates(images, visible),
    )
    num_registers = encoder.register_tokens.num_registers
    patches = model.teacher.encode_patches(images)
    assignments, clustering_loss = model.clustering(patches)
    prediction = backbone.predict_masked(**inputs)
    logits = model.prototype_head(prediction)
    results |= {
        "masked/tokens": tokens,
        "masked/coords": coordinates,
        "masked/encoder_output": encoder(images, visible)[:, num_registers:],
        "masked/prediction": prediction,
        "masked/logits": logits,
        "teacher/patches": patches,
        "teacher/assignments": assignments,
        "teacher/clustering_loss": clustering_loss,
    }
    results = {name: to_numpy(value) for name, value in results.items()}
    for name in ("masked/prediction", "masked/logits"):
        results[name] = results[name].reshape(-1, results[name].shape[-1])
    return results


def _gradients(arrays, description):
    model = make_model(arrays, description)
    model.student.set_rotary_trainable(True)
    gradients, logs = take_gradient_step(
        model,
        _batch(arrays),
        lambda state: _student_pairs(state, model),
        shapes_of(under(arrays, "weights/")),
    )
    losses = {
        name: np.float64(logs[name]) for name in ("capi_loss", "target_entropy")
    }
    return named("grad/", gradients), losses


def _training(arrays, description):
    model = make_model(arrays, description)
    multipliers = description["mult"]
    model.compile(
        keras_capi.optimizers.capi_optimizer(
            _schedule(description["schedules"]["lr"], description),
            weight_decay=description["weight_decay"],
            clustering_learning_rate=_schedule(
                description["schedules"]["clustering_lr"], description
            ),
            patch_embedding_learning_rate_multiplier=multipliers[
                "patch_embed_lr_mult"
            ],
            rotary_learning_rate_multiplier=multipliers["rope_lr_mult"],
            norm_weight_decay_multiplier=multipliers["layernorm_wd_mult"],
        )
    )
    logs = [
        model.train_on_batch(_batch(arrays, "train/", step), return_dict=True)
        for step in range(description["steps"])
    ]
    losses = np.array([[log[name] for name in LOSSES] for log in logs])
    schedules = {
        f"schedule/{name}": np.array([log[ours] for log in logs])
        for name, ours in SCHEDULES.items()
    }
    student = functools.partial(
        _network_pairs, backbone=model.student, head=model.prototype_head
    )
    teacher = functools.partial(
        _network_pairs,
        backbone=model.teacher,
        head=model.teacher_prototype_head,
    )
    heads = functools.partial(_clustering_pairs, model=model)
    shapes = shapes_of(under(arrays, "weights/"))
    clustering = {
        name: shape
        for name, shape in shapes.items()
        if name.startswith("teacher_head.")
    }
    network = {k: v for k, v in shapes.items() if k not in clustering}
    final = {
        **named("student.", in_their_layout(student, network)),
        **named("ema.", in_their_layout(teacher, network)),
        **in_their_layout(heads, clustering),
    }
    return {"train/losses": losses}, schedules, named("final/", final)


def _masks(arrays):
    """The mask that the indices of the visible patches imply."""
    mask = np.ones(_grid(arrays), bool)
    rows = mask.reshape(len(mask), -1)
    np.put_along_axis(
        rows, _per_image(arrays["visible_indices"], arrays), False, axis=1
    )
    return {"mask": mask}


def _mask_counts(arrays, description):
    """Whether all masks have the shape of those that the sampler draws."""
    sampler = keras_capi.layers.InverseBlockMasking(
        _grid(arrays)[1:],
        description["mask_ratio"],
        description["prediction_subsampling"],
    )
    draw = {
        name: to_numpy(indices)
        for name, indices in sampler(arrays["mask"]).items()
    }
    batches = [_batch(arrays)] + [
        _batch(arrays, "train/", step) for step in range(description["steps"])
    ]
    figures = {}
    for name in INDICES:
        alike = all(batch[name].shape == draw[name].shape for batch in batches)
        figures[f"shape of {name}"] = 0.0 if alike else DIFFERENT
    num_patches = np.prod(_grid(arrays)[1:])
    for batch in batches:
        for rows in zip(*(batch[name] for name in INDICES), strict=True):
            patches = np.concatenate(rows)
            valid = (patches >= 0) & (patches < num_patches)
            distinct = len(set(patches)) == len(patches)
            figures.setdefault("distinct indices", 0.0)
            if not (valid.all() and distinct):
                figures["distinct indices"] = DIFFERENT
    return figures
