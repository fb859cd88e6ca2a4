"""Lists of the token scan: abbreviations that keep their full stop, and units that are tokens after their number.

Both follow spaCy's English tokenizer exceptions and suffixes (see NOTICES in LICENSE). A kernel looks them up by their bytes.
"""

import numpy as np
from numpy.typing import NDArray

from corpus.hashing import GOLDEN, load_bytes
from corpus.kernels import helper

_ABBREVIATIONS = """
    Adm. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Capt. Co. Col. Colo. Conn. Corp. Dec. Del. Dr. Feb. Fla. Ga. Gen. Gov. Inc.
    Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La. Lt. Ltd. Mar. Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt.
    Neb. Nev. Nov. Oct. Okla. Ore. Pa. Prof. Rep. Rev. Sen. Sep. Sept. Sgt. Sr. St. Tenn. Va. Wash. Wis. co. vs."""
_UNITS = "am pm km m cm mm ha nm yd in ft kg g mg t lb oz kmh mph hPa Pa mb MB kb KB gb GB tb TB T G M K"
ABBREVIATIONS, UNITS = _ABBREVIATIONS.split(), _UNITS.split()  # each of at most eight bytes

_SLOTS = 1024


def _key_table(strings: list[str]) -> NDArray[np.uint64]:
    """Open-addressing table of strings of up to eight ASCII bytes, as little-endian words; 0 = free."""
    table = np.zeros(_SLOTS, np.uint64)
    for string in strings:
        key = int.from_bytes(string.encode(), "little")
        slot = (key * int(GOLDEN) & (1 << 64) - 1) >> 54
        while table[slot]:
            slot = (slot + 1) % _SLOTS
        table[slot] = key
    return table


ABBREVIATION_KEYS = _key_table(ABBREVIATIONS)
UNIT_KEYS = _key_table(UNITS)


@helper
def is_listed(table, data, start, end):
    """Whether data[start:end] is one of the strings of the table."""
    if end - start > 8 or end <= start:
        return False
    key = load_bytes(data, start, end - start)
    slot = np.int64((key * GOLDEN) >> np.uint64(54))
    while table[slot] != 0:
        if table[slot] == key:
            return True
        slot = (slot + 1) % _SLOTS
    return False
