"""Reading a ring buffer map: a descriptor to wait on, and the records that came since."""

import ctypes
from ctypes import CFUNCTYPE, c_int, c_size_t, c_void_p

from ripstop.core.errors import KernelError
from ripstop.kernel.bpf import Map, library

_SAMPLE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)  # ring_buffer_sample_fn


class RingReader:
    """The one consumer of a ring buffer; positions live in the kernel, so a new reader continues where one ended."""

    def __init__(self, ring: Map) -> None:
        self._name = ring.name
        self._records: list[bytes] = []
        self._callback = _SAMPLE(self._take)  # kept: libbpf holds only the address
        self._ring: int | None = library().ring_buffer__new(ring.fd, ctypes.cast(self._callback, c_void_p), None, None)
        if not self._ring:
            raise KernelError("read ring buffer", ring.name, ctypes.get_errno())

    def _take(self, _context: int | None, record: int, size: int) -> int:
        self._records.append(ctypes.string_at(record, size))
        return 0

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when records are there."""
        return int(library().ring_buffer__epoll_fd(self._ring))

    def read(self) -> list[bytes]:
        """Return the records that came since, without waiting."""
        result = library().ring_buffer__consume(self._ring)
        if result < 0:
            raise KernelError("read ring buffer", self._name, -result)
        records, self._records = self._records, []
        return records

    def close(self) -> None:
        """Give the descriptors back."""
        if self._ring is not None:
            library().ring_buffer__free(self._ring)
            self._ring = None
