"""The work of scripts/calibrate."""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import train_digits
from compare_formats import farmctl, files

FOLDER = Path("orchestrator/src/catalog/formats/tflite/calibration")
INPUTS = 8


def ranges(path, inputs_of):
    """Smallest and largest value of each tensor that is no constant."""
    # Without a delegate every tensor is computed as it stands in the file, and with this kept.
    interpreter = Interpreter(
        path,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    edge = interpreter.get_input_details()[0]
    written = {index for op in interpreter._get_ops_details() for index in op["outputs"]} | {edge["index"]}
    tensors = [it for it in interpreter.get_tensor_details() if it["index"] in written]
    seen = {it["name"]: (0.0, 0.0) for it in tensors}
    for values in inputs_of(edge["shape"]):
        interpreter.set_tensor(edge["index"], values)
        interpreter.invoke()
        for it in tensors:
            found = interpreter.get_tensor(it["index"])
            low, high = seen[it["name"]]
            seen[it["name"]] = (min(low, float(found.min())), max(high, float(found.max())))
    return seen


def record(name, path, inputs_of, inputs_are):
    lines = [f"# Ranges of the tensors of {name} in a float run of its TensorFlow Lite file (scripts/calibrate):"]
    lines += [f"# {inputs_are}.", "tensor,low,high"]
    lines += [f"{tensor},{low:.6g},{high:.6g}" for tensor, (low, high) in ranges(path, inputs_of).items()]
    (FOLDER / f"{name}.csv").write_text("\n".join(lines) + "\n")


def noise_of(network):
    """Seeded noise in the range that the catalogue has for the network."""
    facts = json.loads(farmctl("models", "show", network, "--format", "json"))["input_range"]
    low, high = facts["low"], facts["high"]

    def noise(shape):
        numbers = np.random.default_rng(2020)  # AIoTBench's year; any number that stays would do
        return [numbers.uniform(low, high, shape).astype(np.float32) for _ in range(INPUTS)]

    return noise, f"{INPUTS} inputs of seeded noise, uniform in {low:g} to {high:g}"


def digits(_):
    """Every tenth of the images that the network was trained on."""
    images = train_digits.load()[0][: -train_digits.HELD_OUT : 10]
    return [image.transpose(1, 2, 0)[None].copy() for image in images]


def main():
    for network in sys.argv[1:]:
        if network == "digits":
            path = files(network, "trained")["tflite", "fp32", ""]
            record(network, path, digits, "every tenth of the images it was trained on")
        else:
            record(network, files(network)["tflite", "fp32", ""], *noise_of(network))


main()
