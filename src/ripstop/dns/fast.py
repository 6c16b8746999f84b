"""Answers that were made before, by the bytes of the question: what most questions get.

An answer is kept in the form in which it is sent: what replaces the header behind the id, and what follows the
question, which stays as asked.  It is found by the header behind the id and by the question in lower case (lengths of
labels are below the letters, so that lowering a name on the wire changes letters alone).  A name with several
addresses has several such answers, in different orders, of which each time one is drawn.
"""

from collections.abc import Iterable
from typing import Final

from ripstop.wire.dns import AD, CD, HEADER, MIN_SIZE, RD, opt_record

MAX_ENTRIES = 300_000  # about 100 MB; then all are made anew
OPT: Final = len(opt_record(0))  # bytes of an OPT record without options
_OPT_HEAD, _OPT_REST = opt_record(0)[:3], opt_record(0)[5:]  # around its size

Entry = tuple[bytes, tuple[bytes, ...]]  # header behind the id; one or more endings
Table = dict[bytes, Entry]  # by question


class Fast:
    """Questions and their answers, in `tables` by header behind the id."""

    def __init__(self) -> None:
        self.tables: Final[dict[bytes, Table]] = {
            flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0" + bytes([additional]): {}
            for additional in (0, 1)
            for flags in (RD, RD | AD, RD | CD, RD | AD | CD, 0, AD)
        }
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def keep(self, message: bytes, question: bytes, answers: Iterable[bytes]) -> None:
        """Keep the answers to a message, if it is one that others will send too.

        They are alike but for their order, one at least, and none is longer than `MIN_SIZE` or truncated.
        """
        table = self.tables.get(message[2:HEADER])
        after = message[HEADER + len(question) :]
        if table is None or (message[HEADER - 1] and not is_plain_opt(after)):
            return
        if self._count >= MAX_ENTRIES:
            self._clear()
        kept = tuple(answers)
        end = HEADER + len(question)
        self._count += 1
        table[question.lower()] = (kept[0][2:HEADER], tuple(answer[end:] for answer in kept))

    def forget(self, question: bytes) -> None:
        """Forget the answers to a question in lower case, however it is asked."""
        for table in self.tables.values():
            if table.pop(question, None) is not None:
                self._count -= 1

    def _clear(self) -> None:
        for table in self.tables.values():
            table.clear()
        self._count = 0


def is_plain_opt(record: bytes) -> bool:
    """Return whether this is an OPT record with nothing in it but a size, one that every kept answer is within."""
    return (
        len(record) == OPT
        and record.startswith(_OPT_HEAD)
        and record.endswith(_OPT_REST)
        and record[3] >= MIN_SIZE >> 8
    )
