"""Stacks of transformer blocks.

These are functions and not a layer, so that the blocks belong to the model that
calls them, and keep their paths in its files.
"""

from keras import ops

from keras_capi.layers.blocks.transformer_block import TransformerBlock
from keras_capi.validation import check_number
from keras_capi.validation import check_positive_integer


def make_blocks(num_layers, **arguments):
    """Creates transformer blocks named `block_0`, `block_1` and so on.

    Args:
        num_layers: Integer. Number of blocks.
        **arguments: Arguments of `keras_capi.layers.TransformerBlock`.

    Returns:
        List of `TransformerBlock`s, not yet built.
    """
    return [
        TransformerBlock(**arguments, name=f"block_{index}")
        for index in range(num_layers)
    ]


def run_blocks(
    blocks,
    tokens,
    drop_path=None,
    drop_path_rates=None,
    attention_biases=None,
    attention_dropout=None,
    **arguments,
):
    """Runs transformer blocks one after the other.

    Args:
        blocks: List of `TransformerBlock`s.
        tokens: Float tensor of shape `(batch, tokens, width)`.
        drop_path: `DropPath` layer for stochastic depth, which draws the
            samples of all blocks at once, or `None`.
        drop_path_rates: Optional sequence of floats, one rate for each block.
            `None` uses the rate of `drop_path` for all.
        attention_biases: Optional sequence of tensors, one attention bias for
            each block.
        attention_dropout: `AttentionDropout` layer, which draws for each block
            in turn, or `None`. For self-attention.
        **arguments: Further arguments for the call of each block, such as
            `coordinates`. Those that are `None` are left out.

    Yields:
        The output of each block, a tensor of the shape of `tokens`.
    """
    arguments = {k: v for k, v in arguments.items() if v is not None}
    if "attention_mask" in arguments:
        # TensorFlow cannot differentiate blocks in a `keras.RematScope` that
        # are given a Boolean tensor.
        mask = arguments["attention_mask"]
        arguments["attention_mask"] = ops.cast(mask, "int8")
    samples = None
    if drop_path is not None:
        if drop_path_rates is not None:
            drop_path_rates = [
                r for rate in drop_path_rates for r in 2 * [rate]
            ]
        samples = drop_path.sample(
            ops.shape(tokens)[0], 2 * len(blocks), drop_path_rates
        )
    for index, block in enumerate(blocks):
        own = {}
        if samples is not None:
            own["drop_path_sample"] = samples[2 * index : 2 * index + 2]
        if attention_biases is not None:
            own["attention_bias"] = attention_biases[index]
        if attention_dropout is not None and attention_dropout.rate:
            # Drawn here and not in the block, which may be compiled, or run
            # twice.
            batch_size, num_tokens = ops.shape(tokens)[:2]
            own["attention_dropout_sample"] = attention_dropout.sample(
                (batch_size, block.num_heads, num_tokens, num_tokens)
            )
        tokens = block(tokens, **arguments, **own)
        yield tokens


def make_caches(blocks, batch_size, num_tokens):
    """Creates empty caches of keys and values, for `run_blocks_on_next`.

    Args:
        blocks: List of `TransformerBlock`s of self-attention.
        batch_size: Integer.
        num_tokens: Integer. How many tokens they have to hold.

    Returns:
        List of pairs of tensors.
    """

    def room(attention):
        shape = (batch_size, num_tokens, attention.num_heads)
        return ops.zeros((*shape, attention.head_dim), attention.compute_dtype)

    return [(room(x.attention), room(x.attention)) for x in blocks]


def run_blocks_on_next(blocks, token, caches, place):
    """Runs blocks on the next token, which attends to all before it.

    Args:
        blocks: List of `TransformerBlock`s without rotary positions.
        token: Float tensor of shape `(batch, 1, width)`.
        caches: List of pairs, see `make_caches`.
        place: Integer or scalar tensor: the number of tokens before it.

    Returns:
        Tuple: the output, a tensor of the shape of `token`, and the caches to
        pass with the next token.
    """
    new_caches = []
    for block, cache in zip(blocks, caches, strict=True):
        token, *cache = block.call_next(token, *cache, place)
        new_caches.append(tuple(cache))
    return token, new_caches


def block_attention(blocks, tokens, number, attention_biases=None, **arguments):
    """Returns the attention weights of one block.

    Args:
        blocks: List of `TransformerBlock`s of self-attention.
        tokens: Float tensor of shape `(batch, tokens, width)`, as `run_blocks`
            takes them.
        number: Integer. Which block, counted from 1.
        attention_biases: As for `run_blocks`.
        **arguments: Other arguments of the attention, such as `coordinates`.

    Returns:
        Float32 tensor of shape `(batch, num_heads, tokens, tokens)`.

    Raises:
        ValueError: If there is no such block.
    """
    check_positive_integer("layer", number)
    check_number("layer", number, f"[1, {len(blocks)}]")
    for output in run_blocks(
        blocks[: number - 1],
        tokens,
        attention_biases=attention_biases,
        **arguments,
    ):
        tokens = output
    block = blocks[number - 1]
    bias = None if attention_biases is None else attention_biases[number - 1]
    return block.attention.attention_weights(
        block.norm_input(block.attention_norm, tokens),
        attention_bias=bias,
        **arguments,
    )


def run_perceptrons(blocks, tokens, attention_biases=None, **arguments):
    """Runs transformer blocks, and yields what their MLPs add to the tokens.

    Args:
        blocks: List of `TransformerBlock`s of self-attention.
        tokens: Float tensor of shape `(batch, tokens, width)`, as `run_blocks`
            takes them.
        attention_biases: As for `run_blocks`.
        **arguments: Other arguments of the attention, such as `coordinates`.

    Yields:
        The output of each block's MLP before it is added to the tokens, and
        after layer scale if the block has it: a tensor of the shape of
        `tokens`.
    """
    for index, block in enumerate(blocks):
        own = {}
        if attention_biases is not None:
            own["attention_bias"] = attention_biases[index]
        tokens = ops.cast(tokens, block.compute_dtype)
        tokens = tokens + block.attend(tokens, **arguments, **own)
        tokens = block.norm_sum(block.attention_norm, tokens)
        added = block.feed_forward(tokens)
        tokens = block.norm_sum(block.mlp_norm, tokens + added)
        yield added
