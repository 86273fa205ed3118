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

from . import recipe, settings, steps
from .spans import steps as span_steps

STEPS = {
    "train": lambda of, plan, n_threads: of.train(plan, n_threads),
    "distil": lambda of, plan, n_threads: of.distilled(plan, n_threads),
    "export": lambda of, plan, _: of.export(plan),
    "quantise": lambda of, plan, _: of.quantise(plan),
    "evaluate": lambda of, plan, _: of.evaluate(plan),
    "curve": lambda of, plan, n_threads: of.curve(plan, n_threads),
    "card": lambda of, plan, _: of.write_card(plan),
}
ALONE = {"cost": lambda _, plan, __: steps.cost(plan)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nanogrid_training", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=[*STEPS, *ALONE, "all"])
    parser.add_argument("expert", choices=settings.names())
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=settings.TRAINING_ROOT / "runs", help="checkpoints go here")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training step")
    args = parser.parse_args()

    plan = recipe.load(settings.load(args.expert, args.runs), args.data)
    for step in STEPS if args.step == "all" else [args.step]:
        of = span_steps if plan.settings.finds_spans else steps
        (STEPS | ALONE)[step](of, plan, args.threads)


if __name__ == "__main__":
    main()
