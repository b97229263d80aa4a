"""data2vec as a file describes it, and where its weights go."""

import keras
from keras import ops

import keras_capi
from benchmarks.replay.beit_encoder import freeze_biases
from benchmarks.replay.beit_encoder import pair_with_biases
from benchmarks.replay.beit_encoder import without_indices
from benchmarks.replay.files import under
from benchmarks.replay.weights import assign
from keras_capi.convert.data2vec_keys import data2vec_entries
from keras_capi.convert.data2vec_keys import network_entries

# The authors' values of what a configuration leaves out.
ENGINE = {
    "l1_beta": 0.12,
    "l2_loss": False,
    "layer_results": "end",
    "var_w0": 0.0,
    "var_margin0": 0.5,
    "loss_scale": -1,
    "target_layer_norm_last": True,
    "target_batch_norm": False,
    "target_instance_norm": False,
    "post_target_instance_norm": False,
    "post_target_layer_norm": False,
}
# Without an effect in the authors' code.
IGNORED = {"var_w1", "var_margin1"}
RELATIVE = {
    "use_shared_rel_pos_bias": "shared",
    "use_rel_pos_bias": "per_block",
}
OUTPUTS = {"end": "block", "fc": "mlp"}
# In the order of the authors' code.
NORMS = {
    "target_batch_norm": "batch",
    "target_instance_norm": "instance",
    "target_layer_norm_last": "layer",
}
AVERAGE_NORMS = {
    "post_target_instance_norm": "instance",
    "post_target_layer_norm": "layer",
}


def make_model(arrays, config):
    """Returns the model of a file with its initial weights.

    Args:
        arrays: Dictionary from name to array.
        config: The configuration that stands beside them.
    """
    engine = engine_of(config)
    model = keras_capi.methods.Data2Vec(
        _make_encoder(arrays, config),
        target_layers=[index + 1 for index in config["target_layers"]],
        target_outputs=OUTPUTS[engine["layer_results"]],
        target_norms=[NORMS[name] for name in NORMS if engine[name]],
        average_norms=[
            AVERAGE_NORMS[name] for name in AVERAGE_NORMS if engine[name]
        ],
        beta=None if engine["l2_loss"] else engine["l1_beta"],
        variance_weight=engine["var_w0"],
        variance_margin=engine["var_margin0"],
        loss_scale=1.0 if engine["loss_scale"] == -1 else engine["loss_scale"],
        ema_momentum=make_momentum(config),
    )
    if not config["model"].get("qkv_bias", True):
        # The teacher's move only with the student's.
        freeze_biases(model.encoder)
    state = without_indices(under(arrays, "weights/"))
    assign(pair_with_biases(data2vec_entries(model), state))
    return model


def engine_of(config):
    """Returns the settings of the authors' training step, all of them."""
    given = config.get("engine", {})
    unknown = sorted(set(given) - set(ENGINE) - IGNORED)
    if any(given[name] not in (False, -1, -1.0, 0) for name in unknown):
        raise ValueError(f"the settings {unknown} are not known")
    return {**ENGINE, **given}


def _make_encoder(arrays, config):
    model = config["model"]
    _, num_channels, height, width = arrays["images"].shape
    return keras_capi.encoders.ViT(
        config["patch"],
        model["depth"],
        model["embed_dim"],
        model["num_heads"],
        image_shape=(height, width, num_channels),
        mlp_dim=int(model["embed_dim"] * model["mlp_ratio"]),
        positions="learned" if model["use_abs_pos_emb"] else None,
        relative_positions=next(
            (kind for name, kind in RELATIVE.items() if model.get(name)), None
        ),
        use_key_bias=False,
        layer_scale=model["init_values"] or None,
    )


def make_momentum(config):
    """Returns that of the moving average: constant, or a ramp at first.

    The last value of the ramp is kept until its epoch ends.
    """
    start, end = config["ema_decay_init"], config["ema_decay"]
    num_steps, per_epoch = config["ema_start_at"], config["ipe"]
    if num_steps <= 0:
        return end
    ramp = keras.optimizers.schedules.PolynomialDecay(start, num_steps, end)
    until = -(-num_steps // per_epoch) * per_epoch
    return lambda step: ops.where(
        step < until, ramp(ops.minimum(step, num_steps - 1)), end
    )


def pairs_of(model, part):
    """Returns the function that pairs a network's weights with arrays.

    Args:
        model: `keras_capi.methods.Data2Vec`.
        part: String, `"student"` or `"teacher"`.

    Returns:
        Function from a dictionary, from the authors' name to array, to pairs of
        a weight and its value in our layout.
    """
    entries = network_entries(model, part)
    return lambda state: pair_with_biases(entries, state)
