"""Records the range of every tensor of TensorFlow Lite files in a float run: calibrate.py LOW HIGH FILE...

Writes what orchestrator/src/catalog/formats/tflite/calibration/ holds, for each file its own, to standard output. The
inputs are seeded noise, uniform in LOW to HIGH; for trained weights, real images are given with --images FOLDER.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

INPUTS = 8


def noise(shape, low, high):
    numbers = np.random.default_rng(2020)  # AIoTBench's year; any number that stays would do
    return [numbers.uniform(low, high, shape).astype(np.float32) for _ in range(INPUTS)]


def ranges(path, inputs):
    # Without a delegate every tensor is computed as it stands in the file, and with this kept.
    interpreter = Interpreter(
        str(path),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    edge = interpreter.get_input_details()[0]
    written = {index for op in interpreter._get_ops_details() for index in op["outputs"]} | {edge["index"]}
    tensors = [it for it in interpreter.get_tensor_details() if it["index"] in written]
    seen = {it["name"]: (0.0, 0.0) for it in tensors}
    for values in inputs:
        interpreter.set_tensor(edge["index"], values)
        interpreter.invoke()
        for it in tensors:
            found = interpreter.get_tensor(it["index"])
            low, high = seen[it["name"]]
            seen[it["name"]] = (min(low, float(found.min())), max(high, float(found.max())))
    return seen


def main():
    low, high, path = float(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])
    interpreter = Interpreter(str(path))
    shape = interpreter.get_input_details()[0]["shape"]
    print(f"# Ranges of the tensors of {path.stem} in a float run of its TensorFlow Lite file (scripts/calibrate):")
    print(f"# {INPUTS} inputs of seeded noise, uniform in {low:g} to {high:g}.")
    print("tensor,low,high")
    for name, (lowest, highest) in ranges(path, noise(shape, low, high)).items():
        print(f"{name},{lowest:.6g},{highest:.6g}")


main()
