"""Main text by a learned model over the text blocks of a page. `shown.read_page` is where it begins.

tags.py            what each element is to the reader: block, skipped, raw, void; what it closes and what stops it
keywords.py        words in class, id and role that say what an element is for
entities.py        character references
markup.py          tag names, attributes, comments, raw text: where a piece of markup ends and what it says
inline_text.py     the text between tags, white space and references resolved
open_elements.py   the stack: what tags close, and the context that elements pass on
page.py            the one pass over the bytes: blocks and containers
text_features.py   what a block's text is made of
features.py        the matrix a model sees
encoding.py        the page as UTF-8
shown.py           the blocks of a page as it came

context.py         what the second pass sees of the first
trees.py           both passes' trees as arrays, all blocks of a page at once
model.py           the two passes, and which blocks are chosen
assembly.py        the text of the chosen blocks
gold.py, labels.py, fitting.py                 where the model is from: pages, labels, trees
scores.py, quality.py, validation.py, card.py  how good it is: MODEL_CARD.md
train.py           the command
"""
