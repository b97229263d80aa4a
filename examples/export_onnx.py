"""Export a backbone to ONNX and run it without Keras.

    python examples/export_onnx.py --preset my_preset --output capi.onnx

Needs `pip install "keras-capi[export]"`. Works with the backends torch and
TensorFlow; see docs/export.md for other formats. Without `--preset` it takes a
small network with random weights.
"""

import argparse

import keras
import numpy as np
import onnxruntime

from keras_capi import models


def load_backbone(preset):
    if preset is not None:
        return models.CAPIBackbone.from_preset(preset)
    return models.CAPIBackbone.from_preset(
        "capi_vit_small_patch14", num_layers=2, predictor_num_layers=1
    )


def main(preset, image_size, batch_size, output):
    model = models.FeatureExtractor(
        load_backbone(preset), ("global", "feature_map")
    )
    shape = (batch_size, image_size, image_size, 3)
    images = np.random.default_rng(0).normal(size=shape).astype("float32")
    expected = model.predict_on_batch(images)
    model.export(
        output,
        format="onnx",
        verbose=False,
        input_signature=[keras.InputSpec(shape=shape, dtype="float32")],
    )

    session = onnxruntime.InferenceSession(output)
    (name,) = (argument.name for argument in session.get_inputs())
    results = session.run(None, {name: images})
    for result in results:
        # Backends name outputs differently; here the rank tells them apart.
        (feature,) = (
            key for key in expected if expected[key].ndim == result.ndim
        )
        difference = np.abs(result - expected[feature]).max()
        print(f"{feature}: shape {result.shape}, differs by {difference:.1e}")
        if difference > 1e-4:
            raise SystemExit("The exported model computes something else.")
    print(f"The model is in {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", help="name, folder or hf://user/name")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--output", default="capi.onnx")
    main(**vars(parser.parse_args()))
