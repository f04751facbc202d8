"""Makes a TorchScript file for PyTorch's lite interpreter: build.py FILE.

The network comes on standard input: a line of JSON, then the weights' values as 32-bit little-endian floats.
"""

import io
import json
import sys
import zipfile

try:
    import torch
    import torch.nn.functional as F
    from torch.utils.mobile_optimizer import optimize_for_mobile
except ImportError as error:
    sys.exit(f"PyTorch is missing ({error}); on Debian 12: apt-get install python3-torch")

# The format has changed with PyTorch's versions, and so has what the optimisation makes of a network.
if not torch.__version__.startswith("1.13."):
    sys.exit(f"it takes PyTorch 1.13, as Debian 12 has it, and this Python has {torch.__version__}")


class Network(torch.nn.Module):
    def __init__(self, description, stream):
        super().__init__()
        self.nodes = description["nodes"]
        self.weights = []
        for weight in description["weights"]:
            count = 1
            for size in weight["dims"]:
                count *= size
            values = torch.frombuffer(bytearray(stream.read(4 * count)), dtype=torch.float32)
            name = weight["name"].replace(".", "_")
            self.register_buffer(name, values.reshape(weight["dims"]))
            self.weights.append(name)

    def forward(self, image):
        tensors = [image]
        for node in self.nodes:
            inputs = [tensors[number] for number in node["inputs"]]
            weights = [getattr(self, self.weights[number]) for number in node["weights"]]
            tensors.append(OPERATORS[node["op"]](node, inputs, weights))
        return tensors[-1]


def conv(node, inputs, weights):
    top, left, bottom, right = node["pads"]
    image, padding = inputs[0], (top, left)
    if (top, left) != (bottom, right):
        image, padding = F.pad(image, (left, right, top, bottom)), 0
    return F.conv2d(image, weights[0], weights[1], node["stride"], padding, 1, node["groups"])


def batch_norm(node, inputs, weights):
    scale, shift, mean, variance = weights
    return F.batch_norm(inputs[0], mean, variance, scale, shift, False, 0.0, node["epsilon"])


def max_pool(node, inputs, weights):
    return F.max_pool2d(inputs[0], node["kernel"], node["stride"], node["pads"][:2], 1, node["ceil"])


def average_pool(node, inputs, weights):
    return F.avg_pool2d(inputs[0], node["kernel"], node["stride"], node["pads"][:2], node["ceil"], True)


def channel_shuffle(node, inputs, weights):
    batch, channels, height, width = inputs[0].shape
    table = inputs[0].view(batch, node["groups"], channels // node["groups"], height, width)
    return table.transpose(1, 2).contiguous().view(batch, channels, height, width)


OPERATORS = {
    "conv": conv,
    "batch_norm": batch_norm,
    "relu": lambda node, inputs, weights: F.relu(inputs[0]),
    # As torchvision's ReLU6: what this becomes is made part of the convolution before it.
    "relu6": lambda node, inputs, weights: F.hardtanh(inputs[0], 0.0, 6.0),
    "hard_sigmoid": lambda node, inputs, weights: F.hardsigmoid(inputs[0]),
    "hard_swish": lambda node, inputs, weights: F.hardswish(inputs[0]),
    "multiply": lambda node, inputs, weights: inputs[0] * inputs[1],
    "channels": lambda node, inputs, weights: inputs[0].narrow(1, node["first"], node["channels"]),
    "channel_shuffle": channel_shuffle,
    "max_pool": max_pool,
    "average_pool": average_pool,
    "global_average_pool": lambda node, inputs, weights: F.adaptive_avg_pool2d(inputs[0], 1),
    "concat": lambda node, inputs, weights: torch.cat(inputs, 1),
    "add": lambda node, inputs, weights: inputs[0] + inputs[1],
    "flatten": lambda node, inputs, weights: torch.flatten(inputs[0], 1),
    "gemm": lambda node, inputs, weights: F.linear(inputs[0], weights[0], weights[1]),
}

torch.set_num_threads(1)
with torch.no_grad():
    stream = sys.stdin.buffer
    description = json.loads(stream.readline())
    network = Network(description, stream).eval()
    traced = torch.jit.trace(network, torch.zeros([1] + description["input_shape"]), check_trace=False)
    content = optimize_for_mobile(traced)._save_to_buffer_for_lite_interpreter()

# What people would debug the network with is left out: it holds the paths and line numbers of this machine's PyTorch, and
# a file must be the same everywhere. The interpreter reads none of it.
with zipfile.ZipFile(io.BytesIO(content)) as full, zipfile.ZipFile(sys.argv[1], "w") as file:
    for entry in full.infolist():
        if "/code/" not in entry.filename:
            kept = zipfile.ZipInfo(entry.filename)
            kept.create_system = 3
            file.writestr(kept, full.read(entry))
