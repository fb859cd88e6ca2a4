"""The shipped map of fields: every set that it knows, in the shape in which it is published. The items are ours."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dedup import evaluation_sets
from dedup.evaluation_map import Parts
from dedup.evaluation_sets import read_evaluation_sets

Row = dict[str, Any]

PUBLISHED: list[tuple[str, str, Row, Parts]] = [
    ("agieval", "agieval/lsat-lr.jsonl",
     {"passage": None, "question": "Who sails?", "options": ["(A)Ann", "(B)Bo"], "label": "A", "answer": None, "other": None},
     Parts(("Who sails?",), ("Ann", "Bo"), ())),
    ("agieval", "agieval/math.jsonl",
     {"passage": None, "question": "What is 2+2?", "options": None, "label": None, "answer": "4", "other": None},
     Parts(("What is 2+2?",), (), ())),
    ("agieval", "agieval_lsat_ar/test.jsonl",
     {"query": "Q: Who sails? Answer Choices: (A)Ann (B)Bo\nA: Among A through B, the answer is",
      "choices": ["(A)Ann", "(B)Bo"], "gold": [0]},
     Parts(("Who sails?",), ("Ann", "Bo"), ())),
    ("arc", "ai2_arc/ARC-Easy/test-00000-of-00001.jsonl",
     {"id": "M_1", "question": "What melts ice?", "choices": {"text": ["heat", "cold"], "label": ["A", "B"]}, "answerKey": "A"},
     Parts(("What melts ice?",), ("heat", "cold"), ())),
    ("arc", "ARC-Challenge-Test.jsonl",
     {"id": "M_1", "question": {"stem": "What melts ice?", "choices": [{"text": "heat", "label": "A"}]}, "answerKey": "A"},
     Parts(("What melts ice?",), ("heat",), ())),
    ("big_bench_hard", "bbh/navigate.json",
     {"canary": "do not train on this", "examples": [
         {"input": "Do you return to the start? Take 2 steps.\nOptions:\n- Yes\n- No", "target": "No"}]},
     Parts(("Do you return to the start? Take 2 steps.",), ("No",), ())),
    ("big_bench_hard", "big_bench_hard/date_understanding.jsonl",
     {"input": "It is noon. What comes next?\nOptions:\n(A) one\n(B) two", "target": "(A)"},
     Parts(("It is noon. What comes next?\n\none\ntwo",), (), ())),
    ("boolq", "super_glue/boolq/validation.jsonl",
     {"question": "is ice cold", "passage": "Ice is frozen water.", "idx": 0, "label": 1},
     Parts(("is ice cold",), (), ("Ice is frozen water.",))),
    ("boolq", "boolq.jsonl", {"question": "is ice cold", "answer": True, "passage": "Ice is frozen water."},
     Parts(("is ice cold",), (), ("Ice is frozen water.",))),
    ("cb", "CB/val.jsonl", {"premise": "She thinks it rains.", "hypothesis": "it rains", "label": "neutral", "idx": 1},
     Parts(("it rains",), (), ("She thinks it rains.",))),
    ("copa", "super_glue/copa/test.jsonl",
     {"premise": "The tap was open.", "choice1": "It dripped.", "choice2": "It rang.", "question": "effect", "label": 0},
     Parts(("The tap was open.",), ("It dripped.", "It rang."), ())),
    ("gpqa", "gpqa/gpqa_diamond.csv",
     {"Record ID": "rec1", "Question": "Which orbital?", "Correct Answer": "the first", "Incorrect Answer 1": "the second",
      "Incorrect Answer 2": "the third", "Incorrect Answer 3": "none", "Explanation": "It is lowest."},
     Parts(("Which orbital?",), ("the first", "the second", "the third", "none"), ())),
    ("gsm8k", "gsm8k/main/test.jsonl", {"question": "How many?", "answer": "2*3=<<2*3=6>>6\n#### 6"},
     Parts(("How many?",), ("2*3=6\n 6",), ())),
    ("hellaswag", "hellaswag/validation.jsonl",
     {"ind": 1, "activity_label": "Rowing", "ctx_a": "A man rows.", "ctx_b": "he", "ctx": "[header] A man rows. he",
      "endings": ["sings.", "swims."], "label": "0", "split": "val"},
     Parts(("A man rows. he",), ("sings.", "swims."), ())),
    ("humaneval", "openai_humaneval/test.jsonl",
     {"task_id": "HumanEval/0", "prompt": "def f():\n", "canonical_solution": "    return 1\n", "test": "", "entry_point": "f"},
     Parts(("def f():",), ("return 1",), ())),
    ("ifeval", "IFEval/ifeval_input_data.jsonl",
     {"key": 1000, "prompt": "Write two lines about rain.", "instruction_id_list": ["length"], "kwargs": [{}]},
     Parts(("Write two lines about rain.",), (), ())),
    ("lambada", "lambada_openai/test.jsonl", {"text": "She opened the door and saw the door"},
     Parts(("She opened the door and saw the door",), (), ())),
    ("lambada", "lambada.jsonl", {"context": "She opened the door and saw the", "continuation": "door"},
     Parts(("She opened the door and saw the\ndoor",), (), ())),
    ("math", "hendrycks_math/algebra/test.jsonl",
     {"problem": "Solve $x+1=2$.", "level": "Level 1", "type": "Algebra", "solution": "$x=\\boxed{1}$"},
     Parts(("Solve $x+1=2$.",), ("$x=\\boxed{1}$",), ())),
    ("math", "MATH-500/test.jsonl",
     {"problem": "Solve $x+1=2$.", "solution": "$x=1$", "answer": "1", "subject": "Algebra", "level": 1, "unique_id": "t/1"},
     Parts(("Solve $x+1=2$.",), ("$x=1$",), ())),
    ("math", "math/algebra/1.json", {"problem": "Solve $x+1=2$.", "level": "Level 1", "type": "Algebra", "solution": "$x=1$"},
     Parts(("Solve $x+1=2$.",), ("$x=1$",), ())),
    ("mbpp", "mbpp/sanitized-test.jsonl",
     {"source_file": "a.ipynb", "task_id": 2, "prompt": "Write a function.", "code": "def f(): pass", "test_list": []},
     Parts(("Write a function.",), ("def f(): pass",), ())),
    ("mmlu", "mmlu/anatomy/test.jsonl",
     {"question": "Which bone?", "subject": "anatomy", "choices": ["ulna", "skull"], "answer": 0},
     Parts(("Which bone?",), ("ulna", "skull"), ())),
    ("mmlu_pro", "MMLU-Pro/test.jsonl",
     {"question_id": 70, "question": "Which bone?", "options": ["ulna", "skull"], "answer": "A", "answer_index": 0,
      "cot_content": "", "category": "health", "src": "ori"},
     Parts(("Which bone?",), ("ulna", "skull"), ())),
    ("musr", "MuSR/murder_mysteries.csv",
     {"narrative": "Ann was seen.", "question": "Who did it?", "choices": "['Ann', 'Bo']", "answer_index": "0"},
     Parts(("Ann was seen.\nWho did it?",), ("Ann", "Bo"), ())),
    ("nq_open", "nq_open/validation.jsonl", {"question": "who sails", "answer": ["Ann", "Ann B."]},
     Parts(("who sails",), ("Ann", "Ann B."), ())),
    ("openbookqa", "openbookqa/main/test.jsonl",
     {"id": "7-1", "question_stem": "A fire is", "choices": {"text": ["hot", "cold"], "label": ["A", "B"]}, "answerKey": "A"},
     Parts(("A fire is",), ("hot", "cold"), ())),
    ("openbookqa", "OpenBookQA/Data/Main/openbookqa-test.jsonl",
     {"id": "7-1", "question": {"stem": "A fire is", "choices": [{"text": "hot", "label": "A"}]}, "answerKey": "A"},
     Parts(("A fire is",), ("hot",), ())),
    ("piqa", "piqa/valid.jsonl", {"goal": "To dry paper,", "sol1": "hang it", "sol2": "wet it", "label": 0},
     Parts(("To dry paper,",), ("hang it", "wet it"), ())),
    ("record", "super_glue/record/validation.jsonl",
     {"passage": "Ann rowed.\n@highlight\nIt rained.", "query": "Then @placeholder sang.", "entities": ["Ann"],
      "answers": ["Ann", "Bo"], "idx": {"passage": 0, "query": 0}},
     Parts(("Then @placeholder sang.", "Then Ann sang.", "Then Bo sang."), (), ("Ann rowed.\n\nIt rained.",))),
    ("record", "ReCoRD/val.jsonl",
     {"source": "Daily", "passage": {"text": "Ann rowed.", "entities": [{"start": 0, "end": 2}]},
      "qas": [{"query": "Then @placeholder sang.", "answers": [{"start": 0, "end": 2, "text": "Ann"}], "idx": 0}], "idx": 0},
     Parts(("Then @placeholder sang.", "Then Ann sang."), (), ("Ann rowed.",))),
    ("rte", "super_glue/rte/validation.jsonl", {"premise": "It rained all day.", "hypothesis": "It was wet.", "label": 0},
     Parts(("It was wet.",), (), ("It rained all day.",))),
    ("rte", "glue/rte/validation.jsonl", {"sentence1": "It rained all day.", "sentence2": "It was wet.", "label": 0, "idx": 0},
     Parts(("It was wet.",), (), ("It rained all day.",))),
    ("sciq", "sciq/test.jsonl",
     {"question": "What boils?", "distractor1": "ice", "distractor2": "rock", "distractor3": "sand", "correct_answer": "water",
      "support": "Water boils."},
     Parts(("What boils?",), ("water", "ice", "rock", "sand"), ("Water boils.",))),
    ("squad", "squad/validation.jsonl",
     {"id": "1", "title": "Ice", "context": "Ice is cold.", "question": "What is cold?",
      "answers": {"text": ["Ice", "Ice"], "answer_start": [0, 0]}},
     Parts(("What is cold?",), ("Ice",), ("Ice is cold.",))),
    ("truthfulqa", "truthful_qa/generation/validation.jsonl",
     {"type": "Adversarial", "question": "May I sail?", "best_answer": "Yes", "correct_answers": ["Yes", "You may"],
      "incorrect_answers": ["No"], "source": "https://a.example"},
     Parts(("May I sail?",), ("Yes", "You may", "No"), ())),
    ("truthfulqa", "truthful_qa/multiple_choice/validation.jsonl",
     {"question": "May I sail?", "mc1_targets": {"choices": ["Yes", "No"], "labels": [1, 0]},
      "mc2_targets": {"choices": ["Yes", "You may"], "labels": [1, 1]}},
     Parts(("May I sail?",), ("Yes", "No", "You may"), ())),
    ("web_questions", "web_questions/test.jsonl",
     {"url": "http://f.example/ann", "question": "what does ann do?", "answers": ["sail", "row"]},
     Parts(("what does ann do?",), ("sail", "row"), ())),
    ("wic", "super_glue/wic/test.jsonl",
     {"word": "bank", "sentence1": "The bank was wet.", "sentence2": "The bank was rich.", "start1": 4, "start2": 4, "end1": 8,
      "end2": 8, "idx": 0, "label": 0},
     Parts(("The bank was wet.\nThe bank was rich.",), (), ())),
    ("winograd_wsc", "winograd_wsc/wsc273/test.jsonl",
     {"text": "Ann met Bo because she called.", "pronoun": "she", "quote": "she called", "options": ["Ann", "Bo"]},
     Parts(("Ann met Bo because she called.",), ("Ann", "Bo"), ())),
    ("winogrande", "winogrande/winogrande_xl/validation.jsonl",
     {"sentence": "Ann met Bo because _ called.", "option1": "Ann", "option2": "Bo", "answer": "1"},
     Parts(("Ann met Bo because _ called.", "Ann met Bo because Ann called.", "Ann met Bo because Bo called."), (), ())),
    ("wsc", "super_glue/wsc/validation.jsonl",
     {"text": "Ann met Bo because she called.", "span1_index": 0, "span2_index": 4, "span1_text": "Ann", "span2_text": "she",
      "idx": 0, "label": 1},
     Parts(("Ann met Bo because she called.",), ("Ann",), ())),
    ("wsc", "WSC/val.jsonl",
     {"text": "Ann met Bo because she called.", "target": {"span1_text": "Ann", "span1_index": 0, "span2_text": "she"}, "idx": 0},
     Parts(("Ann met Bo because she called.",), ("Ann",), ())),
]  # fmt: skip


# What the authors' own files look like where these are not an object a line.
FILES: list[tuple[str, str, str, list[Parts]]] = [
    ("agieval", "AGIEval/data/v1_1/math.jsonl", '{"passage": null, "question": "What is 2+2?", "options": null, "answer": "4"}',
     [Parts(("What is 2+2?",), (), ())]),
    ("arc", "ARC-V1/ARC-Easy/ARC-Easy-Test.csv",
     "questionID,AnswerKey,question\nM_1,A,What melts ice? (A) heat (B) cold\n",
     [Parts(("What melts ice? (A) heat (B) cold",), ("A",), ())]),
    ("ifeval", "instruction_following_eval/data/input_data.jsonl", '{"key": 1, "prompt": "Write two lines.", "kwargs": []}',
     [Parts(("Write two lines.",), (), ())]),
    ("lambada", "lambada-dataset/lambada_test_plain_text.txt", "she opened the door\n\nand so `` he '' did\n",
     [Parts(("she opened the door",), (), ()), Parts(("and so `` he '' did",), (), ())]),
    ("math", "MATH/test/algebra/1.json", '{"problem": "Solve $x+1=2$.", "level": "Level 1", "solution": "$x=1$"}',
     [Parts(("Solve $x+1=2$.",), ("$x=1$",), ())]),
    ("mbpp", "sanitized-mbpp.json", '[{"task_id": 2, "prompt": "Write a function.", "code": "pass", "test_list": []}]',
     [Parts(("Write a function.",), ("pass",), ())]),
    ("mmlu", "mmlu/data/test/anatomy_test.csv", '"Which bone, if any?",ulna,skull,rib,"hip, left",B\nWhich nerve?,a,b,c,d,A\n',
     [Parts(("Which bone, if any?",), ("ulna", "skull", "rib", "hip, left"), ()),
      Parts(("Which nerve?",), ("a", "b", "c", "d"), ())]),
    ("mmlu", "mmlu/test.csv", "question,A,B,C,D,answer\nWhich nerve?,a,b,c,d,A\n",
     [Parts(("Which nerve?",), ("a", "b", "c", "d"), ())]),
    ("musr", "MuSR/datasets/object_placements.json",
     '[{"context": "Ann was seen.", "questions": [{"question": "Where?", "answer": 0, "choices": ["here", "there"]}, '
     '{"question": "When?", "answer": 0, "choices": ["now"]}]}]',
     [Parts(("Ann was seen.\nWhere?",), ("here", "there"), ()), Parts(("Ann was seen.\nWhen?",), ("now",), ())]),
    ("piqa", "physicaliqa-train-dev/dev.jsonl", '{"id": "a", "goal": "To dry paper,", "sol1": "hang it", "sol2": "wet it"}',
     [Parts(("To dry paper,",), ("hang it", "wet it"), ())]),
    ("quac", "quac/val_v0.2.json",
     '{"data": [{"title": "Ice", "background": "Water.", "section_title": "Cold", "paragraphs": [{"id": "p", "context": '
     '"Ice is cold. CANNOTANSWER", "qas": [{"id": "q", "question": "Why?", "answers": [{"text": "It froze", "answer_start": 0}], '
     '"orig_answer": {"text": "It froze"}, "followup": "n", "yesno": "x"}]}]}]}',
     [Parts(("Why?",), ("It froze",), ("Ice is cold. CANNOTANSWER",))]),
    ("record", "record/dev.json",
     '{"version": "1.0", "data": [{"id": "r", "source": "Daily", "passage": {"text": "Ann rowed.", "entities": []}, "qas": '
     '[{"id": "q", "query": "Then @placeholder sang.", "answers": [{"start": 0, "end": 2, "text": "Ann"}]}]}]}',
     [Parts(("Then @placeholder sang.", "Then Ann sang."), (), ("Ann rowed.",))]),
    ("rte", "glue_data/RTE/dev.tsv",
     'index\tsentence1\tsentence2\tlabel\n0\t"It rained," she said.\tIt was wet.\tentailment\n',
     [Parts(("It was wet.",), (), ('"It rained," she said.',))]),
    ("sciq", "SciQ dataset-2 3/test.json",
     '[{"question": "What boils?", "distractor3": "a", "distractor1": "b", "distractor2": "c", "correct_answer": "d", '
     '"support": ""}]',
     [Parts(("What boils?",), ("d", "b", "c", "a"), ())]),
    ("squad", "squad/dev-v2.0.json",
     '{"version": "v2.0", "data": [{"title": "Ice", "paragraphs": [{"context": "Ice is cold.", "qas": [{"question": '
     '"What is cold?", "id": "1", "answers": [{"text": "Ice", "answer_start": 0}], "is_impossible": false}, {"question": '
     '"What is warm?", "id": "2", "answers": [], "plausible_answers": [], "is_impossible": true}]}]}]}',
     [Parts(("What is cold?",), ("Ice",), ("Ice is cold.",)), Parts(("What is warm?",), (), ("Ice is cold.",))]),
    ("truthfulqa", "TruthfulQA/data/mc_task.json",
     '[{"question": "May I sail?", "mc1_targets": {"Yes": 1, "No": 0}, "mc2_targets": {"Yes": 1, "You may": 1}}]',
     [Parts(("May I sail?",), ("Yes", "No", "You may"), ())]),
    ("web_questions", "webquestions.examples.test.json",
     '[{"url": "http://f.example/ann", "targetValue": "(list (description \\"To sail\\") (description Row))", '
     '"utterance": "what does ann do?"}]',
     [Parts(("what does ann do?",), ('To sail"', "Row"), ())]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "content", "parts"), FILES, ids=[file for _, file, _, _ in FILES])
def test_a_file_as_its_authors_publish_it_is_read(
    tmp_path: Path, name: str, file: str, content: str, parts: list[Parts]
) -> None:
    path = tmp_path / "evals" / file
    path.parent.mkdir(parents=True)
    path.write_text(content)
    items = read_evaluation_sets([str(tmp_path / "evals")]).items
    assert [(item.set, Parts(*item[2:])) for item in items] == [(name, one) for one in parts]


@pytest.mark.parametrize(("name", "file", "row", "parts"), PUBLISHED, ids=[file for _, file, _, _ in PUBLISHED])
def test_a_published_item_is_read_by_the_name_of_its_file(
    tmp_path: Path, name: str, file: str, row: Row, parts: Parts
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        cells = [[str(value).replace('"', '""') for value in line] for line in (row, row.values())]
        path.write_text("".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in cells))
    else:
        path.write_text(json.dumps(row) + "\n")
    (item,) = read_evaluation_sets([str(path)]).items
    assert (item.set, Parts(*item[2:])) == (name, parts)


def test_every_set_of_the_shipped_map_has_an_item_in_its_published_shape() -> None:
    shipped = yaml.safe_load(Path(evaluation_sets.__file__).with_name("evaluation_fields.yaml").read_text())
    assert {name for name, *_ in [*PUBLISHED, *FILES]} == set(shipped["sets"])
