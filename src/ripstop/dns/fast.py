"""Answers that were made before, by the bytes of the question: what most questions get.

A question that is asked in lower case, as nearly all are, is found by its bytes behind the id, and what is found is
all of the answer behind the id.  One in another case is looked for in lower case (lengths of labels are below the
letters, so that lowering a name on the wire changes letters alone), and its own name is put over that of the answer.
A name with several addresses has several such answers, in different orders, of which each time one is drawn.
"""

from collections.abc import Iterable
from typing import Final

from ripstop.wire.dns import HEADER, MIN_SIZE, lowered, opt_record

MAX_ENTRIES = 300_000  # about 100 MB; then all are made anew
MAX_FORMS = 32  # headers and ends of messages; those that come later are not kept
ID: Final = 2  # bytes
_ADDITIONAL = HEADER - 1  # where a message has how many additional records come
_OPT = len(opt_record(0))  # bytes of an OPT record without options
_OPT_HEAD, _OPT_REST = opt_record(0)[:3], opt_record(0)[5:]  # around its size

Answers = bytes | tuple[bytes, ...]  # behind the id; several, of which one is drawn


class Fast:
    """Answers, in `kept` by question: both without their ids."""

    def __init__(self) -> None:
        self.kept: Final[dict[bytes, Answers]] = {}
        self._forms: dict[tuple[bytes, bytes], None] = {}  # what was before and behind the questions that were kept

    def __len__(self) -> int:
        return len(self.kept)

    def keep(self, message: bytes, question: bytes, answers: Iterable[bytes]) -> None:
        """Keep the answers to a message, if it is one that others will send too.

        They are alike but for their order, one at least, and none is longer than `MIN_SIZE` or truncated.
        """
        rest = message[HEADER + len(question) :]
        form = message[ID:HEADER], rest
        if rest and not _is_plain_opt(rest):
            return
        if form not in self._forms:
            if len(self._forms) >= MAX_FORMS:
                return
            self._forms[form] = None
        if len(self.kept) >= MAX_ENTRIES:
            self.kept.clear()
        lower = lowered(question)
        made = tuple(answer[ID:HEADER] + lower + answer[HEADER + len(question) :] for answer in answers)
        self.kept[form[0] + lower + rest] = made if len(made) > 1 else made[0]

    def find(self, message: bytes) -> Answers | None:
        """Return what there is to say, behind the id, to a message that is not in lower case.

        A type or a size whose bytes look like letters makes it miss, or find the same answer under another size.
        """
        found = self.kept.get(message[ID:HEADER] + message[HEADER:].lower())
        if found is None:
            return None
        end = len(message) - (_OPT if message[_ADDITIONAL] else 0) - ID
        question, start = message[HEADER : end + ID], HEADER - ID
        if isinstance(found, bytes):
            return found[:start] + question + found[end:]
        return tuple(answer[:start] + question + answer[end:] for answer in found)

    def forget(self, question: bytes) -> None:
        """Forget the answers to a question in lower case, however it is asked."""
        for before, behind in self._forms:
            self.kept.pop(before + question + behind, None)


def _is_plain_opt(record: bytes) -> bool:
    """Return whether this is an OPT record with nothing in it but a size, one that every kept answer is within."""
    return (
        len(record) == _OPT
        and record.startswith(_OPT_HEAD)
        and record.endswith(_OPT_REST)
        and record[3] >= MIN_SIZE >> 8
    )
