"""Sources and filters for laws; few sources, so that they meet."""

from hypothesis import strategies as st

from ripstop.core.multicast.filters import Filter, Mode
from ripstop.core.names import SourceIp

SOURCES = tuple(SourceIp(bytes([10, 9, 0, n])) for n in range(1, 6))

sources = st.sampled_from(SOURCES)
source_lists = st.lists(sources, max_size=4).map(tuple)
filters = st.builds(Filter, st.sampled_from(Mode), source_lists)
