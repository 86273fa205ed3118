"""A residual network (He et al. 2016) that is wide rather than deep (Zagoruyko and Komodakis 2016): three groups of blocks of
two convolutions; a group halves its picture and is wider than the one before."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto
from torch import Tensor, nn
from torch.nn import functional

from ..encoder import array
from ..graph import Graph

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10


@dataclass(frozen=True)
class Shape:
    pixels: int
    widths: tuple[int, ...]
    blocks: int  # in each group
    n_labels: int


class Convolution(nn.Module):
    """A convolution and the normalisation after it, which is part of its weights in the graph that is served."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.weights = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
        nn.init.kaiming_normal_(self.weights.weight, mode="fan_out", nonlinearity="relu")
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.norm(self.weights(pixels))

    def to_onnx(self, graph: Graph, pixels: str) -> str:
        factor = array(self.norm.weight) / np.sqrt(array(self.norm.running_var) + self.norm.eps)
        weight = array(self.weights.weight) * factor[:, None, None, None]
        bias = array(self.norm.bias) - array(self.norm.running_mean) * factor
        return graph.op("Conv", pixels, graph.constant(weight, "weight"), graph.constant(bias, "bias"),
                        kernel_shape=list(self.weights.kernel_size), strides=list(self.weights.stride),
                        pads=[*self.weights.padding, *self.weights.padding])


class Block(nn.Module):
    """Two convolutions, whose result is added to what came in."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, outputs, stride=stride)
        self.second = Convolution(outputs, outputs)
        self.around = Convolution(inputs, outputs, size=1, stride=stride) if inputs != outputs or stride > 1 else None
        nn.init.zeros_(self.second.norm.weight)  # so a block begins as what comes in: Goyal et al. 2017

    def forward(self, pixels: Tensor) -> Tensor:
        around = pixels if self.around is None else self.around(pixels)
        return functional.relu(self.second(functional.relu(self.first(pixels))) + around)

    def to_onnx(self, graph: Graph, pixels: str) -> str:
        around = pixels if self.around is None else self.around.to_onnx(graph, pixels)
        inner = self.second.to_onnx(graph, graph.op("Relu", self.first.to_onnx(graph, pixels)))
        return graph.op("Relu", graph.op("Add", inner, around))


class Network(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.eye = Convolution(3, shape.widths[0])
        pairs = list(pairwise([shape.widths[0], *shape.widths]))
        self.blocks = nn.Sequential(*(
            Block(outputs if at else inputs, outputs, stride=2 if group and not at else 1)
            for group, (inputs, outputs) in enumerate(pairs) for at in range(shape.blocks)))
        self.head = nn.Linear(shape.widths[-1], shape.n_labels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of normalised pixels [n, 3, side, side]."""
        return self.head(self.blocks(functional.relu(self.eye(pixels))).mean(dim=(2, 3)))

    def to_onnx(self) -> onnx.ModelProto:
        side = self.shape.pixels
        graph = Graph(f"wide residual network, {self.shape.blocks * 2 * len(self.shape.widths) + 2} layers")
        pixels = graph.input("pixel_values", TensorProto.FLOAT, ["batch", 3, side, side])
        hidden = graph.op("Relu", self.eye.to_onnx(graph, pixels))
        for block in self.blocks:
            hidden = block.to_onnx(graph, hidden)
        pooled = graph.op("Flatten", graph.op("GlobalAveragePool", hidden))
        return graph.finish(graph.linear(pooled, array(self.head.weight), array(self.head.bias), int8=False),
                            self.shape.n_labels)
