"""Writes ONNX graphs node by node.

The graphs are small and fixed, and the packages live by details that a tracer hides: which tables stay int8 on
disk, where a cast sits so that ONNX Runtime does not fold a table back to fp32, and that no row's result depends on
its neighbours in the batch. So they are written by hand, next to the torch forward pass they must equal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
IR_VERSION = 10

# 7-bit weights: without VNNI, x86 adds pairs of products in 16 bits, which 8-bit weights can overflow. With 7 bits the
# sums are exact everywhere, so a laptop, a server and a board give the same scores. The tables that are only gathered
# and never multiplied as integers use all 8 bits.
WEIGHT_LIMIT = 63
TABLE_LIMIT = 127


class Graph:
    """An ONNX graph under construction; every method returns the name of the value it adds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, datatype: int, shape: list[str | int]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, datatype, shape))
        return name

    def constant(self, value: np.ndarray, hint: str = "constant") -> str:
        self._count += 1
        name = f"{hint}_{self._count}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def ints(self, *values: int) -> str:
        """A one-dimensional INT64 constant; equal ones are stored once."""
        name = "ints_" + "_".join(str(value).replace("-", "m") for value in values)
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32), "number")

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        return self.ops(kind, *inputs, n_outputs=1, **attributes)[0]

    def ops(self, kind: str, *inputs: str, n_outputs: int, **attributes: object) -> list[str]:
        self._count += 1
        outputs = [f"{kind}_{self._count}_{i}" if n_outputs > 1 else f"{kind}_{self._count}" for i in range(n_outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, name=f"{kind}_{self._count}", **attributes))
        return outputs

    def slice(self, value: str, start: int, end: int, axis: int) -> str:
        return self.op("Slice", value, self.ints(start), self.ints(end), self.ints(axis))

    def table(self, rows: np.ndarray, pick: Callable[[str], str], int8: bool) -> str:
        """Takes rows out of a table. Each keeps its own scale, for rare rows are far smaller than frequent ones.

        The picking comes first and the cast after it: the other way round the whole table would be a constant
        expression, and would be unfolded to four times its size when the model is loaded.
        """
        if not int8:
            return pick(self.constant(rows.astype(np.float32), "table"))
        scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) / TABLE_LIMIT
        quantised = np.rint(rows / scale).astype(np.int8)
        picked = self.op("Cast", pick(self.constant(quantised, "table")), to=TensorProto.FLOAT)
        return self.op("Mul", picked, pick(self.constant(scale.astype(np.float32), "scale")))

    def linear(self, rows: str, weight: np.ndarray, bias: np.ndarray, int8: bool) -> str:
        """rows [n, in] times weight [out, in], plus bias.

        In int8 every row of the activations gets its own scale at run time and every output its own weight scale. The
        usual dynamic quantisation takes one scale for the whole batch, which lets a request's scores depend on
        the padding and on the strangers it was batched with.
        """
        if not int8:
            return self.op("Gemm", rows, self.constant(weight.astype(np.float32), "weight"),
                           self.constant(bias.astype(np.float32), "bias"), transB=1)
        return self.times(rows, *self.weights(weight), bias)

    def weights(self, weight: np.ndarray) -> tuple[str, str]:
        """A weight [out, in] as int8, turned to [in, out], and the scale of each output."""
        scale = np.maximum(np.abs(weight).max(axis=1), 1e-12) / WEIGHT_LIMIT
        quantised = np.rint(weight / scale[:, None]).astype(np.int8)
        return self.constant(quantised.T, "weight"), self.constant(scale.astype(np.float32), "scale")

    def times(self, rows: str, weight: str, weight_scale: str, bias: np.ndarray) -> str:
        """rows [n, in] times what `weights` gave, plus bias."""
        largest = self.op("ReduceMax", self.op("Abs", rows), self.ints(-1), keepdims=0)
        row_scale = self.op("Mul", self.op("Max", largest, self.number(1e-8)), self.number(1.0 / 127))
        zero = self.constant(np.array(128, np.uint8), "zero")  # unsigned x signed is what x86 has fast kernels for
        zeros = self.op("Expand", zero, self.op("Shape", row_scale))
        row_uint8 = self.op("QuantizeLinear", rows, row_scale, zeros, axis=0)
        product = self.op("MatMulInteger", row_uint8, weight, zero)
        scaled = self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT),
                         self.op("Unsqueeze", row_scale, self.ints(-1)))
        scaled = self.op("Mul", scaled, weight_scale)
        return self.op("Add", scaled, self.constant(bias.astype(np.float32), "bias"))

    def finish(self, value: str, n_labels: int) -> onnx.ModelProto:
        """Names `value` as the output `logits` and returns the checked model."""
        return self.finish_with({"logits": (value, ["batch", n_labels])})

    def finish_with(self, outputs: dict[str, tuple[str, list[str | int]]]) -> onnx.ModelProto:
        """The same for several outputs: by name, the value and its shape."""
        given = []
        for name, (value, shape) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
            given.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        graph = helper.make_graph(self._nodes, self.name, self._inputs, given, list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="nanogrid-training")
        onnx.checker.check_model(model)
        return model


def text_inputs(graph: Graph) -> tuple[str, str]:
    shape: list[str | int] = ["batch", "tokens"]
    return (graph.input("input_ids", TensorProto.INT64, shape),
            graph.input("attention_mask", TensorProto.INT64, shape))
