"""Check the text made for the demonstration model against prompts that must not be in it; needs Python alone.

    python check_corpus.py [--prompts FILE ...]

Prompts are those of held-out-prompts.txt and of each FILE, one a line.
"""

import argparse
import sys
from pathlib import Path

from demo_model.corpus import HELD_OUT_PROMPTS_FILE, own_documents
from demo_model.held_out_prompts import HeldOutPrompts, read_prompts
from demo_model.written_text import CorpusError

SEED = 1
"""The shipped model's."""


def main() -> int:
    """Check, and say in one line what was found; the exit status is 1 where a prompt is in the text."""
    parser = argparse.ArgumentParser(description="Check the demonstration model's text for held-out prompts.")
    parser.add_argument("--prompts", type=Path, nargs="*", default=[], help="more lists of prompts, one a line")
    files = [HELD_OUT_PROMPTS_FILE, *parser.parse_args().prompts]
    prompts = HeldOutPrompts(prompt for file in files for prompt in read_prompts(file))
    try:
        count = prompts.check(own_documents(SEED))
    except CorpusError as error:
        print(f"check_corpus.py: {error}", file=sys.stderr)
        return 1
    print(f"{count} documents hold none of {len(prompts.prompts)} prompts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
