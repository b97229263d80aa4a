"""The parts of AdamW for which backends have their own kernels."""

import functools

from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.replicas import all_reduce
from keras_capi.backend.replicas import replica
from keras_capi.backend.values import values_of


def have_fused_adamw(variables, skips):
    """Returns for each variable whether `fused_adamw` can update it.

    Args:
        variables: List of `keras.Variable`s.
        skips: List of Booleans. Whether some of its updates may be skipped.
    """
    if BACKEND == "torch":
        # The kernel ignores strides.
        return [value.is_contiguous() for value in values_of(variables)]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # A strategy has its own way to update its variables.
        alone = not tf.distribute.has_strategy()
        return [
            alone and not skipping and variable.dtype == "float32"
            for variable, skipping in zip(variables, skips, strict=True)
        ]
    return [False] * len(variables)


def fused_adamw(
    variables,
    gradients,
    momentums,
    velocities,
    learning_rate,
    weight_decay,
    step,
    corrections,
    beta_1,
    beta_2,
    epsilon,
    skipped=None,
):
    """Updates variables that share a rate with the backend's own kernel.

    Variables, gradients and moments are lists of equal length. The rate, `step`
    (the number of this update, from 1) and the two `corrections` are scalar
    tensors, see `keras_capi.optimizers.step_values`; the weight decay may be
    one. `skipped`, a Boolean scalar tensor or `None`, tells whether to change
    nothing, in which case the rate must be 0, too. The host does not read it.
    """
    if BACKEND == "tensorflow":
        first, second = corrections
        _apply_adam(
            variables,
            gradients,
            momentums,
            velocities,
            learning_rate * second / first,
            learning_rate * weight_decay,
            beta_1,
            beta_2,
            epsilon * second,
        )
        return
    import torch

    with torch.no_grad():
        values = values_of(variables)
        if torch.is_tensor(weight_decay):
            # The kernel takes a number, and reading one would make a GPU wait.
            torch._foreach_mul_(values, 1.0 - learning_rate * weight_decay)
            weight_decay = 0.0
        torch._fused_adamw_(
            values,
            [
                gradient.to(value.dtype).contiguous()
                for gradient, value in zip(gradients, values, strict=True)
            ],
            values_of(momentums),
            values_of(velocities),
            [],
            [step.to(torch.float32)] * len(values),
            lr=learning_rate,
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=weight_decay,
            eps=epsilon,
            amsgrad=False,
            maximize=False,
            found_inf=None if skipped is None else skipped.to(torch.float32),
        )


def _apply_adam(
    variables,
    gradients,
    momentums,
    velocities,
    size,
    decay,
    beta_1,
    beta_2,
    epsilon,
):
    """Updates variables with TensorFlow's kernel, one operation for each.

    The kernel's own bias correction, by powers of the betas, would lose digits.
    `size` and `epsilon` contain it instead.
    """
    import tensorflow as tf

    # Each call would turn a Python number into a new constant.
    zero, beta_1, beta_2 = (tf.constant(x) for x in (0.0, beta_1, beta_2))
    for variable, gradient, momentum, velocity in zip(
        variables, gradients, momentums, velocities, strict=True
    ):
        value = variable.value
        value.assign_sub(value * decay)
        tf.raw_ops.ResourceApplyAdam(
            var=value.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=zero,
            beta2_power=zero,
            lr=size,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, value.dtype),
        )


def gradient_norms(gradients):
    """Returns the L2 norm of each gradient, a list of float32 scalars."""
    if BACKEND == "torch":
        import torch

        # Norms of half-precision gradients may exceed its range.
        widest = functools.reduce(
            torch.promote_types, (x.dtype for x in gradients), torch.float32
        )
        norms = torch._foreach_norm(gradients, dtype=widest)
        return [norm.float() for norm in norms]
    return [
        ops.sqrt(ops.sum(ops.square(ops.cast(gradient, "float32"))))
        for gradient in gradients
    ]


def share_gradients(gradients):
    """Returns gradients that are equal on all replicas, and a norm factor.

    Each replica of TensorFlow has its own gradients, which Keras sums when it
    applies them. What depends on the sum, such as its norm, is needed earlier,
    so each replica gets an equal part of the sum. On the other backends
    gradients are already those of all replicas.

    Returns:
        The gradients, and the factor to multiply their norm by.
    """
    count = replica()[1]
    if BACKEND != "tensorflow" or count == 1:
        return gradients, 1.0
    return [all_reduce(x, "sum") / count for x in gradients], float(count)
