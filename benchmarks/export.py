"""Exports a backbone in every format, and runs the files outside Keras.

    KERAS_BACKEND=torch python benchmarks/export.py

Needs `onnx onnxruntime onnxscript tf2onnx jax2onnx openvino litert-torch`, and
TensorFlow to run SavedModel and LiteRT. Prints for each format and each kind of
signature the largest difference to the Keras model, or the error.
"""

import argparse
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import warnings

import keras
import numpy as np

import keras_capi

FORMATS = {
    "onnx": "model.onnx",
    "openvino": "model.xml",
    "tf_saved_model": "model",
    "litert": "model.tflite",
    "torch": "model.pt2",
}
SIGNATURES = {
    "fixed": (2, 56, 56, 3),
    "dynamic batch": (None, 56, 56, 3),
    "dynamic batch and size": (None, None, None, 3),
}
# Images that a signature must take.
INPUTS = {
    "fixed": [(2, 56, 56, 3)],
    "dynamic batch": [(2, 56, 56, 3), (5, 56, 56, 3)],
    "dynamic batch and size": [(2, 56, 56, 3), (3, 42, 70, 3)],
}


def run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def run_openvino(path):
    import openvino

    # By default it computes in half precision where the machine can.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", options)
    return lambda images: list(model(images).values())


def run_tf_saved_model(path):
    import tensorflow as tf

    model = tf.saved_model.load(path)
    return lambda images: [
        x.numpy() for x in tf.nest.flatten(model.serve(images))
    ]


def run_litert(path):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(path)

    def run(images):
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(index, images)
        interpreter.invoke()
        return [
            interpreter.get_tensor(detail["index"])
            for detail in interpreter.get_output_details()
        ]

    return run


def run_torch(path):
    import torch

    model = torch.export.load(path).module()
    return lambda images: [
        x.detach().numpy()
        for x in torch.utils._pytree.tree_leaves(model(torch.tensor(images)))
    ]


def torch_dynamic_shapes(shape):
    import torch

    rows, columns = (
        torch.export.Dim(name, min=2, max=128) for name in ("rows", "columns")
    )
    names = (torch.export.Dim("batch"), 14 * rows, 14 * columns)
    return ({axis: names[axis] for axis, n in enumerate(shape) if n is None},)


def make_model():
    keras.utils.set_random_seed(0)
    backbone = keras_capi.models.CAPIBackbone(
        patch_size=14,
        num_layers=2,
        predictor_num_layers=1,
        hidden_dim=64,
        num_heads=2,
    )
    return keras_capi.models.FeatureExtractor(
        backbone, ("global", "feature_map")
    )


def with_single_output(model):
    """Returns a model of the feature map only."""
    images = keras.Input((None, None, 3))
    return keras.Model(images, model(images)["feature_map"])


def check(export_format, signature, make_model=make_model):
    """Returns the largest difference of what an exported file computes."""
    model = make_model()
    shape = SIGNATURES[signature]
    if export_format == "openvino" and keras.backend.backend() == "torch":
        # Tracing takes no dictionaries, and leaves every size dynamic.
        model = with_single_output(model)
        shape = SIGNATURES["fixed"]
    model(np.zeros([n or 56 for n in shape], "float32"))
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / FORMATS[export_format])
        arguments = {}
        if export_format == "torch" and None in shape:
            # Keras traces unknown sizes with 2 pixels, less than a patch.
            arguments["dynamic_shapes"] = torch_dynamic_shapes(shape)
            shape = SIGNATURES["fixed"]
        model.export(
            path,
            format=export_format,
            verbose=False,
            input_signature=[keras.InputSpec(shape=shape, dtype="float32")],
            **arguments,
        )
        run = globals()[f"run_{export_format}"](path)
        differences = []
        for input_shape in INPUTS[signature]:
            images = np.random.default_rng(0).normal(size=input_shape)
            images = images.astype("float32")
            received = {x.ndim: x for x in run(images)}
            expected = keras.tree.flatten(model.predict_on_batch(images))
            for value in map(np.asarray, expected):
                if received[value.ndim].shape != value.shape:
                    raise ValueError(f"shape {received[value.ndim].shape}")
                difference = np.abs(received[value.ndim] - value).max()
                differences.append(difference)
    return max(differences)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", nargs="*", help="a format and a signature")
    case = parser.parse_args().case
    if case:
        try:
            print(f"RESULT {check(*case):.1e}")
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            print(f"RESULT {type(error).__name__}: {lines[0][:120]}")
        sys.exit()
    print(f"Keras {keras.__version__}, backend {keras.backend.backend()},")
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for export_format in FORMATS:
        for signature in SIGNATURES:
            # In a process each, as some converters crash.
            result = subprocess.run(
                [sys.executable, __file__, export_format, signature],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ,
            )
            lines = [x for x in result.stdout.splitlines() if "RESULT" in x]
            outcome = lines[-1][7:] if lines else result.stderr[-150:]
            print(f"{export_format:15} {signature:23} {outcome}", flush=True)
