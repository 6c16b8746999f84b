"""From records and reach to tables, MTU and notices; each said once, and only when it changes."""

from ripstop.core.effects import (
    Effect,
    Internal,
    Notice,
    Publish,
    ReachabilityChanged,
    TreesChanged,
    UseMtu,
    WaysChanged,
)
from ripstop.core.mesh.bitmap import mask_of, pack
from ripstop.core.mesh.membership import Identity, Membership
from ripstop.core.mesh.messages import Entry, PeerRecord, Reach
from ripstop.core.mesh.path import Path
from ripstop.core.mesh.replica import Replica
from ripstop.core.mesh.routing import FOLLOW_INTERVAL, RAISE_AFTER, Here, Routing, Way
from ripstop.core.names import PeerName, ShortId, UnderlayIp

OWN, NEAR, FAR = (PeerName(letter * 16) for letter in "159")
IDS = {OWN: ShortId(11), NEAR: ShortId(12), FAR: ShortId(13)}
IPS = {OWN: UnderlayIp("192.0.2.1"), NEAR: UnderlayIp("192.0.2.2"), FAR: UnderlayIp("192.0.2.3")}


class Side:
    """What one peer knows, and what it makes of it."""

    def __init__(self, fixed_mtu: int | None = None) -> None:
        self.replica = Replica()
        self.membership = Membership(Identity(OWN, 1), 6783, (), self.replica)
        self.membership.use_underlay((IPS[OWN],))
        self.routing = Routing(self.membership, fixed_mtu, 0.0)
        self.versions = 0
        for name in IDS:
            self.record(name)

    def record(self, name: PeerName, *, left: bool = False) -> None:
        """Learn the record of a peer."""
        value = PeerRecord(name, 1, "", (IPS[name],), 6783, IDS[name], left=left)
        self._merge(f"peer/{name}", value)
        self.membership.short_id = IDS[OWN]

    def reach(self, name: PeerName, *data: PeerName, control: tuple[PeerName, ...] = (), mtu: int = 1450) -> None:
        """Learn whom a peer reaches."""
        paths, connections = (pack(mask_of(IDS[other] for other in others)) for others in (data, control))
        self._merge(f"reach/{name}", Reach(name, paths, connections, mtu))

    def _merge(self, key: str, value: PeerRecord | Reach) -> None:
        self.versions += 1
        self.replica.merge([Entry(key, self.versions, value)])

    def follow(self, now: float = 0.0, *working: PeerName, underlay_mtu: int = 1500) -> list[Effect | Internal]:
        """See what comes of it, with paths to these."""
        paths = {name: Path(IPS[name], IPS[OWN], 1450) for name in working}
        return self.routing.follow(Here(paths, working, underlay_mtu), now, may_publish=True)


def row() -> Side:
    """Return the end of a row of three."""
    side = Side()
    side.reach(OWN, NEAR, control=(NEAR,))
    side.reach(NEAR, OWN, FAR, control=(OWN, FAR))
    side.reach(FAR, NEAR, control=(NEAR,))
    return side


def test_everything_is_said_once() -> None:
    side = row()
    effects = side.follow(0.0, NEAR)
    kinds = [type(effect) for effect in effects]
    assert kinds == [ReachabilityChanged, Notice, Notice, WaysChanged, Publish, TreesChanged, UseMtu]
    assert effects[0] == ReachabilityChanged((NEAR, FAR))
    assert effects[3] == WaysChanged((NEAR, FAR))
    assert effects[1:3] == [
        Notice("info", f"{NEAR} can be reached"),
        Notice("info", f"{FAR} can be reached by {NEAR}"),
    ]
    assert side.routing.ways == {NEAR: Way(NEAR, 1), FAR: Way(NEAR, 2)}
    assert side.follow(1.0, NEAR) == []


def test_without_leave_nothing_touches_the_kernel() -> None:
    side = row()
    here = Here({NEAR: Path(IPS[NEAR], IPS[OWN], 1450)}, (NEAR,), 1500)
    assert side.routing.follow(here, 0.0, may_publish=False) == [ReachabilityChanged((NEAR, FAR))]
    assert any(isinstance(effect, Publish) for effect in side.follow(0.1, NEAR))


def test_who_goes_is_missed_but_who_left_is_not() -> None:
    side = row()
    side.follow(0.0, NEAR)
    side.reach(NEAR, OWN)
    effects = side.follow(0.1, NEAR)
    assert Notice("warning", f"{FAR} can be reached no more") in effects
    assert WaysChanged((NEAR,)) in effects
    side.record(NEAR, left=True)
    effects = side.follow(0.2)
    assert [effect for effect in effects if isinstance(effect, Notice)] == []
    (publish,) = [effect for effect in effects if isinstance(effect, Publish)]
    assert IPS[NEAR] not in publish.tables.vteps


def test_the_mtu_shrinks_at_once_and_grows_when_it_lasts() -> None:
    side = row()
    for name in (OWN, NEAR, FAR):
        side.reach(name, *(other for other in IDS if other != name), mtu=8950)
    assert UseMtu(8950) in side.follow(0.0, NEAR, FAR, underlay_mtu=9000)
    side.reach(FAR, OWN, NEAR, mtu=1400)
    assert UseMtu(1400) in side.follow(1.0, NEAR, FAR, underlay_mtu=9000)
    side.reach(FAR, OWN, NEAR, mtu=8950)
    assert side.follow(2.0, NEAR, FAR, underlay_mtu=9000) == []
    assert side.routing.deadline == 2.0 + RAISE_AFTER
    side.reach(FAR, OWN, NEAR, mtu=1400)
    assert side.follow(3.0, NEAR, FAR, underlay_mtu=9000) == []
    side.reach(FAR, OWN, NEAR, mtu=8950)
    assert side.follow(10.0, NEAR, FAR, underlay_mtu=9000) == []
    assert side.follow(10.0 + RAISE_AFTER, NEAR, FAR, underlay_mtu=9000) == [UseMtu(8950)]


def test_who_cannot_be_reached_does_not_narrow_anything() -> None:
    side = row()
    side.reach(FAR, mtu=1280)
    assert UseMtu(1450) in side.follow(0.0, NEAR)


def test_a_fixed_mtu_caps() -> None:
    side = Side(fixed_mtu=1300)
    assert UseMtu(1300) in side.follow(0.0)


def test_messages_go_towards_whom_they_are_for() -> None:
    side = row()
    side.follow(0.0, NEAR)
    assert side.routing.neighbor_towards(FAR) == NEAR
    assert side.routing.neighbor_towards(PeerName("f" * 16)) is None
    assert side.routing.neighbor_towards(OWN) is None


def test_changes_are_gathered_for_a_moment() -> None:
    side = row()
    side.routing.touch(0.0)
    assert side.routing.deadline == 0.0
    side.follow(0.0, NEAR)
    side.routing.touch(0.01)
    assert side.routing.deadline == FOLLOW_INTERVAL
