"""The network of Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024): it is made to be trained in few epochs.

Its first convolution is not learnt, but whitens patches of the training pictures; three groups of two convolutions follow,
in which pictures shrink early. ReLU takes the place of GELU here, for int8 knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.nn import functional

from ..encoder import array
from ..graph import Graph

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10
PATCH = 2
PATCH_VALUES = 3 * PATCH * PATCH
LEAST_VARIANCE = 5e-4
SCALE = 1 / 9  # of the logits
KEPT = 0.4  # how fast the batch statistics are replaced


@dataclass(frozen=True)
class Shape:
    pixels: int
    widths: tuple[int, int, int]
    n_labels: int


class Convolution(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        nn.init.dirac_(self.weight.data[:inputs])  # the first channels begin as what comes in


class Norm(nn.BatchNorm2d):
    """Batch normalisation that learns where the middle is, but no scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=KEPT)
        self.weight.requires_grad_(False)


class Group(nn.Module):
    """Two convolutions; the first one's picture is halved."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.first_norm = Convolution(inputs, outputs), Norm(outputs)
        self.second, self.second_norm = Convolution(outputs, outputs), Norm(outputs)

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = functional.relu(self.first_norm(functional.max_pool2d(self.first(pixels), 2)))
        return functional.relu(self.second_norm(self.second(hidden)))

    def to_onnx(self, graph: Graph, pixels: str) -> str:
        # The largest of what is shifted is the largest, shifted: so the norm can be part of the convolution before it.
        halved = graph.op("MaxPool", _folded(graph, pixels, self.first, self.first_norm), kernel_shape=[2, 2], strides=[2, 2])
        return graph.op("Relu", _folded(graph, graph.op("Relu", halved), self.second, self.second_norm))


def _folded(graph: Graph, pixels: str, convolution: Convolution, norm: Norm) -> str:
    factor = 1 / np.sqrt(array(norm.running_var) + norm.eps)
    weight = array(convolution.weight) * factor[:, None, None, None]
    bias = array(norm.bias) - array(norm.running_mean) * factor
    return graph.op("Conv", pixels, graph.constant(weight, "weight"), graph.constant(bias, "bias"),
                    kernel_shape=[3, 3], pads=[1, 1, 1, 1])


class Network(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.whiten = nn.Conv2d(3, 2 * PATCH_VALUES, PATCH)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)
        inputs = (2 * PATCH_VALUES, *shape.widths)
        self.groups = nn.ModuleList(Group(inputs[i], outputs) for i, outputs in enumerate(shape.widths))
        self.head = nn.Linear(shape.widths[-1], shape.n_labels, bias=False)

    @torch.no_grad()
    def see(self, pixels: Tensor) -> None:
        """Takes the whitening filters from normalised pictures: the directions in which patches differ, evenly scaled."""
        patches = functional.unfold(pixels.float(), PATCH).transpose(1, 2).reshape(-1, PATCH_VALUES)
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (directions / (variances + LEAST_VARIANCE).sqrt()).T.reshape(PATCH_VALUES, 3, PATCH, PATCH)
        self.whiten.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of normalised pixels [n, 3, side, side]."""
        hidden = functional.relu(self.whiten(pixels))
        for group in self.groups:
            hidden = group(hidden)
        return self.head(hidden.amax(dim=(2, 3))) * SCALE

    def to_onnx(self) -> onnx.ModelProto:
        graph = Graph("convolutions in three groups")
        side = self.shape.pixels
        pixels = graph.input("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])
        hidden = graph.op("Relu", graph.op("Conv", pixels, graph.constant(array(self.whiten.weight), "weight"),
                                           graph.constant(array(self.whiten.bias), "bias"), kernel_shape=[PATCH, PATCH]))
        for group in self.groups:
            hidden = group.to_onnx(graph, hidden)
        pooled = graph.op("Flatten", graph.op("GlobalMaxPool", hidden))
        weight = array(self.head.weight) * SCALE
        return graph.finish(graph.linear(pooled, weight, np.zeros(len(weight), np.float32), int8=False), self.shape.n_labels)
