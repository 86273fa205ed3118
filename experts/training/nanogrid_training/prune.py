"""Cuts a small student out of a fine-tuned teacher: its first layers, and of them the heads and neurons it used most.

A student that starts from the parts of its teacher that matter keeps most of what the teacher knows at a fraction of
its size. How much a part matters is measured, not guessed: by the size of what it adds for the task's own texts.
"""

from __future__ import annotations

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from .encoder import HEAD_WIDTH, HIDDEN, Encoder, EncoderShape, Layer
from .learn import encode, pad

N_PROBES = 512  # texts that the parts are weighed on
PROBE_BATCH = 32


@torch.no_grad()
def cut(teacher: Encoder, teacher_tokenizer: Tokenizer, shape: EncoderShape, tokenizer: Tokenizer,
        texts: list[str], into: Encoder | None = None) -> Encoder:
    """A student of `shape` with the weights of `teacher`; the pieces of `tokenizer` must be among the teacher's."""
    heads, neurons = _weigh(teacher.eval(), teacher_tokenizer, texts[:N_PROBES])
    student = into or Encoder(shape)
    row_of = teacher_tokenizer.get_vocab()
    pieces = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])[: shape.pieces]
    words = teacher.words.weight[[row_of[piece] for piece, _ in pieces]]
    _copy_words(student, words, _use(student, tokenizer, texts))
    student.positions.weight.copy_(teacher.positions.weight[: shape.max_tokens])
    student.norm.load_state_dict(teacher.norm.state_dict())
    for i, layer in enumerate(student.layers):
        _narrow(teacher.layers[i], layer, heads[i].topk(shape.heads).indices.sort().values,
                neurons[i].topk(shape.inner).indices.sort().values)
    for part in student.parts():
        own, known = getattr(student, part), getattr(teacher, part)
        if own.weight.shape == known.weight.shape:
            own.load_state_dict(known.state_dict())
    return student


def cut_from_base(shape: EncoderShape, tokenizer: Tokenizer, texts: list[str]) -> Encoder:
    """A student of the base model as it is, for tasks with so many labels that a teacher of their own would add little."""
    base = Encoder(EncoderShape(layers=shape.layers, pieces=shape.pieces, max_tokens=shape.max_tokens,
                                n_labels=shape.n_labels, dropout=shape.dropout))
    base.load_base(tokenizer)
    return cut(base, tokenizer, shape, tokenizer, texts)


def _weigh(teacher: Encoder, tokenizer: Tokenizer, texts: list[str]) -> tuple[list[Tensor], list[Tensor]]:
    """For every layer, the mean size of what each head and each inner neuron adds to the hidden states."""
    heads = [torch.zeros(layer.heads) for layer in teacher.layers]
    neurons = [torch.zeros(layer.up.out_features) for layer in teacher.layers]
    hooks = []
    for i, layer in enumerate(teacher.layers):
        def mixed(_: nn.Module, inputs: tuple[Tensor, ...], at: int = i, out: nn.Linear = layer.out) -> None:
            by_head = inputs[0].flatten(0, 1).view(-1, heads[at].numel(), HEAD_WIDTH)
            columns = out.weight.view(HIDDEN, heads[at].numel(), HEAD_WIDTH)
            heads[at] += torch.einsum("nhw,chw->nhc", by_head, columns).norm(dim=2).mean(dim=0)

        def inner(_: nn.Module, inputs: tuple[Tensor, ...], at: int = i, down: nn.Linear = layer.down) -> None:
            neurons[at] += inputs[0].flatten(0, 1).abs().mean(dim=0) * down.weight.norm(dim=0)

        hooks += [layer.out.register_forward_pre_hook(mixed), layer.down.register_forward_pre_hook(inner)]
    encoded = encode(tokenizer, texts, teacher.shape.max_tokens)
    # One length a batch, or the padding would be weighed as well.
    order = np.argsort(encoded.lengths(), kind="stable")
    for start in range(0, len(order), PROBE_BATCH):
        teacher(*pad(encoded, order[start: start + PROBE_BATCH]))
    for hook in hooks:
        hook.remove()
    return heads, neurons


def _use(student: Encoder, tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """How often each piece occurs, and a little for those that do not."""
    counts = torch.ones(student.shape.pieces)
    for encoding in tokenizer.encode_batch_fast(texts):
        counts.index_add_(0, student.rows(torch.tensor(encoding.ids)), torch.ones(len(encoding.ids)))
    return counts


def _copy_words(student: Encoder, words: Tensor, counts: Tensor) -> None:
    if student.widen is None:
        student.words.weight.copy_(words)
        return
    # The best rows of that rank are those of a singular value decomposition; frequent pieces should lose the least.
    weights = counts.sqrt().unsqueeze(1)
    _, _, directions = torch.linalg.svd(words * weights, full_matrices=False)
    directions = directions[: student.shape.rank]
    student.words.weight.copy_(words @ directions.T)
    student.widen.weight.copy_(directions.T)


def _narrow(whole: Layer, narrow: Layer, heads: Tensor, neurons: Tensor) -> None:
    lanes = (heads.unsqueeze(1) * HEAD_WIDTH + torch.arange(HEAD_WIDTH)).flatten()
    width = whole.heads * HEAD_WIDTH
    rows = torch.cat([lanes, lanes + width, lanes + 2 * width])
    narrow.qkv.weight.copy_(whole.qkv.weight[rows])
    narrow.qkv.bias.copy_(whole.qkv.bias[rows])
    narrow.out.weight.copy_(whole.out.weight[:, lanes])
    narrow.out.bias.copy_(whole.out.bias)
    narrow.up.weight.copy_(whole.up.weight[neurons])
    narrow.up.bias.copy_(whole.up.bias[neurons])
    narrow.down.weight.copy_(whole.down.weight[:, neurons])
    narrow.down.bias.copy_(whole.down.bias)
    narrow.norm_attention.load_state_dict(whole.norm_attention.state_dict())
    narrow.norm_inner.load_state_dict(whole.norm_inner.state_dict())
