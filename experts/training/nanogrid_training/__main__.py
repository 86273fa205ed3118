"""From data to a package: `python -m nanogrid_training STEP EXPERT --data DIR`.

    train      trains the model, or goes on where it was stopped
    export     writes the fp32 graph
    quantise   writes the int8 graph, the tokenizer and the labels
    evaluate   calibrates, measures on dev, records golden cases, writes version.toml, publishes the folder
    card       writes the README.md
    all        all of these
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import recipe, settings, steps


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m nanogrid_training", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["train", "export", "quantise", "evaluate", "card", "all"])
    parser.add_argument("expert", choices=settings.NAMES)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--runs", type=Path, default=settings.TRAINING_ROOT / "runs", help="checkpoints go here")
    parser.add_argument("--threads", type=int, default=2, help="threads of the training step")
    args = parser.parse_args()

    plan = recipe.load(settings.load(args.expert, args.runs), args.data)
    actions = {
        "train": lambda: steps.train(plan, args.threads),
        "export": lambda: steps.export(plan),
        "quantise": lambda: steps.quantise(plan),
        "evaluate": lambda: steps.evaluate(plan),
        "card": lambda: steps.write_card(plan),
    }
    for action in actions.values() if args.step == "all" else [actions[args.step]]:
        action()


if __name__ == "__main__":
    main()
