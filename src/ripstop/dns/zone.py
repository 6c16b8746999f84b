"""What we know: names and their addresses, and what there is to say to a question about them; pure."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Final, NamedTuple

from ripstop.wire.dns import IN, TO_QUESTION, Query, Rcode, Resource, Type, encode_name, name_of, pointer_to
from ripstop.wire.dns_feed import NameRow, Record, Rows, Service

_REVERSE_V4 = (b"arpa", b"in-addr")
_REVERSE_V6 = (b"arpa", b"ip6")
_SERIAL, _REFRESH, _RETRY, _EXPIRE = 1, 3600, 600, 86400  # of our SOA records: nobody copies the zone, so nobody looks
_HTTPS = 65  # what browsers ask about each name; we have none
_LOOPBACK = NameRow("localhost", (Record(bytes([127, 0, 0, 1])), Record(bytes(15) + b"\1")))


class Answer(NamedTuple):
    """What there is to say to a question; `dns.reply` makes a message of it."""

    rcode: Rcode
    answers: tuple[Resource, ...] = ()  # in any order
    authority: tuple[Resource, ...] = ()
    additional: tuple[Resource, ...] = ()
    row: NameRow | None = None  # what it is made of, if it is about a registered name


class Zone:
    """The names of the domain, and the addresses of the overlay the other way round."""

    def __init__(self, domain: str, ttl: int, universe: IPv4Network) -> None:
        self.domain: Final = tuple(label.lower().encode() for label in domain.rstrip(".").split("."))
        self._ttl, self._universe = ttl, universe
        self._apex = name_of(domain)
        self._lower_apex = self._apex.lower()
        self._soa = _soa(self._apex, ttl)
        self._names: dict[bytes, NameRow] = {}  # by the name in lower case, as on the wire but without the domain
        self._owners: dict[bytes, tuple[NameRow, ...]] = {}  # by address
        self._parents: dict[bytes, int] = {}  # names with names below them → how many
        self._prefixes: dict[bytes, int] = {}  # first bytes of IPv4 addresses → how many begin so

    def __len__(self) -> int:
        return len(self._names)

    def apply(self, rows: Rows) -> list[NameRow]:
        """Take what changed; return all rows that hold no more, and those that do now."""
        changed: list[NameRow] = []
        if rows.complete:
            kept = {_key(row.name) for row in rows.rows}
            changed += [self._remove(key) for key in [key for key in self._names if key not in kept]]
        for row in rows.rows:
            key = _key(row.name)
            if key in self._names:
                changed.append(self._remove(key))
            if row.records:
                self._add(key, row)
                changed.append(row)
        return changed

    def answer(self, query: Query) -> Answer | None:
        """Return what we say to a question, or None if it is not about anything of ours."""
        labels = query.labels
        below = len(labels) - len(self.domain)
        if below >= 0 and labels[below:] == self.domain:
            return self._in_domain(query, labels[:below])
        if labels[-1:] == (b"localhost",):  # RFC 6761, section 6.3
            return self._of_row(_LOOPBACK, query.type)
        if labels[:-3:-1] in (_REVERSE_V4, _REVERSE_V6):
            return self._reverse(query)
        if len(labels) == 1:
            return self._unqualified(query)
        return None

    def questions(self, row: NameRow) -> Iterator[bytes]:
        """Yield the questions, in lower case, that people ask about a name and whose answers hang on its row."""
        key = _key(row.name)
        names = [key[:-1] + self._lower_apex, *([key] if key[1 + key[0]] == 0 else [])]
        for name in names:
            for kind in _ASKED:
                yield name + kind
        for record in row.records:
            yield _reverse_name(record.address) + _question(Type.PTR)
            for service in record.services:
                owner = encode_name(*(b"_" + text.lower().encode() for text in (service.name, service.protocol)))
                yield owner[:-1] + names[0] + _question(Type.SRV)

    def _in_domain(self, query: Query, relative: tuple[bytes, ...]) -> Answer:
        found = self._lookup(relative, query.type) if relative else Answer(Rcode.NOERROR)
        if found is not None and found.answers:
            return found
        soa = (Resource(pointer_to(relative), Type.SOA, self._ttl, self._soa),)
        if found is None:
            return Answer(Rcode.NXDOMAIN, (), soa)
        if not relative and query.type in (Type.SOA, Type.ANY):
            return Answer(Rcode.NOERROR, soa)
        return Answer(Rcode.NOERROR, (), soa, (), found.row)

    def _unqualified(self, query: Query) -> Answer | None:
        """Answer a name of one label as if it were in the domain.

        What is not there has no address anywhere else, so that no plain host name leaks out; but a top-level domain
        may be asked about in other ways.  Nothing of this is in a zone of ours, so there is no SOA to name.
        """
        found = self._lookup(query.labels, query.type)
        if found is None and query.type in (Type.A, Type.AAAA, Type.SRV, Type.ANY):
            return Answer(Rcode.NXDOMAIN)
        return found

    def _lookup(self, relative: tuple[bytes, ...], kind: int) -> Answer | None:
        """Return what there is under a name; None if neither it nor anything below it exists."""
        key = encode_name(*relative)
        row = self._names.get(key)
        if row is not None:
            return self._of_row(row, kind)
        if relative[0].startswith(b"_"):
            return self._service(relative, kind) or self._parent(key)
        return self._one_address(relative, kind) or self._parent(key)

    def _parent(self, key: bytes) -> Answer | None:
        """Return the empty answer of a name that has only others below it."""
        return Answer(Rcode.NOERROR) if key in self._parents else None

    def _of_row(self, row: NameRow, kind: int, owner: bytes = TO_QUESTION) -> Answer:
        addresses = tuple(self._addresses(row.records, kind, owner))
        return Answer(Rcode.NOERROR, addresses, row=row)

    def _addresses(self, records: tuple[Record, ...], kind: int, owner: bytes) -> Iterator[Resource]:
        for record in records:
            its = Type.A if len(record.address) == 4 else Type.AAAA
            if kind in (its, Type.ANY):
                yield Resource(owner, its, self._ttl, record.address)

    def _one_address(self, relative: tuple[bytes, ...], kind: int) -> Answer | None:
        """Answer `10-32-0-5.web`: the one container of `web` that has this address, as targets of services name it."""
        row = self._names.get(encode_name(*relative[1:]))
        if row is None:
            return None
        records = tuple(record for record in row.records if _label(record.address) == relative[0])
        if not records:
            return None
        return Answer(Rcode.NOERROR, tuple(self._addresses(records, kind, TO_QUESTION)), row=row)

    def _service(self, relative: tuple[bytes, ...], kind: int) -> Answer | None:
        """Answer `_http._tcp.web`, and that there is something below `_tcp.web`."""
        depth = 2 if len(relative) > 2 and relative[1].startswith(b"_") else 1
        row = self._names.get(encode_name(*relative[depth:]))
        if row is None:
            return None
        asked = tuple(label[1:].decode("ascii", "replace") for label in relative[:depth])
        offers = [
            (record, service)
            for record in row.records
            for service in record.services
            if (service.name.lower(), service.protocol)[-depth:] == asked
        ]
        if not offers:
            return None
        if depth == 1 or kind not in (Type.SRV, Type.ANY):
            return Answer(Rcode.NOERROR, row=row)
        return self._targets(row, offers)

    def _targets(self, row: NameRow, offers: list[tuple[Record, Service]]) -> Answer:
        """Return SRV records: one for the name if all of its addresses offer the same port, else one for each address.

        Source: RFC 2782; its targets may not be compressed.
        """
        name = name_of(row.name)[:-1] + self._apex
        ports = {service.port for _, service in offers}
        everywhere = len(ports) == 1 and {r.address for r, _ in offers} == {r.address for r in row.records}
        if everywhere:
            targets = [(name, ports.pop(), row.records)]
        else:
            targets = [
                (bytes([len(label)]) + label + name, service.port, (record,))
                for record, service in offers
                for label in (_label(record.address),)
            ]
        answers = tuple(
            Resource(TO_QUESTION, Type.SRV, self._ttl, bytes(4) + port.to_bytes(2, "big") + target)
            for target, port, _ in targets
        )
        additional = tuple(
            resource for target, _, records in targets for resource in self._addresses(records, Type.ANY, target)
        )
        return Answer(Rcode.NOERROR, answers, (), additional, row)

    def _reverse(self, query: Query) -> Answer | None:
        """Answer names of addresses; those of the overlay have no names but ours, so they are asked of nobody else."""
        address = _address(query.labels)
        rows = self._owners.get(address, ()) if address is not None else ()
        if rows:
            wanted = query.type in (Type.PTR, Type.ANY)
            names = tuple(name_of(row.name)[:-1] + self._apex for row in rows) if wanted else ()
            answers = tuple(Resource(TO_QUESTION, Type.PTR, self._ttl, name) for name in names)
            return Answer(Rcode.NOERROR, answers, () if answers else self._reverse_soa(query), row=rows[0])
        return self._nameless(query)

    def _nameless(self, query: Query) -> Answer | None:
        """Answer for what is wholly within the overlay and has no name: an address, or the beginning of some."""
        digits = query.labels[-3::-1]
        if query.labels[-1:-3:-1] != _REVERSE_V4 or not 0 < len(digits) <= 4:
            return None
        octets = [int(text) if text.isdigit() and len(text) <= 3 else 256 for text in digits]
        if max(octets) > 255:
            return None
        length = 8 * len(octets)
        start = bytes(octets) + bytes(4 - len(octets))
        if not IPv4Network((start, length)).subnet_of(self._universe):
            return None
        rcode = Rcode.NOERROR if bytes(octets) in self._prefixes else Rcode.NXDOMAIN
        return Answer(rcode, (), self._reverse_soa(query))

    def _reverse_soa(self, query: Query) -> tuple[Resource, ...]:
        """Return the SOA of the largest reverse zone that is wholly the overlay's, if the question is within one."""
        labels = -(-self._universe.prefixlen // 8) + 2
        if len(query.labels) < labels or query.labels[-2:] != _REVERSE_V4[::-1]:
            return ()
        apex = encode_name(*query.labels[-labels:])
        return (Resource(apex, Type.SOA, self._ttl, apex + self._soa[len(self._apex) :]),)

    def _add(self, key: bytes, row: NameRow) -> None:
        self._names[key] = row
        for record in row.records:
            self._owners[record.address] = (*self._owners.get(record.address, ()), row)
            for prefix in _prefixes(record.address):
                self._prefixes[prefix] = self._prefixes.get(prefix, 0) + 1
        for parent in _parents(key):
            self._parents[parent] = self._parents.get(parent, 0) + 1

    def _remove(self, key: bytes) -> NameRow:
        row = self._names.pop(key)
        for record in row.records:
            left = tuple(owner for owner in self._owners.get(record.address, ()) if owner is not row)
            if left:
                self._owners[record.address] = left
            else:
                self._owners.pop(record.address, None)
            for prefix in _prefixes(record.address):
                _take_one(self._prefixes, prefix)
        for parent in _parents(key):
            _take_one(self._parents, parent)
        return row


def _soa(apex: bytes, ttl: int) -> bytes:
    """Return the data of our SOA record; how long nothing is nothing is its minimum.  Source: RFC 2308, section 4."""
    mailbox = encode_name(b"hostmaster")[:-1] + apex
    return apex + mailbox + b"".join(number.to_bytes(4, "big") for number in (_SERIAL, _REFRESH, _RETRY, _EXPIRE, ttl))


def _take_one(counts: dict[bytes, int], key: bytes) -> None:
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1


def _prefixes(address: bytes) -> tuple[bytes, ...]:
    return (address[:3], address[:2], address[:1]) if len(address) == 4 else ()


def _question(kind: int) -> bytes:
    return kind.to_bytes(2, "big") + IN.to_bytes(2, "big")


_ASKED = tuple(_question(kind) for kind in (Type.A, Type.AAAA, _HTTPS))


def _reverse_name(address: bytes) -> bytes:
    if len(address) == 4:
        return encode_name(*(str(octet).encode() for octet in reversed(address)), *_REVERSE_V4[::-1])
    return encode_name(*(digit.encode() for digit in reversed(address.hex())), *_REVERSE_V6[::-1])


def _key(name: str) -> bytes:
    return name_of(name.lower())


def _parents(key: bytes) -> Iterator[bytes]:
    """Yield the names above a name, up to the domain."""
    place = 1 + key[0]
    while key[place]:
        yield key[place:]
        place += 1 + key[place]


def _label(address: bytes) -> bytes:
    """Return the label that stands for one address among those of a name: `10-32-0-5`."""
    if len(address) == 4:
        return "-".join(map(str, address)).encode()
    return "-".join(f"{address[i] << 8 | address[i + 1]:x}" for i in range(0, 16, 2)).encode()


def _address(labels: tuple[bytes, ...]) -> bytes | None:
    """Return the address that a whole reverse name stands for."""
    digits = labels[-3::-1]
    if labels[-2] == b"in-addr" and len(digits) == 4 and all(text.isdigit() and len(text) <= 3 for text in digits):
        octets = [int(text) for text in digits]
        written = [str(octet).encode() for octet in octets]  # 007 is none
        return bytes(octets) if max(octets) < 256 and written == list(digits) else None
    if labels[-2] == b"ip6" and len(digits) == 32 and all(len(text) == 1 for text in digits):
        try:
            return bytes.fromhex(b"".join(digits).decode("ascii", "replace"))
        except ValueError:
            return None
    return None
