"""One mesh core, event by event; whole meshes of it are in tests/sim."""

import math
from collections.abc import Mapping
from random import Random

import pytest

from ripstop.core.effects import (
    Announce,
    Close,
    Dial,
    Effect,
    Heard,
    Internal,
    Learned,
    Notice,
    Publish,
    ReachabilityChanged,
    Save,
    Send,
    SendProbe,
    Tell,
    UseMtu,
)
from ripstop.core.events import (
    Accepted,
    Closed,
    ConnectRequested,
    Dialed,
    DialFailed,
    Endpoint,
    ForgetRequested,
    LeaveRequested,
    Probed,
    Received,
    UnderlayChanged,
)
from ripstop.core.ipam.messages import SpaceWanted, Token
from ripstop.core.mesh.membership import first_choice
from ripstop.core.mesh.mesh import Identity, Mesh, MeshEvent, Settings
from ripstop.core.mesh.messages import (
    Digest,
    Entry,
    Goodbye,
    Gossip,
    Heartbeat,
    Hello,
    Message,
    PeerRecord,
    Probe,
    Reach,
    Routed,
    Versions,
)
from ripstop.core.mesh.replica import bucket_of
from ripstop.core.mesh.startup import SETTLE
from ripstop.core.names import ConnectionId, PeerName, ShortId, UnderlayIp

OWN, PEER, FAR = PeerName("5" * 16), PeerName("8" * 16), PeerName("a" * 16)
HERE, THERE, BEYOND = (UnderlayIp(f"192.0.2.{i}") for i in (1, 2, 3))
PEER_ID, FAR_ID = ShortId(8), ShortId(10)
WANTED = SpaceWanted(1, 2)


def record(name: PeerName, short_id: int, address: str, incarnation: int = 1, **more: object) -> PeerRecord:
    """Return the record of another peer."""
    return PeerRecord(name, incarnation, "", (UnderlayIp(address),), 6783, ShortId(short_id), **more)  # type: ignore[arg-type]


def entry(value: PeerRecord | Reach, version: int = 1 << 32) -> Entry:
    """Return a value as its writer spreads it."""
    return Entry(f"{'peer' if isinstance(value, PeerRecord) else 'reach'}/{value.name}", version, value)


def bits(*ids: int) -> bytes:
    """Return a bitmap."""
    mask = sum(1 << short_id for short_id in ids)
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


class Host:
    """A mesh core, its clock, and all that it ever wanted."""

    def __init__(self, saved: Mapping[str, bytes] | None = None, settings: Settings | None = None) -> None:
        self.now = 0.0
        self.disk = dict(saved or {})
        self.all: list[Effect | Internal] = []
        self.mesh = Mesh(Identity(OWN, 1, "me"), settings or Settings(6783), self.disk, 0.0, Random(1))
        self.instance = 0

    def feed(self, *events: MeshEvent) -> list[Effect | Internal]:
        """Let these happen now; return what comes of it."""
        effects: list[Effect | Internal] = []
        for event in events:
            effects += self._note(self.mesh.receive(event, self.now))
        return effects

    def wait(self, seconds: float) -> list[Effect | Internal]:
        """Let time pass."""
        effects: list[Effect | Internal] = []
        end = self.now + seconds
        while self.mesh.deadline <= end:
            self.now = max(self.now, self.mesh.deadline)
            effects += self._note(self.mesh.tick(self.now))
        self.now = end
        return effects

    def up(self) -> "Host":
        """Give it a NIC."""
        self.feed(UnderlayChanged((HERE,), 1500))
        return self

    def connect(self, number: int = 1, peer: PeerName = PEER, seen_as: str = HERE) -> list[Effect | Internal]:
        """Let a peer dial us and say hello."""
        hello = Hello(1, peer, 1, "", 6783, seen_as, instance=number)
        return self.feed(Accepted(ConnectionId(number), HERE, THERE), Received(ConnectionId(number), hello))

    def hear(self, *messages: Message, number: int = 1) -> list[Effect | Internal]:
        """Let messages come in."""
        return self.feed(*(Received(ConnectionId(number), message) for message in messages))

    def live(self, seconds: float) -> list[Effect | Internal]:
        """Let time pass in which every probe is answered within 20 ms."""
        effects: list[Effect | Internal] = []
        end = self.now + seconds
        while self.now < end:
            step = self.wait(0.02)
            for effect in [effect for effect in step if isinstance(effect, SendProbe)]:
                probe = effect.probe
                ack = Probe(True, probe.sender, probe.target, probe.nonce, probe.mtu)
                step += self.feed(Probed(effect.remote, HERE, ack))
            effects += step
        return effects

    def _note(self, effects: list[Effect | Internal]) -> list[Effect | Internal]:
        for effect in effects:
            if isinstance(effect, Save):
                self.disk |= {key: value for key, value in effect.items if value is not None}
                for key in [key for key, value in effect.items if value is None]:
                    self.disk.pop(key, None)
        self.all += effects
        return effects

    def published(self) -> Publish:
        """Return the tables of now."""
        return next(effect for effect in reversed(self.all) if isinstance(effect, Publish))


def sent(effects: list[Effect | Internal], number: int = 1) -> list[Message]:
    """Return what goes down a connection."""
    return [e.message for e in effects if isinstance(e, Send) and e.connection == ConnectionId(number)]


def gossiped(effects: list[Effect | Internal], number: int = 1) -> list[Entry]:
    """Return the entries that go down a connection."""
    return [one for message in sent(effects, number) if isinstance(message, Gossip) for one in message.entries]


def neighbored() -> Host:
    """Return a host with one connected neighbor to which frames go."""
    host = Host().up()
    host.connect()
    own = host.mesh.short_id
    host.hear(Gossip((entry(record(PEER, PEER_ID, THERE)), entry(Reach(PEER, bits(own), bits(own), 1450)))))
    host.live(0.4)
    return host


def test_nothing_is_done_before_there_is_an_underlay() -> None:
    host = Host(settings=Settings(6783, (Endpoint(THERE, 6783),)))
    effects = host.wait(3.0)
    assert not [effect for effect in effects if isinstance(effect, Dial | Publish | UseMtu)]


def test_alone_it_publishes_itself_and_the_mtu_of_its_links() -> None:
    host = Host().up()
    tables = host.published().tables
    assert tables.own == host.mesh.short_id == first_choice(OWN)
    assert tables.vteps == {HERE: tables.own}
    assert tables.routes == {}
    assert UseMtu(1450) in host.all
    assert host.mesh.mtu == 1450
    assert host.mesh.addresses == (HERE,)


def test_a_host_without_any_link_still_switches() -> None:
    host = Host()
    host.feed(UnderlayChanged((), 0))
    assert host.published().tables.own == host.mesh.short_id
    assert host.mesh.mtu == 1450


def test_saves_come_first_so_that_disk_is_never_behind() -> None:
    effects = Host().feed(UnderlayChanged((HERE,), 1500))
    kinds = [isinstance(effect, Save) for effect in effects]
    assert kinds == sorted(kinds, reverse=True)
    assert any(kinds)


def test_a_neighbor_becomes_a_way_for_frames() -> None:
    host = neighbored()
    tables = host.published().tables
    assert tables.routes[PEER_ID].remote == THERE
    assert tables.vteps == {HERE: tables.own, THERE: PEER_ID}
    assert ReachabilityChanged((PEER,)) in host.all
    assert [view.state for view in host.mesh.peers()] == ["self", "direct"]
    (view,) = host.mesh.connections()
    assert (view.peer, view.direction, view.control, view.path) == (PEER, "inbound", "established", "vxlan")
    assert (view.path_address, view.mtu, view.error) == (THERE, 1450, "")
    (way,) = host.mesh.routes()
    assert (way.destination, way.next_hop, way.hops, way.remote) == (PEER, PEER, 1, THERE)
    assert host.mesh.nickname(PEER) == PEER
    assert host.mesh.nickname(OWN) == "me"


def test_a_path_alone_is_no_link() -> None:
    host = neighbored()
    host.hear(Gossip((entry(Reach(PEER, b"", b"", 0), 2 << 32),)))
    host.wait(0.1)
    assert host.published().tables.routes == {}
    assert [view.state for view in host.mesh.peers()] == ["self", "unreachable"]
    assert Notice("warning", f"{PEER} can be reached no more") in host.all


def test_tables_are_published_only_when_they_change() -> None:
    host = neighbored()
    count = len([effect for effect in host.all if isinstance(effect, Publish)])
    host.hear(Heartbeat())
    host.hear(Gossip((entry(Reach(PEER, bits(host.mesh.short_id), b"", 1450), 2 << 32),)))
    host.live(1.0)
    assert len([effect for effect in host.all if isinstance(effect, Publish)]) == count


def test_news_goes_on_to_others_and_to_features() -> None:
    host = neighbored()
    host.connect(2, FAR)
    host.wait(0.3)
    token = Entry("ring/r/5", 3, Token(5, FAR, 0, 9))
    effects = host.hear(Gossip((token, entry(record(FAR, FAR_ID, BEYOND)))), number=2)
    effects += host.wait(0.1)
    assert Learned((token,)) in effects
    assert token in gossiped(effects, 1)
    assert token not in gossiped(effects, 2)
    assert host.hear(Gossip((token,)), number=1) == []


def test_what_features_announce_is_spread() -> None:
    host = neighbored()
    token = Entry("ring/r/5", 3, Token(5, OWN, 0, 9))
    effects = [*host.feed(Announce((token,))), *host.wait(0.1)]
    assert gossiped(effects) == [token]
    assert host.feed(Announce((token,))) == []
    assert token in host.mesh.entries()


def test_messages_find_their_peer() -> None:
    host = neighbored()
    assert sent(host.feed(Tell(PEER, WANTED))) == [Routed(OWN, PEER, 63, WANTED)]
    assert host.hear(Routed(PEER, OWN, 3, WANTED)) == [Heard(PEER, WANTED)]
    assert host.feed(Tell(FAR, WANTED)) == []


def test_messages_are_passed_on_over_the_control_graph() -> None:
    host = neighbored()
    own = host.mesh.short_id
    effects = host.hear(
        Gossip(
            (
                entry(record(FAR, FAR_ID, BEYOND)),
                entry(Reach(FAR, b"", bits(PEER_ID), 0)),
                entry(Reach(PEER, bits(own), bits(own, FAR_ID), 1450), 2 << 32),
            )
        )
    )
    assert ReachabilityChanged((PEER, FAR)) in effects + host.wait(0.1)
    assert sent(host.feed(Tell(FAR, WANTED))) == [Routed(OWN, FAR, 63, WANTED)]
    assert host.hear(Routed(PEER, FAR, 0, WANTED)) == []


def test_a_record_that_we_did_not_write_is_refuted() -> None:
    host = neighbored()
    claimed = entry(record(OWN, 77, "203.0.113.9", 41), 41 << 32 | 7)
    effects = [*host.hear(Gossip((claimed,))), *host.wait(0.2)]
    ours = [one for one in gossiped(effects) if one.key == claimed.key]
    assert [one.version >> 32 for one in ours] == [42]
    assert isinstance(ours[0].value, PeerRecord)
    assert ours[0].value.addresses == (HERE,)
    assert ours[0].value.incarnation == 42
    assert [one.version >> 32 for one in gossiped(effects) if one.key == f"reach/{OWN}"] == [42]
    again = Host(host.disk)
    assert again.mesh.identity.incarnation == 43


def test_a_double_of_ours_is_fought_ever_more_slowly() -> None:
    host = neighbored()
    versions = 1
    written = 0
    for _ in range(1200):
        versions += 1
        effects = host.hear(Gossip((entry(record(OWN, 77, "203.0.113.9"), versions * 100 << 32),)), Heartbeat())
        effects += host.wait(0.1)
        written += len([one for one in gossiped(effects) if one.key == f"peer/{OWN}"])
    assert 3 <= written <= 9
    assert len([effect for effect in host.all if isinstance(effect, Notice) and "later life" in effect.text]) == 1


def test_word_out_of_turn_closes_the_connection_with_the_reason() -> None:
    host = Host().up()
    host.feed(Accepted(ConnectionId(1), HERE, THERE))
    effects = host.hear(Heartbeat())
    assert Send(ConnectionId(1), Goodbye("message while greeting")) in effects
    assert Close(ConnectionId(1), "message while greeting") in effects
    assert Notice("warning", f"{THERE}: message while greeting") in effects
    assert host.hear(Heartbeat()) == []


def test_a_goodbye_is_remembered() -> None:
    host = neighbored()
    host.hear(Goodbye("no more room"))
    (view,) = host.mesh.connections()
    assert (view.control, view.error) == ("closed", "the peer says: no more room")
    assert view.path == "vxlan"


def test_a_lost_neighbor_is_dialed_again() -> None:
    host = neighbored()
    assert ReachabilityChanged(()) in [*host.feed(Closed(ConnectionId(1), "reset")), *host.wait(0.1)]
    assert Dial(Endpoint(THERE, 6783)) in host.wait(1.0)
    assert host.feed(Closed(ConnectionId(1), "reset")) == []
    (view,) = host.mesh.connections()
    assert view.control == "connecting"
    host.feed(DialFailed(Endpoint(THERE, 6783), "refused"))
    (view,) = host.mesh.connections()
    assert (view.control, view.error) == ("closed", "refused")


def test_targets_are_dialed_saved_and_forgotten() -> None:
    target, other = Endpoint("host.example", 6783), Endpoint("192.0.2.7", 7000)
    host = Host().up()
    assert Dial(target) in host.feed(ConnectRequested((target,)))
    assert [view.endpoint for view in Host(host.disk).mesh.targets(0.0)] == [target]
    host.feed(ConnectRequested((other,), replace=True))
    assert [view.endpoint for view in host.mesh.targets(0.0)] == [other]
    host.feed(ForgetRequested((other,)))
    assert Host(host.disk).mesh.targets(0.0) == ()
    given = Host(host.disk, Settings(6783, (target,)))
    given.up()
    assert [view.endpoint for view in Host(given.disk).mesh.targets(0.0)] == [target]


def test_a_dial_to_ourselves_or_to_our_double_is_recognised() -> None:
    host = Host(settings=Settings(6783, (Endpoint(THERE, 6783),))).up()
    effects = host.feed(Dialed(Endpoint(THERE, 6783), ConnectionId(1), HERE, THERE))
    (hello,) = sent(effects)
    assert isinstance(hello, Hello)
    effects = host.hear(hello)
    assert Close(ConnectionId(1), "this is ourselves") in effects
    assert host.mesh.targets(host.now)[0].state == "connected"
    double = Host(settings=Settings(6783, (Endpoint(THERE, 6783),))).up()
    double.feed(Dialed(Endpoint(THERE, 6783), ConnectionId(1), HERE, THERE))
    effects = double.hear(Hello(1, OWN, 1, "", 6783, "", instance=99))
    assert [effect for effect in effects if isinstance(effect, Notice) and effect.level == "error"]
    assert double.mesh.targets(double.now)[0].error == "has our own name"


def test_the_lower_name_begins_the_comparison() -> None:
    host = Host().up()
    assert any(isinstance(message, Digest) for message in sent(host.connect()))
    lower = Host().up()
    assert not any(isinstance(message, Digest) for message in sent(lower.connect(peer=PeerName("1" * 16))))


def test_a_newcomer_takes_an_id_that_nobody_has() -> None:
    host = Host(settings=Settings(6783, (Endpoint(THERE, 6783),))).up()
    taken = entry(record(PEER, first_choice(OWN), THERE))
    host.feed(Dialed(Endpoint(THERE, 6783), ConnectionId(1), HERE, THERE))
    host.hear(Hello(1, PEER, 1, "", 6783, HERE, 7))
    assert not [effect for effect in host.all if isinstance(effect, Publish)]
    host.hear(Versions((bucket_of(taken.key),), ((taken.key, taken.version),)))
    effects = [*host.hear(Gossip((taken,))), *host.wait(0.1)]
    assert host.mesh.short_id == first_choice(OWN) + 1
    assert {one.value.short_id for one in gossiped(effects) if isinstance(one.value, PeerRecord)} == {
        host.mesh.short_id
    }


def test_a_newcomer_that_hears_of_nobody_takes_its_first_choice_in_the_end() -> None:
    host = Host(settings=Settings(6783, (Endpoint(THERE, 6783),))).up()
    assert not [effect for effect in host.wait(0.9) if isinstance(effect, Publish)]
    assert [effect for effect in host.wait(0.2) if isinstance(effect, Publish)]
    assert host.mesh.short_id == first_choice(OWN)


def test_a_restarted_daemon_keeps_the_tables_until_it_knows_better() -> None:
    host = neighbored()
    tables = host.published().tables
    host.live(1.5)
    again = Host(host.disk).up()
    assert not [effect for effect in again.all if isinstance(effect, Publish | UseMtu)]
    effects = again.wait(SETTLE)
    assert [effect.tables for effect in effects if isinstance(effect, Publish)] == [tables]
    (ours,) = [one.value for one in again.mesh.entries() if one.key == f"reach/{OWN}"]
    assert isinstance(ours, Reach)
    assert ours.data == bits(PEER_ID)


def test_a_restarted_daemon_that_is_confirmed_goes_on_at_once() -> None:
    host = neighbored()
    host.live(1.5)
    again = Host(host.disk).up()
    again.connect()
    again.hear(Gossip(()))
    assert [effect for effect in again.live(0.1) if isinstance(effect, Publish)] == [host.published()]


def test_a_daemon_that_dies_again_at_once_has_forgotten_nothing() -> None:
    host = neighbored()
    host.live(1.5)
    again = Host(Host(Host(host.disk).up().disk).up().disk).up()
    again.wait(SETTLE)
    assert again.published() == host.published()


def test_damaged_state_is_named_and_left_out() -> None:
    host = neighbored()
    host.live(1.5)
    again = Host({**host.disk, "mesh/paths": b"\xc1", "ipam/other": b"\xc1"}).up()
    texts = [effect.text for effect in again.all if isinstance(effect, Notice)]
    assert texts == ["saved state left out, as it is damaged: mesh/paths"]


def test_leaving_is_said_and_ends_everything() -> None:
    host = neighbored()
    host.live(1.5)
    effects = host.feed(LeaveRequested())
    assert [one.value.left for one in gossiped(effects) if isinstance(one.value, PeerRecord)] == [True]
    assert sent(effects)[-1] == Goodbye("left the mesh")
    assert host.mesh.deadline == math.inf
    assert host.connect(9) == []
    assert "mesh/paths" not in host.disk
    again = Host(host.disk).up()
    (ours,) = [one.value for one in again.mesh.entries() if one.key == f"peer/{OWN}"]
    assert isinstance(ours, PeerRecord)
    assert not ours.left


def test_an_address_that_is_gone_takes_its_connections_along() -> None:
    host = neighbored()
    effects = host.feed(UnderlayChanged((UnderlayIp("192.0.2.9"),), 1500))
    assert Close(ConnectionId(1), f"our address {HERE} is gone") in effects
    assert host.mesh.addresses == ("192.0.2.9",)


def test_a_fixed_mtu_is_everybodys() -> None:
    host = Host(settings=Settings(6783, mtu=1400)).up()
    assert host.mesh.mtu == 1400
    host.connect()
    host.hear(Gossip((entry(record(PEER, PEER_ID, THERE)),)))
    host.live(0.4)
    (reach,) = [one.value for one in host.mesh.entries() if one.key == f"reach/{OWN}"]
    assert isinstance(reach, Reach)
    assert reach.mtu == 1400


@pytest.mark.parametrize("seen_as", ["203.0.113.5", ""])
def test_where_others_see_us_is_told(seen_as: str) -> None:
    host = Host().up()
    host.connect(seen_as=seen_as)
    assert host.mesh.addresses == tuple(address for address in (HERE, seen_as) if address)
    host.wait(0.1)
    assert host.published().tables.vteps == dict.fromkeys(host.mesh.addresses, host.mesh.short_id)
