"""The work of scripts/calibrate."""

import json
import sys
from pathlib import Path

import numpy as np
import skimage
from PIL import Image
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


# Photographs that scikit-image ships, without the seven that `efficientnet_lite0` is tried on.
PHOTOGRAPHS = "astronaut brick clock_motion coins grass gravel hubble_deep_field ihc moon page retina text".split()


def photographs(_):
    """The middle of each photograph and its four corners, as the network's preprocessing asks for."""
    folder = Path(skimage.__file__).parent / "data"
    for name in PHOTOGRAPHS:
        path = next(folder.glob(f"{name}.*"))
        image = Image.open(path).convert("RGB")
        side = round(0.875 * min(image.size))
        right, bottom = image.width - side, image.height - side
        for left, top in [(right // 2, bottom // 2), (0, 0), (right, 0), (0, bottom), (right, bottom)]:
            crop = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
            yield ((np.asarray(crop, np.float32) - 127) / 128)[None]


TRAINED = {
    "digits": (digits, "every tenth of the images it was trained on"),
    "efficientnet_lite0": (photographs, "five crops of each of 12 photographs of scikit-image's"),
}


def main():
    trained = "--trained" in sys.argv
    for network in [word for word in sys.argv[1:] if word != "--trained"]:
        path = files(network, "trained" if trained else "synthetic")["tflite", "fp32", ""]
        inputs, are = TRAINED[network] if trained else noise_of(network)
        record(f"{network}_trained" if trained else network, path, inputs, are)


main()
