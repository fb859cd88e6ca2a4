"""Where a field is cut into tokens: what is peeled off its ends, and what separates inside. See `corpus.tokens`.

All of it looks at characters left … right - 1 of a field, character i being data[at[i]:at[i + 1]] with the bits classes[i].
"""

from corpus.kernels import helper
from corpus.token_characters import (
    AFTER_DIGIT,
    APOSTROPHE,
    BREAKS,
    CLOSES,
    COMMA,
    DASH,
    DIGIT,
    DOT,
    FOLLOWS,
    JOINER,
    LETTER,
    OPENS,
    OPERATOR,
    UPPER,
)
from corpus.token_lists import ABBREVIATION_KEYS, UNIT_KEYS, is_listed


@helper
def _dots(classes, left, right):
    """How many full stops stand from `left` on."""
    n = 0
    while left + n < right and classes[left + n] & DOT:
        n += 1
    return n


@helper
def opening(classes, left, right):
    """Characters of the token to peel off the start; 0 = none."""
    first = classes[left]
    if first & DOT and left + 1 < right and classes[left + 1] & DOT:
        return _dots(classes, left, right)
    if first & OPERATOR and first & AFTER_DIGIT and left + 1 < right and classes[left + 1] & DIGIT:
        return 0  # +7
    return 1 if first & (OPENS | BREAKS) else 0


@helper
def _contraction(data, at, classes, left, right):
    """Characters of the contraction (n't, 's, 'll …) at the end of the field; 0 = none."""
    n = right - left
    last = data[at[right - 1]] | 32
    if n >= 3 and classes[right - 2] & APOSTROPHE:
        if last == 116:  # t
            return 3 if n >= 4 and data[at[right - 3]] | 32 == 110 and classes[right - 4] & LETTER else 0
        if (last == 115 or last == 100 or last == 109) and classes[right - 3] & (LETTER | DIGIT):  # s d m
            return 2
    elif n >= 4 and classes[right - 3] & APOSTROPHE and classes[right - 4] & LETTER:
        before = data[at[right - 2]] | 32
        if (before == 108 and last == 108) or (last == 101 and (before == 118 or before == 114)):  # ll ve re
            return 3
    return 0


@helper
def closing(data, at, classes, left, right):
    """Characters of the token to peel off the end of characters left … right - 1; 0 = none."""
    last = classes[right - 1]
    if last & (CLOSES | BREAKS):
        return 1
    if right - left == 1:
        return 0
    before = classes[right - 2]
    if last & DOT:
        if before & DOT:
            n = 2
            while n < right - left and classes[right - n - 1] & DOT:
                n += 1
            return n
        if before & UPPER:
            return 1 if right - left > 2 and classes[right - 3] & UPPER else 0
        if before & LETTER and (right - left == 2 or classes[right - 3] & DOT):
            return 0
        peeled = before & (LETTER | DIGIT | FOLLOWS | CLOSES | BREAKS | AFTER_DIGIT | OPERATOR)
        return 1 if peeled and not is_listed(ABBREVIATION_KEYS, data, at[left], at[right]) else 0
    if last & AFTER_DIGIT:
        return 1 if before & DIGIT else 0
    if last & LETTER:
        if classes[left] & DIGIT:
            unit = right - 1
            while unit > left and classes[unit - 1] & LETTER:
                unit -= 1
            if classes[unit - 1] & DIGIT and is_listed(UNIT_KEYS, data, at[unit], at[right]):
                return right - unit
        return _contraction(data, at, classes, left, right)
    return 0


@helper
def is_address(data, at, classes, left, right):
    """Whether characters left … right - 1 look like a web or e-mail address: `://`, `www.`, `name@host`, `host.tld/`."""
    in_host = data[at[left]] != 47
    for i in range(left + 1, right - 2):
        byte = data[at[i]]
        in_host &= byte != 47
        if byte == 58 and data[at[i + 1]] == 47 and data[at[i + 2]] == 47:
            return True
        if byte == 64 and classes[i - 1] & (LETTER | DIGIT) and classes[i + 1] & (LETTER | DIGIT):
            return True
        if byte == 46 and i == left + 3 and data[at[left]] | 32 == 119 and data[at[i - 1]] | 32 == 119:
            return True
        if byte == 46 and in_host and classes[i - 1] & (LETTER | DIGIT):
            tld = i + 1
            while tld < right and classes[tld] & (LETTER | UPPER) == LETTER:
                tld += 1
            if tld - i > 2 and (tld == right or data[at[tld]] == 47 or data[at[tld]] == 63):
                return True
    return False


@helper
def separator(classes, i, left, right):
    """Characters of the token that begins at `i` inside left … right - 1 because it separates; 0 = none."""
    here = classes[i]
    if here & (LETTER | DIGIT):
        return 0
    if here & BREAKS:
        return 1
    if here & DOT and i + 1 < right and classes[i + 1] & DOT:
        return _dots(classes, i, right)
    if i == left or i + 1 == right:
        return 0
    before, after = classes[i - 1], classes[i + 1]
    if here & DASH and before & (LETTER | DIGIT):
        n = 1
        while i + n < right and classes[i + n] & DASH:
            n += 1
        if i + n < right and classes[i + n] & LETTER:
            return n
    if here & JOINER and before & (LETTER | DIGIT) and after & LETTER:
        return 1
    if here & COMMA and before & LETTER and after & LETTER:
        return 1
    if here & DOT and before & (LETTER | UPPER) == LETTER and after & UPPER:
        return 1
    if here & OPERATOR and before & DIGIT and (after & DIGIT or (after & OPERATOR and after & DASH)):
        return 1
    return 0
