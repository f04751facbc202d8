"""Trains `digits`, the network of orchestrator/src/catalog/networks/digits.rs, with numpy alone: train_digits.py

The data is scikit-learn's digits.csv.gz (1,797 images of 8×8, from the UCI archive, CC BY 4.0): all but the last 360 are
trained on, those are what accuracy is measured on. Writes the weights, 32-bit little-endian floats in the order of the
definition, beside it. Takes a minute.
"""

import gzip
from importlib.resources import files
from pathlib import Path

import numpy as np

SEED = 1797
HELD_OUT = 360
EPOCHS = 60
BATCH = 32
RATE = 2e-3
DECAY = 1e-4
OUTPUT = Path(__file__).parent.parent / "orchestrator/src/catalog/networks/digits.f32"


def load():
    """All images as [n, 1, 8, 8] of 0 to 1, and their digits."""
    path = files("sklearn.datasets.data") / "digits.csv.gz"
    table = np.loadtxt(gzip.open(path.open("rb"), "rt"), delimiter=",", dtype=np.float32)
    return table[:, :64].reshape(-1, 1, 8, 8) / 16, table[:, 64].astype(int)


def patches(image, stride):
    """What a 3×3 kernel sees at each place of a padded image: [n, places, channels × 9], and the size of what comes out."""
    padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::stride, ::stride]
    n, channels, height, width = seen.shape[:4]
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(n, height * width, channels * 9), height


def unpatch(gradient, shape, stride):
    """The gradient of an image from that of what the kernel saw of it."""
    n, channels, height, width = shape
    size = (height - 1) // stride + 1
    gradient = gradient.reshape(n, size, size, channels, 3, 3).transpose(0, 3, 1, 2, 4, 5)
    padded = np.zeros((n, channels, height + 2, width + 2), np.float32)
    for row in range(3):
        for column in range(3):
            rows = slice(row, row + (size - 1) * stride + 1, stride)
            columns = slice(column, column + (size - 1) * stride + 1, stride)
            padded[:, :, rows, columns] += gradient[..., row, column]
    return padded[:, :, 1:-1, 1:-1]


def forward(weights, image):
    """Logits, and what the gradient needs."""
    kernel1, bias1, kernel2, bias2, matrix, bias3 = weights
    n = len(image)
    seen1, size1 = patches(image, 1)
    x1 = np.maximum(seen1 @ kernel1.reshape(16, -1).T + bias1, 0).transpose(0, 2, 1).reshape(n, 16, size1, size1)
    seen2, size2 = patches(x1, 2)
    x2 = np.maximum(seen2 @ kernel2.reshape(32, -1).T + bias2, 0).transpose(0, 2, 1)
    flat = x2.reshape(n, 32 * size2 * size2)
    return flat @ matrix.T + bias3, (seen1, x1, seen2, x2, flat)


def gradients(weights, image, digits):
    kernel1, _, kernel2, _, matrix, _ = weights
    logits, (seen1, x1, seen2, x2, flat) = forward(weights, image)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    chances[np.arange(len(digits)), digits] -= 1
    error = chances / len(digits)
    of_x2 = ((error @ matrix).reshape(x2.shape) * (x2 > 0)).transpose(0, 2, 1)
    of_seen2 = of_x2 @ kernel2.reshape(32, -1)
    of_x1 = unpatch(of_seen2, x1.shape, 2) * (x1 > 0)
    of_x1 = of_x1.reshape(len(image), 16, -1).transpose(0, 2, 1)
    return [
        np.einsum("npo,npi->oi", of_x1, seen1).reshape(kernel1.shape),
        of_x1.sum((0, 1)),
        np.einsum("npo,npi->oi", of_x2, seen2).reshape(kernel2.shape),
        of_x2.sum((0, 1)),
        error.T @ flat,
        error.sum(0),
    ]


def shifted(images, numbers):
    """Images moved by up to a pixel, as writers place digits."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    rows, columns = numbers.choice(3, (2, len(images)), p=[0.15, 0.7, 0.15])
    return np.stack([image[:, r : r + 8, c : c + 8] for image, r, c in zip(padded, rows, columns)])


def train(images, digits):
    numbers = np.random.default_rng(SEED)
    shapes = [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (10, 512), (10,)]
    weights = [
        (numbers.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) if len(shape) > 1 else np.zeros(shape)).astype(np.float32)
        for shape in shapes
    ]
    first, second = [np.zeros_like(it) for it in weights], [np.zeros_like(it) for it in weights]
    steps, total = 0, EPOCHS * -(-len(images) // BATCH)
    for _ in range(EPOCHS):
        order = numbers.permutation(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            steps += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * steps / total))
            for index, gradient in enumerate(gradients(weights, shifted(images[chosen], numbers), digits[chosen])):
                # Adam with decoupled weight decay.
                first[index] = 0.9 * first[index] + 0.1 * gradient
                second[index] = 0.999 * second[index] + 0.001 * gradient**2
                step = first[index] / (1 - 0.9**steps) / (np.sqrt(second[index] / (1 - 0.999**steps)) + 1e-8)
                weights[index] = (weights[index] - rate * (step + DECAY * weights[index])).astype(np.float32)
    return weights


def main():
    images, digits = load()
    weights = train(images[:-HELD_OUT], digits[:-HELD_OUT])
    right = {
        what: (forward(weights, images[part])[0].argmax(1) == digits[part]).mean()
        for what, part in [("trained on", slice(-HELD_OUT)), ("held out", slice(-HELD_OUT, None))]
    }
    print(", ".join(f"{share:.1%} right of those {what}" for what, share in right.items()))
    OUTPUT.write_bytes(b"".join(it.astype("<f4").tobytes() for it in weights))


if __name__ == "__main__":
    main()
