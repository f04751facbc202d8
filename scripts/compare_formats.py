"""The work of scripts/compare-formats."""

import csv
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import skimage
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

# Largest difference of a logit, of the largest magnitude among them. With 32-bit floats engines differ by rounding alone.
TOLERANCE = {"fp32": 1e-5, "int8": 5e-2}

TORCH = """
import sys, numpy, torch
from torch.jit.mobile import _load_for_lite_interpreter
torch.set_num_threads(1)
with torch.no_grad():
    logits = _load_for_lite_interpreter(sys.argv[1])(torch.from_numpy(numpy.load(sys.argv[2])))
numpy.save(sys.argv[3], logits.numpy())
"""


def farmctl(*words):
    command = ["cargo", "run", "--quiet", "--bin", "farmctl", "--", *words]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout


def files(network, weights="synthetic"):
    """The network's files by format, precision and part; built where they aren't there."""
    found = {}
    words = ["models", "fetch", network, "--weights", weights, "--file-format", "all", "--format", "csv"]
    for row in csv.DictReader(io.StringIO(farmctl(*words))):
        if row["status"] == "ok":
            found[row["format"], row["precision"], row["part"]] = row["file"]
        else:
            print(f"{network:<20} {row['format']:<18} {row['precision']}: {row['file']}")
    return found


def seeded_image(network, path):
    """Noise in the range that the catalogue has for the network."""
    facts = json.loads(farmctl("models", "show", network, "--format", "json"))["input_range"]
    shape = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    return np.random.default_rng(1).uniform(facts["low"], facts["high"], shape).astype(np.float32)


def photograph():
    """A cat, as `efficientnet_lite0` asks for it: ranges for 8 bits were recorded on photographs, noise has others."""
    image = Image.open(Path(skimage.__file__).parent / "data" / "chelsea.png").convert("RGB")
    side = round(0.875 * min(image.size))
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
    return ((np.asarray(image, np.float32) - 127) / 128).transpose(2, 0, 1)[None].copy()


def onnx(path, image):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": image})[0]


def tflite(path, image):
    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1).copy())
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def torch_lite(path, image, folder):
    np.save(folder / "image.npy", image)
    command = ["/usr/bin/python3", "-c", TORCH, path, str(folder / "image.npy"), str(folder / "logits.npy")]
    subprocess.run(command, check=True)
    return np.load(folder / "logits.npy")


def compare(network, weights, folder):
    """Prints what each format's engine makes of the network; whether all agree."""
    found = files(network, weights)
    is_real = (network, weights) == ("efficientnet_lite0", "trained")
    image = photograph() if is_real else seeded_image(network, found["onnx", "fp32", ""])
    expected = onnx(found["onnx", "fp32", ""], image)
    all_agree = True
    for (kind, precision, _), path in found.items():
        if kind == "tflite":
            logits = tflite(path, image)
        elif kind == "torchscript_lite":
            logits = torch_lite(path, image, folder)
        else:
            continue
        error = np.abs(logits - expected).max() / np.abs(expected).max()
        noise = ((logits - expected) ** 2).sum()
        decibels = 10 * np.log10((expected**2).sum() / noise) if noise > 0 else np.inf
        agrees = logits.shape == expected.shape and error <= TOLERANCE[precision]
        all_agree &= agrees
        verdict = "agrees" if agrees else "DIFFERS"
        print(f"{network:<20} {kind:<18} {precision} {verdict}: {error:.1e} of the largest logit, {decibels:.0f} dB")
    return all_agree


def main():
    weights = "trained" if "--trained" in sys.argv else "synthetic"
    networks = [word for word in sys.argv[1:] if word != "--trained"] or "squeezenet1_0 mobilenet_v2 mnasnet1_0 densenet121 resnet50 inception_v3".split()
    with tempfile.TemporaryDirectory() as folder:
        agreements = [compare(network, weights, Path(folder)) for network in networks]
    sys.exit(0 if all(agreements) else 1)


if __name__ == "__main__":
    main()
