"""Image GPT's training step, on the model of a checkout of openai/image-gpt.

The model and its loss are theirs, of TensorFlow 1, which runs in what recent
versions keep of it. They published no training; Adam is TensorFlow's. The step
is compiled by XLA, which the authors do not do.
"""

import argparse
import sys
import types
from unittest import mock

from benchmarks.authors.tensors import check_loss
from benchmarks.speed import SIZES
from benchmarks.steps.image_gpt import NUM_COLORS
from benchmarks.steps.image_gpt import make_words

BACKEND = "tensorflow"
LEARNING_RATE, BETAS = 3e-3, (0.9, 0.95)


def _model(checkout):
    """Returns their function, of sizes and words."""
    from tensorflow.compat import v1

    contrib = types.ModuleType("tensorflow.contrib.training")
    contrib.HParams = argparse.Namespace
    former = {
        "tensorflow": v1,
        "tensorflow.contrib": contrib,
        "tensorflow.contrib.training": contrib,
    }
    sys.path.insert(0, f"{checkout}/src")
    with mock.patch.dict(sys.modules, former):
        import model
    sys.path.pop(0)
    return model.model


def training(options):
    """Returns a function that trains for a step and waits for it."""
    from tensorflow.compat import v1

    v1.disable_v2_tensorshape()
    v1.enable_resource_variables()
    model = _model(options.authors)
    words = make_words(options)
    width, heads, layers, *_ = SIZES[options.size]
    sizes = argparse.Namespace(
        n_ctx=words.shape[1],
        n_embd=width,
        n_head=heads,
        n_layer=layers,
        n_vocab=NUM_COLORS,
        bert=False,
        clf=False,
    )

    def train(words):
        # Without classes, of which it wants one.
        loss = model(sizes, words, v1.ones([options.batch_size, 1]))["gen_loss"]
        update = v1.train.AdamOptimizer(LEARNING_RATE, *BETAS).minimize(loss)
        return loss, update

    with v1.Graph().as_default():
        v1.set_random_seed(0)
        inputs = v1.placeholder(v1.int32, words.shape)
        if options.compile != "off":
            outputs = v1.xla.experimental.compile(train, [inputs])
        else:
            outputs = train(inputs)
        session = v1.Session()
        session.run(v1.global_variables_initializer())

    def step():
        return check_loss(float(session.run(outputs, {inputs: words})[0]))

    return step
