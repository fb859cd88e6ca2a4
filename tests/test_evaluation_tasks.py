"""Tasks of lm-evaluation-harness: their YAML says where an item's text is, and their prompts are no part of it."""

import json
from pathlib import Path

import pytest

from corpus.errors import ConfigError, InputError
from dedup.evaluation_map import Parts
from dedup.evaluation_sets import EvaluationSets, read_evaluation_sets

ARC = """
task: arc_easy
dataset_path: allenai/ai2_arc
dataset_name: ARC-Easy
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{choices.label.index(answerKey)}}"
doc_to_choice: "{{choices.text}}"
metric_list:
  - metric: acc
    aggregation: !function metrics.mean
"""
ARC_ROW = {"question": "What melts ice?", "choices": {"text": ["heat", "cold"], "label": ["A", "B"]}, "answerKey": "A"}


def folder(tmp_path: Path, **files: object) -> Path:
    """A folder with these files; a list of rows is written as JSON lines."""
    for name, content in files.items():
        stem, _, end = name.rpartition("_")
        text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)  # type: ignore[attr-defined]
        (tmp_path / f"{stem}.{end}").write_text(text)
    return tmp_path


def read(path: Path) -> EvaluationSets:
    return read_evaluation_sets([str(path)])


def parts(template: str, row: dict[str, object], tmp_path: Path) -> Parts:
    data = folder(tmp_path, mine_yaml=f"task: mine\n{template}", mine_jsonl=[row])
    (item,) = read(data / "mine.yaml").items
    return Parts(*item[2:])


@pytest.mark.parametrize("named", [".", "arc_easy.yaml"])
def test_a_task_reads_the_data_beside_it_and_leaves_its_prompt_out(tmp_path: Path, named: str) -> None:
    sets = read(folder(tmp_path, arc_easy_yaml=ARC, test_jsonl=[ARC_ROW]) / named)
    (item,) = sets.items
    assert item == ("arc_easy", "test.jsonl:1", ("What melts ice?",), ("heat", "cold"), ())
    assert list(sets.identity) == ["arc_easy/test.jsonl"]


def test_included_files_come_below_a_tasks_own_settings_and_tasks_find_their_own_files(tmp_path: Path) -> None:
    challenge = "include: arc_easy.yaml\ntask: arc_challenge\ndataset_name: ARC-Challenge\n"
    hard = {**ARC_ROW, "question": "Why does salt melt ice?"}
    data = folder(tmp_path, arc_easy_yaml=ARC, arc_easy_jsonl=[ARC_ROW], arc_challenge_yaml=challenge)
    (data / "ARC-Challenge-test.jsonl").write_text(json.dumps(hard) + "\n")
    assert [(item.set, item.question) for item in read(data).items] == [
        ("arc_challenge", ("Why does salt melt ice?",)),
        ("arc_easy", ("What melts ice?",)),
    ]


def test_a_file_of_common_settings_and_a_group_are_no_tasks(tmp_path: Path) -> None:
    base = "doc_to_text: '{{q}}'\ndoc_to_target: a\n"
    data = folder(
        tmp_path, base_yaml=base, one_yaml="include: base.yaml\ntask: one\n", all_yaml="task: [one]\ngroup: all\n"
    )
    folder(data, one_jsonl=[{"q": "Where?", "a": "Here."}])
    assert [item[2:] for item in read(data).items] == [(("Where?",), ("Here.",), ())]


@pytest.mark.parametrize(
    ("template", "row", "expected"),
    [
        ("doc_to_text: q\ndoc_to_target: a", {"q": "Where?", "a": ["Here.", "There."]},
         Parts(("Where?",), ("Here.", "There."), ())),
        ('doc_to_text: "{{passage}}\\nQuestion: {{question}}?\\nAnswer:"\ndoc_to_target: label\ndoc_to_choice: ["no", "yes"]',
         {"passage": "Ice is water.", "question": "is ice cold", "label": 1},
         Parts(("is ice cold",), ("no", "yes"), ("Ice is water.",))),
        ('doc_to_text: "{{question.strip()}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nAnswer:"\ndoc_to_choice: ["A", "B"]',
         {"question": " Which bone? ", "choices": ["ulna", "skull"]},
         Parts(("Which bone?\nulna\nskull",), ("A", "B"), ())),
        ('doc_to_text: "{{support.lstrip()}}\\nQuestion: {{question}}\\nAnswer:"\ndoc_to_target: 1\n'
         'doc_to_choice: "{{[distractor1, correct_answer]}}"',
         {"support": " Water boils.", "question": "What boils?", "distractor1": "ice", "correct_answer": "water"},
         Parts(("What boils?",), ("ice", "water"), ("Water boils.",))),
        ("doc_to_text: \"{{'Q: ' + q + ' A:'}}\"\ndoc_to_target: \"{{' ' ~ a ~ ' is right'}}\"", {"q": "Where?", "a": "Here"},
         Parts(("Where?",), ("Here",), ())),
        ("doc_to_text: '{% for turn in turns %}User: {{turn}}\n\n{% endfor %}'\ndoc_to_target: '{{answers}}'",
         {"turns": ["One.", "Two."], "answers": ["a", "b"]},
         Parts(("One.\n Two.",), ("a", "b"), ())),
        ("doc_to_text: context\ndoc_to_choice: {a: first, b: second}", {"context": "Long ago."},
         Parts((), ("first", "second"), ("Long ago.",))),
        ("doc_to_text: \"{{text | regex_replace('<.>', '')}}\"", {"text": "It <b>rained."}, Parts(("It rained.",), (), ())),
    ],
    ids=["columns", "boolq", "mmlu", "sciq", "sums", "loop", "passage only", "filter"],
)  # fmt: skip
def test_what_a_template_takes_from_an_item_is_its_text(
    tmp_path: Path, template: str, row: dict[str, object], expected: Parts
) -> None:
    assert parts(template, row, tmp_path) == expected


@pytest.mark.parametrize("place", ["dataset_kwargs: {data_files: {test: far/x.jsonl, train: far/y.jsonl}}\ntest_split: test",
                                   "dataset_kwargs: {data_files: far/x.jsonl}", "dataset_path: far/x.jsonl"])  # fmt: skip
def test_data_named_in_the_task_lie_relative_to_it(tmp_path: Path, place: str) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "x.jsonl").write_text('{"q": "Where?"}\n')
    folder(tmp_path, one_yaml=f"task: one\ndoc_to_text: '{{{{q}}}}'\n{place}\n")
    assert [item[:3] for item in read(tmp_path / "one.yaml").items] == [("one", "x.jsonl:1", ("Where?",))]


def test_the_digest_follows_the_templates(tmp_path: Path) -> None:
    data = folder(tmp_path, arc_easy_yaml=ARC, test_jsonl=[ARC_ROW])
    before = read(data).identity
    folder(tmp_path, arc_easy_yaml=ARC + "fewshot_split: train\n")
    assert read(data).identity == before
    folder(tmp_path, arc_easy_yaml=ARC.replace("{{question}}", "{{question}} {{answerKey}}"))
    assert read(data).identity != before


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        ("doc_to_text: !function utils.text", ConfigError, "doc_to_text is the Python function utils.text, which is not run"),
        ("doc_to_text: q\ndoc_to_choice: !function utils.choices", ConfigError, "doc_to_choice is the Python function"),
        ("doc_to_text: '{{q'", ConfigError, "doc_to_text: not a Jinja template"),
        ("doc_to_text: 5", ConfigError, "doc_to_text: 5 should be a column or a template"),
        ("doc_to_text: label", InputError, "mine.jsonl:1: doc_to_text: column 'label' is no text"),
        ("doc_to_text: '{{query}}'\nprocess_docs: !function utils.process", InputError,
         "mine.jsonl:1: 'query' is undefined in the templates of .*; the item has q, label; .* changes items by utils.process"),
        ("doc_to_text: '{{q.__class__.__mro__}}'", InputError, "mine.jsonl:1: access to attribute '__class__' .* is unsafe"),
        ("doc_to_text: '{{label[3]}}'", InputError, "mine.jsonl:1: .* has no element 3"),
        ("doc_to_text: nothing here\n", InputError, "mine.jsonl: doc_to_text of .*mine.yaml is empty in every item"),
        ("dataset_path: x/y", ConfigError, "no task of lm-evaluation-harness, which has `task` and `doc_to_text`"),
        ("doc_to_text: q\ninclude: mine.yaml", ConfigError, "mine.yaml: includes itself"),
        ("doc_to_text: q\ninclude: other.yaml", InputError, "other.yaml: no such file"),
        ("doc_to_text: [", ConfigError, "mine.yaml: not YAML"),
    ],
)  # fmt: skip
def test_a_task_that_cannot_be_read_is_one_line_that_says_why(
    tmp_path: Path, task: str, error: type[Exception], message: str
) -> None:
    data = folder(tmp_path, mine_yaml=f"task: mine\n{task}\n", mine_jsonl=[{"q": "Where?", "label": 1}])
    with pytest.raises(error, match=message) as caught:
        read(data)
    assert "\n" not in str(caught.value)


def test_a_task_without_data_is_an_error_that_names_the_file_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"nothing is downloaded; put the items of allenai/ai2_arc there as arc_easy\.jsonl"
    ):
        read(folder(tmp_path, arc_easy_yaml=ARC))


def test_two_tasks_cannot_claim_one_file(tmp_path: Path) -> None:
    other = "task: other\ntest_split: test\ndoc_to_text: question\n"
    with pytest.raises(ConfigError, match=r"test\.jsonl: belongs to the tasks of .*arc_easy\.yaml and .*other\.yaml"):
        read(folder(tmp_path, arc_easy_yaml=ARC, other_yaml=other, test_jsonl=[ARC_ROW]))


def test_a_mapping_under_which_all_items_are_the_same_is_an_error(tmp_path: Path) -> None:
    rows = [{"subject": "anatomy", "q": "Which bone?"}, {"subject": "anatomy", "q": "Which nerve?"}]
    with pytest.raises(InputError, match=r"doc_to_text of .* is the same in all 2 items"):
        read(folder(tmp_path, mine_yaml="task: mine\ndoc_to_text: subject\n", mine_jsonl=rows))
