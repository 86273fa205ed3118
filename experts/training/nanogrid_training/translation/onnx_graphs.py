"""The two graphs of a package, with the names of Hugging Face's exports.

The encoder gives the keys and values that the decoder's attention to the source needs, so the decoder is one graph, for
the first step as for the others: its past is empty at first.
"""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn

from ..encoder import array
from ..graph import Graph, text_inputs
from .model import END, HEAD_WIDTH, SPECIAL, Attention, Inner, Translator

NEVER = -1e9


def _norm(graph: Graph, value: str, module: nn.LayerNorm) -> str:
    return graph.op("LayerNormalization", value, graph.constant(array(module.weight), "norm"),
                    graph.constant(array(module.bias), "norm"), axis=-1, epsilon=module.eps)


def _linear(graph: Graph, rows: str, module: nn.Linear, int8: bool) -> str:
    return graph.linear(rows, array(module.weight), array(module.bias), int8)


def _inner(graph: Graph, hidden: str, norm: nn.LayerNorm, module: Inner, int8: bool) -> str:
    up = graph.op("Relu", _linear(graph, _norm(graph, hidden, norm), module.up, int8))
    return graph.op("Add", hidden, _linear(graph, up, module.down, int8))


def _by_head(graph: Graph, rows: str, sizes: str) -> str:
    """[n * tokens, width] to [n, heads, tokens, width of a head]."""
    return graph.op("Transpose", graph.op("Reshape", rows, sizes), perm=[0, 2, 1, 3])


def _keys_values(graph: Graph, rows: str, module: Attention, sizes: str, int8: bool) -> list[str]:
    parts = graph.ops("Split", _linear(graph, rows, module.key_value, int8), n_outputs=2, axis=1, num_outputs=2)
    return [_by_head(graph, part, sizes) for part in parts]


def _attend(graph: Graph, normed: str, module: Attention, key: str, value: str, hide: str | None, sizes: str,
            int8: bool) -> str:
    query = _by_head(graph, _linear(graph, normed, module.query, int8), sizes)
    query = graph.op("Mul", query, graph.number(1 / math.sqrt(HEAD_WIDTH)))
    scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 1, 3, 2]))
    scores = scores if hide is None else graph.op("Add", scores, hide)
    mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
    mixed = graph.op("Reshape", graph.op("Transpose", mixed, perm=[0, 2, 1, 3]),
                     graph.ints(-1, module.heads * HEAD_WIDTH))
    return _linear(graph, mixed, module.out, int8)


def _hidden_places(graph: Graph, mask: str) -> str:
    real = graph.op("Cast", mask, to=TensorProto.FLOAT)
    return graph.op("Unsqueeze", graph.op("Mul", graph.op("Sub", graph.number(1.0), real), graph.number(NEVER)),
                    graph.ints(1, 2))


def encoder(model: Translator, int8: bool) -> onnx.ModelProto:
    shape = model.shape
    graph = Graph("encoder")
    ids, mask = text_inputs(graph)
    tokens = graph.op("Shape", ids, start=1, end=2)
    sizes = graph.op("Concat", graph.op("Shape", ids), graph.ints(shape.heads, HEAD_WIDTH), axis=0)
    hide = _hidden_places(graph, mask)
    words = graph.table(array(model.words.weight) * math.sqrt(shape.width), lambda table: graph.op("Gather", table, ids), int8)
    positions = graph.table(array(model.positions), lambda table: graph.op(
        "Slice", table, graph.ints(0), tokens, graph.ints(0)), int8)
    hidden = graph.op("Reshape", graph.op("Add", words, positions), graph.ints(-1, shape.width))
    for layer in model.encoder:
        normed = _norm(graph, hidden, layer.norm_attention)
        key, value = _keys_values(graph, normed, layer.attention, sizes, int8)
        hidden = graph.op("Add", hidden, _attend(graph, normed, layer.attention, key, value, hide, sizes, int8))
        hidden = _inner(graph, hidden, layer.norm_inner, layer.inner, int8)
    hidden = _norm(graph, hidden, model.encoder_norm)
    outputs: dict[str, tuple[str, list[str | int]]] = {}
    for i, layer in enumerate(model.decoder):
        for name, value in zip(("key", "value"), _keys_values(graph, hidden, layer.source, sizes, int8), strict=True):
            outputs[f"present.{i}.encoder.{name}"] = value, ["batch", shape.heads, "tokens", HEAD_WIDTH]
    return graph.finish_with(outputs)


def decoder(model: Translator, int8: bool) -> onnx.ModelProto:
    """One more piece. Padding, the start and the unknown piece have logits that are never the best."""
    shape = model.shape
    graph = Graph("decoder")
    ids = graph.input("input_ids", TensorProto.INT64, ["batch", 1])
    mask = graph.input("encoder_attention_mask", TensorProto.INT64, ["batch", "source_tokens"])

    def past(layer: int, side: str, tokens: str) -> list[str]:
        return [graph.input(f"past_key_values.{layer}.{side}.{name}", TensorProto.FLOAT,
                            ["batch", shape.heads, tokens, HEAD_WIDTH]) for name in ("key", "value")]

    pasts = [(past(i, "decoder", "past_tokens"), past(i, "encoder", "source_tokens"))
             for i in range(shape.decoder_layers)]
    hide = _hidden_places(graph, mask)
    sizes = graph.ints(-1, 1, shape.heads, HEAD_WIDTH)
    place = graph.op("Shape", pasts[0][0][0], start=2, end=3)
    position = graph.table(array(model.positions), lambda table: graph.op("Gather", table, place), int8)
    by_row = graph.ints(-1, shape.width)
    table = array(model.words.weight)
    # The pieces that are read and those that are written are the same: one table serves as both.
    weight, scale = graph.weights(table) if int8 else (graph.constant(table.T, "weight"), "")
    words = graph.op("Reshape", graph.op("Transpose", graph.op("Gather", weight, ids, axis=1), perm=[1, 2, 0]), by_row)
    if int8:
        words = graph.op("Mul", graph.op("Cast", words, to=TensorProto.FLOAT), graph.op("Gather", scale, ids))
    hidden = graph.op("Add", graph.op("Mul", words, graph.number(math.sqrt(shape.width))), position)
    outputs: dict[str, tuple[str, list[str | int]]] = {}
    for i, layer in enumerate(model.decoder):
        own, source = pasts[i]
        normed = _norm(graph, hidden, layer.norm_attention)
        present = [graph.op("Concat", before, new, axis=2)
                   for before, new in zip(own, _keys_values(graph, normed, layer.attention, sizes, int8), strict=True)]
        hidden = graph.op("Add", hidden, _attend(graph, normed, layer.attention, *present, None, sizes, int8))
        normed = _norm(graph, hidden, layer.norm_source)
        hidden = graph.op("Add", hidden, _attend(graph, normed, layer.source, *source, hide, sizes, int8))
        hidden = _inner(graph, hidden, layer.norm_inner, layer.inner, int8)
        for name, value in zip(("key", "value"), present, strict=True):
            outputs[f"present.{i}.decoder.{name}"] = value, ["batch", shape.heads, "tokens", HEAD_WIDTH]
    hidden = _norm(graph, hidden, model.decoder_norm)
    bias = array(model.bias).copy()
    bias[[i for i in range(len(SPECIAL)) if i != END]] = NEVER
    if int8:
        logits = graph.times(hidden, weight, scale, bias)
    else:
        logits = graph.op("Add", graph.op("MatMul", hidden, weight), graph.constant(bias, "bias"))
    logits = graph.op("Reshape", logits, graph.ints(-1, 1, shape.pieces))
    return graph.finish_with({"logits": (logits, ["batch", 1, shape.pieces]), **outputs})
