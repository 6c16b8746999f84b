"""All paths: who is watched, where, and whose probes are answered."""

from random import Random

from ripstop.core.effects import Effect, Notice, SendProbe
from ripstop.core.events import Probed
from ripstop.core.mesh.messages import PeerRecord, Probe
from ripstop.core.mesh.path import Path
from ripstop.core.mesh.paths import Paths
from ripstop.core.names import PeerName, ShortId, UnderlayIp

OWN, PEER, STRANGER = PeerName("1" * 16), PeerName("2" * 16), PeerName("9" * 16)
HERE, THERE, SHARED = (UnderlayIp(f"192.0.2.{i}") for i in (1, 2, 3))
RECORD = PeerRecord(PEER, 1, "", (THERE, SHARED), 6783, ShortId(2))


def make(**restored: Path) -> Paths:
    """Return paths on a host with two addresses, one of which the peer claims too."""
    paths = Paths(OWN, {PeerName(name): path for name, path in restored.items()}, Random(1))
    paths.use_underlay((HERE, SHARED), 1500, 0.0)
    return paths


def answer(paths: Paths, sent: list[Effect], now: float) -> list[Effect]:
    """Let the peer answer everything."""
    effects: list[Effect] = []
    for effect in sent:
        if isinstance(effect, SendProbe):
            probe = Probe(True, effect.probe.sender, effect.probe.target, effect.probe.nonce, effect.probe.mtu)
            effects += paths.receive(Probed(effect.remote, HERE, probe), now)
    return effects


def test_peers_are_probed_where_their_records_say_but_never_at_our_own_addresses() -> None:
    paths = make()
    assert paths.know((RECORD,), 0.0) == []
    sent = paths.tick(0.0)
    assert {effect.remote for effect in sent if isinstance(effect, SendProbe)} == {THERE}
    assert {effect.probe.target for effect in sent if isinstance(effect, SendProbe)} == {PEER}
    before = paths.generation
    (notice,) = answer(paths, sent, 0.01)
    assert notice == Notice("info", f"path to {PEER} at {THERE}, 1450 bytes")
    assert paths.working() == {PEER: Path(THERE, HERE, 1450)}
    assert paths.generation == before + 1
    assert paths.is_confirmed()


def test_nobody_is_probed_before_our_links_are_known() -> None:
    paths = Paths(OWN, {}, Random(1))
    paths.know((RECORD,), 0.0)
    assert paths.tick(0.0) == []
    assert paths.get(PEER) is None


def test_who_left_is_watched_no_more() -> None:
    paths = make()
    paths.know((RECORD,), 0.0)
    answer(paths, paths.tick(0.0), 0.01)
    paths.know((), 1.0)
    assert paths.working() == {}
    assert paths.tick(2.0) == []


def test_probes_of_known_peers_for_us_are_answered_to_where_they_came_from() -> None:
    paths = make()
    paths.know((RECORD,), 0.0)
    probe = Probe(False, PEER, OWN, 5, 1450)
    assert paths.receive(Probed(THERE, HERE, probe), 0.0) == [SendProbe(THERE, Probe(True, PEER, OWN, 5, 1450))]
    assert paths.receive(Probed(THERE, HERE, Probe(False, STRANGER, OWN, 5, 1450)), 0.0) == []
    assert paths.receive(Probed(THERE, HERE, Probe(False, PEER, STRANGER, 5, 1450)), 0.0) == []
    assert paths.receive(Probed(THERE, HERE, Probe(False, PEER, PeerName(""), 5, 1450)), 0.0) == []


def test_answers_to_others_do_not_concern_us() -> None:
    paths = make()
    paths.know((RECORD,), 0.0)
    for effect in paths.tick(0.0):
        assert isinstance(effect, SendProbe)
        for sender, target in ((STRANGER, PEER), (OWN, STRANGER)):
            paths.receive(Probed(THERE, HERE, Probe(True, sender, target, effect.probe.nonce, effect.probe.mtu)), 0.0)
    assert paths.working() == {}


def test_restored_paths_work_from_the_start_and_are_unconfirmed() -> None:
    path = Path(THERE, HERE, 1450)
    paths = make(**{PEER: path})
    assert paths.working() == {}
    paths.know((RECORD,), 0.0)
    assert paths.working() == {PEER: path}
    assert not paths.is_confirmed()
    assert answer(paths, paths.tick(0.0), 0.01) == []
    assert paths.is_confirmed()


def test_what_is_lost_is_said_once_with_the_reason() -> None:
    paths = make()
    paths.know((RECORD,), 0.0)
    answer(paths, paths.tick(0.0), 0.01)
    said: list[Effect] = []
    while paths.deadline < 30.0:
        said += [effect for effect in paths.tick(paths.deadline) if isinstance(effect, Notice)]
    (notice,) = said
    assert isinstance(notice, Notice)
    assert notice.level == "warning"
    assert notice.text.startswith(f"path to {PEER} lost: no answer from {THERE}")


def test_hurry_probes_at_once_who_has_no_path() -> None:
    paths = make()
    paths.know((RECORD,), 0.0)
    paths.tick(0.0)
    paths.hurry(STRANGER, 0.3)
    paths.hurry(PEER, 0.3)
    assert paths.deadline == 0.3
    answer(paths, paths.tick(0.3), 0.31)
    before = paths.deadline
    paths.hurry(PEER, 0.32)
    assert paths.deadline == before


def test_when_a_path_is_lost_those_that_were_long_in_vain_are_tried_at_once() -> None:
    other = PeerName("3" * 16)
    paths = make()
    silent = PeerRecord(other, 1, "", (UnderlayIp("192.0.2.9"),), 6783, ShortId(3))
    paths.know((RECORD, silent), 0.0)
    now = 0.0
    while now < 30.0:  # the search for the silent one has become slow
        answer(paths, [e for e in paths.tick(now) if isinstance(e, SendProbe) and e.probe.target == PEER], now + 0.001)
        now = max(now + 0.01, paths.deadline)
    while paths.working():
        sent = paths.tick(now)
        if not paths.working():
            break
        now = max(now + 0.01, paths.deadline)
    assert paths.deadline <= now
    sent = paths.tick(now)
    assert other in {effect.probe.target for effect in sent if isinstance(effect, SendProbe)}
