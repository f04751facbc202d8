"""Writes which operators of ONNX the pinned ONNX Runtime has, and the types that it has a CPU kernel for."""
import collections
import pathlib
import sys

import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as registry

TABLE = pathlib.Path(__file__).resolve().parent.parent / "orchestrator/src/planner/onnxruntime_operators.txt"
# Sets of operators whose kernels are told. Of Microsoft's own only the names are: some are made of others.
WITH_KERNELS = ["", "ai.onnx.ml"]
WORDS = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
    "uint32": "u32", "uint64": "u64", "float16": "f16", "float": "f32", "double": "f64",
}  # fmt: skip
# Those that need no kernel: the optimiser takes them out before any is looked for.
TAKEN_OUT = ["Constant", "Dropout", "Identity"]
NO_END = 2**31 - 1


def named(domain):
    return domain or "ai.onnx"


def function_versions():
    """Operators that ONNX itself makes of others, which ONNX Runtime then runs."""
    schemas = onnx.defs.get_all_schemas_with_history()
    made = [it for it in schemas if it.has_function or it.has_context_dependent_function]
    return {(it.domain, it.name, it.since_version) for it in made}


def serves(kernel, since):
    """Whether a kernel is one of an operator's version, by the engine's own rule."""
    first, last = kernel.version_range
    return first == since or (last != NO_END and first <= since <= last)


def types(schema, kernels):
    """The types of the first input that kernels are for; None where they are for all."""
    if not schema.inputs:
        return None if kernels else []
    first = schema.inputs[0]
    found = set()
    for kernel in kernels:
        constraint = kernel.type_constraints.get(first.typeStr) or kernel.type_constraints.get(first.name)
        if not constraint:
            return None
        found.update(WORDS[it[7:-1]] for it in constraint if it.startswith("tensor(") and it[7:-1] in WORDS)
    # Where one is lacking, a network is cast around the kernel for fp32.
    if "f32" in found:
        found.add("f16")
    # Kernels for lists and maps of anything.
    return sorted(found) if found or not kernels else None


def loads(ir_version, opsets):
    """Whether the engine reads a file of these versions."""
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value("x")], [value("y")])
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return True
    except Exception:  # whatever it says
        return False


def newest(reads):
    """The newest version that is read."""
    return max(version for version in range(1, 60) if reads(version))


def table():
    schemas = registry.get_all_operator_schema()
    kernels = collections.defaultdict(list)
    for kernel in registry.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider":
            kernels[kernel.domain, kernel.op_name].append(kernel)
    made = function_versions()
    onnxruntime.set_default_logger_severity(4)
    ir_version = newest(lambda version: loads(version, {"": 13}))
    lines = [
        "# Made by scripts/onnxruntime-operators: an operator's set, its name, the opset from which on it is so, and the types of",
        "# its first input that there is a kernel for; * where it need not be asked for.",
        f"version {onnxruntime.__version__}",
        f"ir_version {ir_version}",
        f"opset ai.onnx {newest(lambda version: loads(ir_version, {'': version}))}",
        f"opset ai.onnx.ml {newest(lambda version: loads(ir_version, {'': 13, 'ai.onnx.ml': version}))}",
    ]
    found = []
    for schema in schemas:
        domain, name, since = schema.domain, schema.name, schema.since_version
        own = [kernel for kernel in kernels[domain, name] if serves(kernel, since)]
        is_told = domain in WITH_KERNELS and name not in TAKEN_OUT and (domain, name, since) not in made
        words = types(schema, own) if is_told else None
        found.append((named(domain), name, since, " ".join(["*"] if words is None else words)))
    lines += [f"{domain} {name} {since} {words}".rstrip() for domain, name, since, words in sorted(set(found))]
    return "\n".join(lines) + "\n"


def main():
    text = table()
    if "--check" in sys.argv[1:]:
        if TABLE.read_text() != text:
            sys.exit("orchestrator/src/planner/onnxruntime_operators.txt is not what is pinned: run scripts/onnxruntime-operators")
    else:
        TABLE.write_text(text)


main()
