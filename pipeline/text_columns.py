"""Where a corpus that others made keeps its text: in one column, in several that belong together, or in messages.

A *form* names it, as `--text-column` does: `text`; `instruction,input,output`, joined by blank lines; `messages`, a list of
objects of which `content` (or `value`, or `text`) is read. Who says a message is not text. Columns that were joined pass
through beside the text, so nothing of the original is lost.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import ShardError

# The first of these whose columns are all there: plain text; chats (the names of OpenAI, ShareGPT, LMSYS); instructions
# (Alpaca, Dolly, Magpie); prompts (OpenAI's, UltraFeedback's pairs); questions (OpenOrca, MetaMath, GSM8K, NuminaMath).
FORMS = (
    "text",
    "content",
    "messages",
    "conversations",
    "conversation",
    "instruction,input,output",
    "instruction,output",
    "instruction,context,response",
    "instruction,response",
    "prompt,completion",
    "prompt,chosen,rejected",
    "prompt,response",
    "question,response",
    "query,response",
    "question,answer",
    "problem,solution",
)
_SPOKEN = ("content", "value", "text")  # fields of a message that may hold what it says
_BETWEEN, _NOTHING = pa.scalar("\n\n", pa.large_string()), pa.scalar("", pa.large_string())


def find_form(names: Sequence[str]) -> str | None:
    return next((form for form in FORMS if set(form.split(",")) <= set(names)), None)


def columns_of(form: str, names: Sequence[str]) -> list[str]:
    """The columns that a form names; a column may have a comma in its name."""
    return [form] if form in names else form.split(",")


def text_of(batch: pa.RecordBatch, form: str, path: str) -> pa.Array:
    """The text of each row, large_string. Raises ShardError if the form does not fit."""
    columns = []
    for name in columns_of(form, batch.schema.names):
        if name not in batch.schema.names:
            raise ShardError(
                f"{path}: no column {name!r}; its columns are {', '.join(batch.schema.names)}: set --text-column"
            )
        columns.append(_strings(batch.column(name), f"{path}: column {name!r}"))
    if len(columns) == 1:
        return columns[0]
    joined, *others = (pc.fill_null(column, "") for column in columns)
    for other in others:  # (Arrow's own way to skip nulls drops rows of nothing else)
        both = pc.and_(pc.not_equal(joined, ""), pc.not_equal(other, ""))
        joined = pc.binary_join_element_wise(joined, other, pc.if_else(both, _BETWEEN, _NOTHING))
    return joined


def _strings(column: pa.Array, where: str) -> pa.Array:
    """Text, lists of text and messages as one string a row."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        parts = pc.fill_null(_strings(column.flatten(), where), "")
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        joined = pc.binary_join(pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), parts), _BETWEEN)
        return pc.if_else(pc.is_null(column), None, joined)
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        spoken = next((name for name in _SPOKEN if name in names), None)
        if spoken is None:
            raise ShardError(f"{where}: its objects have {', '.join(names)} but none of {', '.join(_SPOKEN)}")
        return _strings(pc.struct_field(column, spoken), where)
    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ShardError(f"{where} is {kind} and cannot become text; name another by --text-column") from None
