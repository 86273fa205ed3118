"""From data to a package: `python -m nanogrid_training STEP EXPERT --data DIR`.

    train      trains the model, or goes on where it was stopped; of an expert with a teacher, the teacher
    distil     trains the small model on what the teacher says, or goes on with that
    export     writes the fp32 graph
    quantise   writes the int8 graph, the tokenizer and the labels
    evaluate   calibrates, measures on dev, records golden cases, writes version.toml, publishes the folder
    curve      trains and measures the other sizes of the expert, and draws them beside the shipped one
    card       writes the README.md
    all        all of these
    cost       measures the CPU time of the published versions anew (then: card)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from . import recipe, settings, steps
from .device import keep_memory
from .images import steps as image_steps
from .spans import steps as span_steps
from .translation import steps as translation_steps

ALL = ("train", "distil", "export", "quantise", "evaluate", "curve", "card")
ALONE = ("cost",)
NAMES = {"distil": "distilled", "card": "write_card"}
OF = {"token-classification": span_steps, "text-to-text": translation_steps, "image-classification": image_steps}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nanogrid_training", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=[*ALL, *ALONE, "all"])
    parser.add_argument("expert", choices=settings.names())
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=settings.TRAINING_ROOT / "runs", help="checkpoints go here")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training step")
    args = parser.parse_args()

    keep_memory()
    torch.set_num_threads(args.threads)
    plan = recipe.load(settings.load(args.expert, args.runs), args.data)
    if args.step in ALONE and plan.settings.task in settings.OWN_LOOP:
        parser.error(f"{args.step}: of an expert for {plan.settings.task}, `evaluate` measures it")
    for step in ALL if args.step == "all" else [args.step]:
        of = OF.get(plan.settings.task, steps)
        # A step that a kind of expert does not have is skipped: who has no teacher has nobody to learn from.
        if act := getattr(of if step in ALL else steps, NAMES.get(step, step), None):
            act(plan)


if __name__ == "__main__":
    main()
