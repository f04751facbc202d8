"""Measures the onnx package's own test models with farmctl, and compares their outputs with the expected ones."""
import argparse
import collections
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy
import onnx
from onnx import numpy_helper

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(onnx.__file__).parent / "backend/test/data"
PAGE = ROOT / "docs/src/design/onnx-package.md"
ENGINES = ["tract", "onnxruntime"]
# Those of the package's own test runner are 1e-3 and 1e-7; engines that sum in another order differ by more near zero.
RELATIVE, ABSOLUTE = 1e-3, 1e-5
TYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bool": "bool"}


class Model:
    """A model with the values that go in and those that are to come out."""

    def __init__(self, name, path, inputs, outputs):
        self.name, self.path, self.inputs, self.outputs = name, path, inputs, outputs


def word(array):
    return TYPES.get(array.dtype.name) or re.sub("^(u?)int", lambda sign: "u" if sign[1] else "i", array.dtype.name)


def form(array):
    return ("x".join(map(str, array.shape)) or "scalar") + " " + word(array)


def wanted_inputs(graph):
    weights = {tensor.name for tensor in graph.initializer}
    return [info for info in graph.input if info.name not in weights]


def dummy(info):
    """What the package's runner feeds the models that come without inputs."""
    shape = [dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim]
    count = int(numpy.prod(shape))
    return (numpy.arange(count).reshape(shape) / count).astype(numpy.float32)


def tensor(path):
    """A tensor of a file; None for one that holds a list or anything else."""
    try:
        return numpy_helper.to_array(onnx.load_tensor(str(path)))
    except Exception:  # the package has lists in files that look the same
        return None


def models(lab, chosen):
    found = []
    for path in sorted(DATA.glob("*/*/model.onnx")) + sorted(DATA.glob("light/*.onnx")):
        name = path.parent.name if path.name == "model.onnx" else path.stem
        if chosen and not any(part in name for part in chosen):
            continue
        graph = onnx.load(str(path), load_external_data=False).graph
        infos = wanted_inputs(graph)
        data = path.parent / "test_data_set_0"
        inputs, outputs = {}, []
        for index, info in enumerate(infos):
            values = data / f"input_{index}.pb"
            if path.name != "model.onnx":
                values = lab / "configs" / f"{name}-{index}.npy"
                numpy.save(values, dummy(info))
            if values.exists():
                inputs[info.name] = values
        for index in range(len(graph.output)):
            values = data / f"output_{index}.pb" if path.name == "model.onnx" else path.with_name(f"{name}_output_{index}.pb")
            outputs.append(tensor(values) if values.exists() else None)
        found.append(Model(name, path, inputs, outputs))
    return found


def write_lab(lab, found):
    entries = []
    for model in found:
        inputs = {name: {"values": str(path)} for name, path in model.inputs.items()}
        entries.append({"name": model.name, "inputs": inputs, "weights": {"trained": {"path": str(model.path)}}})
        if not inputs:
            del entries[-1]["inputs"]
    # JSON is YAML.
    (lab / "configs/models.yaml").write_text(json.dumps({"models": entries}, indent=1))
    sweep = {
        "models": [model.name for model in found],
        "weights": "trained",
        "backends": ENGINES,
        "precision": ["fp32", "fp16", "int8"],
        # Those that the files fix; one that is open is measured with 1 as well.
        "batch": [1, 2, 4, 20],
        "limits": {
            "warmup": {"min_runs": 0, "min_seconds": 0, "max_seconds": 1},
            "measure": {"min_runs": 1, "max_runs": 1, "min_seconds": 0, "max_seconds": 60},
        },
    }
    (lab / "configs/onnx.yaml").write_text(json.dumps(sweep, indent=1))
    device = f"{{ name: this-host, transport: local, workdir: {json.dumps(str(lab / 'device'))} }}"
    (lab / "farms/lab.yaml").write_text(f"farm: lab\ndevices: [{device}]\n")


def compare(lab, model, row):
    """What is wrong with a row that is ok, or None."""
    for index, info in enumerate(wanted_inputs(onnx.load(str(model.path), load_external_data=False).graph)):
        told = row["input"].split("; ")[index]
        values = model.inputs.get(info.name)
        given = None if values is None else (numpy.load(values) if values.suffix == ".npy" else tensor(values))
        if given is not None and told != form(given):
            return f"input {info.name} is {told}, the package has {form(given)}"
    told, hashes = row["output"].split("; "), row["output_sha256"].split(" ")
    if len(told) != len(model.outputs):
        return f"{len(told)} outputs, the package has {len(model.outputs)}"
    for text, sha256, expected in zip(told, hashes, model.outputs):
        if expected is None:
            continue
        if text != form(expected):
            return f"an output is {text}, the package has {form(expected)}"
        if sha256 == "-":
            return "an output was left out"
        values = numpy.frombuffer((lab / f".farm/outputs/{sha256}.f32").read_bytes(), "<f4").reshape(expected.shape)
        reference = expected.astype(numpy.float32)
        if not numpy.allclose(values, reference, RELATIVE, ABSOLUTE, equal_nan=True):
            return f"an output lies up to {numpy.nanmax(numpy.abs(values - reference)):.2e} from the package's"
    return None


def reason(text):
    """A reason without what is of one model only."""
    text = re.sub(r", which \S+ needs: .*$", "", text)
    text = re.sub(r", of which \S+ has weights: .*$", "", text)
    text = re.sub(r", and \S+ (means|takes|has) (.*): [^:]*$", r", and it \1 \2", text)
    text = re.sub(r"^on [^:]+: |Load model from \S+ failed:", "", text)
    text = re.sub(r"node #\d+ \"[^\"]*\" |\(\d+\) node with name '.*'|: [Oo]utput mismatch.*|: Wrong number.*", "", text)
    for pattern, short in [
        (r"its input .* is an? ([\w ]+),", r"an input is a \1"),
        (r"can't be used: (.*)$", r"values: \1"),
    ]:
        found = re.search(pattern, text)
        if found:
            return found.expand(short)
    return text if len(text) <= 140 else text[:137] + "…"


def page(counts, reasons, wrong, total):
    version = onnx.__version__
    lines = [
        "<!-- Made by `scripts/check-onnx-package`. -->",
        "",
        "# The onnx package's models",
        "",
        f"`scripts/check-onnx-package` measures the {total} models that the package `onnx` {version} comes with, on this host, fed with the",
        "package's own inputs, and compares shapes, types and values of the outputs with those that the package expects (relative",
        f"tolerance {RELATIVE:g}). Each model is asked for in fp32, fp16 and int8, and in the batches that files fix; it counts once.",
        "",
        "| engine | ok, outputs as expected | ok, the package has no output to compare | otherwise than expected | failed | skipped |",
        "|---|---|---|---|---|---|",
    ]
    for engine in ENGINES:
        row = counts[engine]
        lines.append(f"| {engine} | " + " | ".join(str(row[key]) for key in ["same", "alone", "wrong", "failed", "skipped"]) + " |")
    lines += ["", "Why the others were not measured:", "", "| engine | how many | why |", "|---|---|---|"]
    for (engine, status, text), names in sorted(reasons.items(), key=lambda it: (it[0][0], -len(it[1]))):
        lines.append(f"| {engine} | {len(names)} {status} | {text.replace('|', '/')} |")
    for engine, name, text in wrong:
        lines.append(f"\n{engine}, {name}: {text}.")
    return "\n".join(lines) + "\n"


def counted(text):
    """The rows of a page that count the models of each engine."""
    return [line for line in text.splitlines() if line.count("|") == 7 and line.split("|")[1].strip() in ENGINES]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=pathlib.Path, help="the lab's folder, which stays")
    parser.add_argument("--check", action="store_true", help="write no page, and fail where its counts are others")
    parser.add_argument("names", nargs="*")
    asked = parser.parse_args()
    lab = (asked.keep or ROOT / "target/onnx-package").resolve()
    for folder in ["configs", "farms", "reports", ".farm"]:
        (lab / folder).mkdir(parents=True, exist_ok=True)
    # What the tests have built and fetched of engines is not made again.
    artifacts, shared = lab / ".farm/artifacts", ROOT / "target/tmp/artifacts"
    if shared.is_dir() and not artifacts.exists():
        artifacts.symlink_to(shared)
    if not asked.keep or not (lab / "configs/backends.yaml").exists():
        shutil.copy(ROOT / "configs/backends.yaml", lab / "configs/backends.yaml")
    found = models(lab, asked.names)
    write_lab(lab, found)
    farmctl = os.environ.get("FARMCTL", str(ROOT / "target/debug/farmctl")).split()
    done = subprocess.run([*farmctl, "--lab", str(lab), "sweep", str(lab / "configs/onnx.yaml")], stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 4, 6):
        sys.exit(f"farmctl ended with {done.returncode}")
    rows = list(csv.DictReader(open(lab / "reports/latest/results.csv")))
    counts = {engine: collections.Counter() for engine in ENGINES}
    reasons, wrong = collections.defaultdict(list), []
    by_cell = collections.defaultdict(list)
    for row in rows:
        by_cell[row["model"], row["backend"]].append(row)
    for model in found:
        for engine in ENGINES:
            cells = by_cell[model.name, engine]
            # What was measured, else what was tried, else a reason that is of the file.
            order = {"ok": 0, "failed": 1, "skipped": 2}
            row = min(cells, key=lambda row: (order[row["status"]], row["batch"] != "1"))
            if row["status"] != "ok":
                counts[engine][row["status"]] += 1
                reasons[engine, row["status"], reason(row["failure"])].append(model.name)
                continue
            text = compare(lab, model, row)
            if text:
                counts[engine]["wrong"] += 1
                wrong.append((engine, model.name, text))
            else:
                counts[engine]["same" if any(it is not None for it in model.outputs) else "alone"] += 1
    text = page(counts, reasons, wrong, len(found))
    print(text)
    for key, names in reasons.items():
        print(*key, names[:6], sep=" · ", file=sys.stderr)
    if asked.check and counted(text) != counted(PAGE.read_text()):
        sys.exit(f"other counts than in {PAGE.relative_to(ROOT)}; scripts/check-onnx-package writes it anew")
    if not asked.names and not asked.check:
        PAGE.write_text(text)
    sys.exit(1 if wrong else 0)


main()
