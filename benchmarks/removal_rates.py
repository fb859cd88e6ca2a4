"""`python -m benchmarks.removal_rates DATA_FOLDER`: what each rule set removes of English texts under each view of a text.

No speeds. Every rule set sees the unedited texts. The README shows this table for the texts of ../shared/data.
"""

import sys
from pathlib import Path

from benchmarks.inputs import column, english_texts
from corpus.views import View
from filters import filter_texts

RULESETS = ("gopher_repetition", "gopher_quality", "refinedweb_lines", "c4", "fineweb")  # those with the option `view`


def removal_rates(texts: list[str]) -> dict[str, dict[str, float]]:
    """rule set → view → share of the texts that it rejects."""
    batch = column(texts)
    return {
        ruleset: {
            view.value: 1
            - filter_texts(batch, [ruleset], **{ruleset: {"view": view}})["reason"].null_count / len(texts)
            for view in View
        }
        for ruleset in RULESETS
    }


def markdown(rates: dict[str, dict[str, float]]) -> str:
    lines = [f"| rejected by | {' | '.join(f'`{view}`' for view in View)} |", "|---|" + "---:|" * len(View)]
    lines += [
        f"| {ruleset} | {' | '.join(f'{share:.1%}' for share in of_views.values())} |"
        for ruleset, of_views in rates.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(removal_rates(english_texts(Path(sys.argv[1])))))
