"""The parts of AdamW that are quicker on torch for many tensors at once."""

from keras import ops

from keras_capi.backend.active import BACKEND
from keras_capi.backend.replicas import all_reduce
from keras_capi.backend.replicas import replica


def has_fused_adamw(variable):
    """Tells whether `fused_adamw` can update a variable."""
    # The kernel reads memory without regard to strides.
    return BACKEND == "torch" and variable.value.is_contiguous()


def fused_adamw(
    variables,
    gradients,
    momentums,
    velocities,
    learning_rate,
    weight_decay,
    step,
    beta_1,
    beta_2,
    epsilon,
    skipped=None,
):
    """Updates variables with a common rate by torch's own kernel of AdamW.

    Takes lists of as many variables, gradients and moments; the rate and
    `step`, the number of this update from 1, are scalar tensors, and so may the
    decay be. `skipped`, a Boolean scalar tensor or `None`, tells whether to
    leave all as it is, where the rate must be 0, too; the host need not know.
    """
    import torch

    with torch.no_grad():
        values = [variable.value for variable in variables]
        if torch.is_tensor(weight_decay):
            # The kernel takes a number, for which a GPU would have to wait.
            torch._foreach_mul_(values, 1.0 - learning_rate * weight_decay)
            weight_decay = 0.0
        torch._fused_adamw_(
            values,
            [
                gradient.to(value.dtype).contiguous()
                for gradient, value in zip(gradients, values, strict=True)
            ],
            [momentum.value for momentum in momentums],
            [velocity.value for velocity in velocities],
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


def gradient_norms(gradients):
    """Returns the L2 norm of each gradient, a list of float32 scalars."""
    if BACKEND == "torch":
        import torch

        return [x.float() for x in torch._foreach_norm(gradients)]
    return [
        ops.sqrt(ops.sum(ops.square(ops.cast(gradient, "float32"))))
        for gradient in gradients
    ]


def share_gradients(gradients):
    """Returns gradients that are the same on all replicas, and their sum's.

    TensorFlow's replicas have gradients of their own, which Keras sums when it
    applies them. What depends on the sum, such as its norm, comes before:
    so each gets an equal part of the sum. On the other backends the gradients
    are those of all replicas already.

    Returns:
        The gradients, and by what to multiply a norm of them.
    """
    count = replica()[1]
    if BACKEND != "tensorflow" or count == 1:
        return gradients, 1.0
    return [all_reduce(x, "sum") / count for x in gradients], float(count)
