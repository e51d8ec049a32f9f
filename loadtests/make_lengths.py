"""Write scout_loadtest/workload/lengths.jsonl: `python loadtests/make_lengths.py`.

Lengths of prompts and answers as people at a chat page have them: most are short and some are very long, which a
log-normal distribution is near to. The medians are 60 tokens asked and 48 answered, small enough for a model on a CPU;
the longest tenth goes from about 200 to 1,200 asked and from about 115 to 400 answered. Nobody's data is in it.
"""

import json
import math
from pathlib import Path
from random import Random

TARGET = Path(__file__).parent / "scout_loadtest/workload/lengths.jsonl"
ROWS = 200


def drawn(random: Random, *, median: int, sigma: float, least: int, most: int) -> int:
    """Return one length."""
    return min(most, max(least, round(random.lognormvariate(math.log(median), sigma))))


def main() -> None:
    """Write the file."""
    random = Random(5)
    lines = [f"# Made by {Path(__file__).name}, which says how."]
    for _ in range(ROWS):
        row = {
            "input_tokens": drawn(random, median=60, sigma=1.0, least=8, most=1200),
            "output_tokens": drawn(random, median=48, sigma=0.7, least=8, most=400),
        }
        lines.append(json.dumps(row))
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
