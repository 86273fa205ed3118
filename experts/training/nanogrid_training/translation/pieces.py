"""Word pieces for two languages: byte-pair encoding (Sennrich et al. 2016) over the text as it is written."""

from __future__ import annotations

import json

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from ..normaliser import straight_quotes, visible
from .model import END, SPECIAL, UNKNOWN

LETTERS = 220  # different characters that have a piece of their own; the rest is unknown


def learnt(texts: list[str], n_pieces: int) -> Tokenizer:
    """What is read is normalised; what is written keeps the quotes of its language: see `written`."""
    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence(visible())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=n_pieces, special_tokens=list(SPECIAL), limit_alphabet=LETTERS,
                                  show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.normalizer = normalizers.Sequence([*visible(), *straight_quotes()])
    spec = json.loads(tokenizer.to_str())
    # No added tokens: with them, a text that spells out `</s>` would end itself.
    spec["added_tokens"] = []
    spec["post_processor"] = json.loads(processors.TemplateProcessing(
        single=f"$A {SPECIAL[END]}", special_tokens=[(SPECIAL[END], END)]).__getstate__())
    return Tokenizer.from_str(json.dumps(spec))


def written(tokenizer: Tokenizer) -> Tokenizer:
    """The same pieces for the language that is written: a text is compatibility-folded, and otherwise left as it is."""
    spec = json.loads(tokenizer.to_str())
    other = Tokenizer.from_str(json.dumps(spec))
    other.normalizer = normalizers.Sequence(visible())
    return other


def loosened(tokenizer: Tokenizer, dropout: float) -> Tokenizer:
    """The same pieces, merged less: BPE-dropout (Provilkov et al. 2020), which makes a model read misspelt words."""
    spec = json.loads(tokenizer.to_str())
    spec["model"]["dropout"] = dropout
    return Tokenizer.from_str(json.dumps(spec))
