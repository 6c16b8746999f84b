"""What a container runtime asks of its network plugin, and how it is refused.

The plugin passes on what it was given, five words from its environment and the configuration from its standard input,
each word ended by a zero byte; all that the specification says of them is checked here.

Source: Container Network Interface Specification 1.1.0, sections 2 (execution protocol) and 5 (result types).
"""

import enum
import re
from ipaddress import IPv4Interface, IPv4Network, ip_interface
from typing import Annotated

import msgspec

from ripstop.core.dns.messages import is_name

VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
MAX_CONFIG = 1 << 20  # bytes
_FIRST_VERSION = {"ADD": "0.3.1", "DEL": "0.3.1", "CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
_ABOUT_ALL = ("GC", "STATUS")  # commands about a network, not about one interface
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")  # the specification sets no limit, our records do
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
GUARD_ANNOTATION = "ripstop/guard"
_CHOICE = re.compile(r"on|off|[a-z]+(,[a-z]+)*")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Code(enum.IntEnum):
    """Numbers of errors; those from 100 on are ours."""

    VERSION = 1  # the configuration is of a version that we do not speak
    FIELD = 2  # a field of the configuration means something that we do not do
    CONTAINER = 3  # the container is unknown, or gone
    ENVIRONMENT = 4  # CNI_CONTAINERID and others
    IO = 5
    DECODE = 6  # no JSON, or not as it has to be
    CONFIG = 7  # a value makes no sense
    LATER = 11  # it may go when tried again
    UNAVAILABLE = 50  # STATUS: no ADD can be served
    LIMITED = 51  # STATUS: moreover, containers that are there may not reach all others
    TAKEN = 100  # the interface, or an address asked for, is in use
    HOST = 101  # kernel or disk refuse
    CHANGED = 102  # CHECK: it is not as ADD left it


class CniError(Exception):
    """The plugin fails; the runtime reads why from its standard output."""

    def __init__(self, code: Code, text: str, details: str = "") -> None:
        super().__init__(text)
        self.code, self.details = code, details


class Dns(msgspec.Struct, omit_defaults=True):
    """Name service for the container, as the runtime sets it up; we only pass it on."""

    nameservers: list[str] = []
    domain: str = ""
    search: list[str] = []
    options: list[str] = []


class Attachment(msgspec.Struct, frozen=True):
    """One container on one interface, as GC lists those that are there."""

    container: str = msgspec.field(name="containerID")
    ifname: str


class Bandwidth(msgspec.Struct, rename="camel", frozen=True):
    """Limits for the container, 0 for none.  Source: CNI conventions, `bandwidth`."""

    ingress_rate: Annotated[int, msgspec.Meta(ge=0)] = 0  # bits per second that it gets
    ingress_burst: Annotated[int, msgspec.Meta(ge=0)] = 0  # bits
    egress_rate: Annotated[int, msgspec.Meta(ge=0)] = 0  # bits per second that it sends
    egress_burst: Annotated[int, msgspec.Meta(ge=0)] = 0  # bits

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return bool(self.ingress_rate or self.egress_rate)


class RuntimeDns(msgspec.Struct):
    """The capability `dns`, whose words differ from those of the result."""

    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []


class RuntimeConfig(msgspec.Struct):
    """What the runtime adds for one container, by the capabilities that the configuration declares."""

    ips: list[str] = []
    mac: str = ""
    dns: RuntimeDns = msgspec.field(default_factory=RuntimeDns)
    bandwidth: Bandwidth = Bandwidth()
    annotations: dict[str, str] | None = msgspec.field(default=None, name="io.kubernetes.cri.pod-annotations")


class Config(msgspec.Struct, rename="camel"):
    """The configuration of our plugin; unknown fields are other versions' or other plugins' and do no harm."""

    cni_version: str = ""
    name: str = ""
    type: str = ""
    mtu: int = 0  # bytes; 0: as large as the overlay carries
    subnet: str = ""  # where addresses are taken from; "": the host's default
    default_route: bool = True  # through this host, which takes an address on the overlay for it
    guard: bool = True  # stop what claims to be of somebody else, or comes from rogue routers and DHCP servers
    guard_by_annotation: tuple[str, ...] = ()  # namespaces of Kubernetes whose pods may have less; "*": all
    multicast: bool = True  # False: neither to nor from groups, but those that stay on the link
    multicast_route: bool = True  # 224.0.0.0/4 through the interface
    dns: Dns = msgspec.field(default_factory=Dns)
    runtime_config: RuntimeConfig = msgspec.field(default_factory=RuntimeConfig)
    prev_result: msgspec.Raw = msgspec.Raw(b"")
    ipam: dict[str, object] = {}
    attachments: list[Attachment] | msgspec.UnsetType | None = msgspec.field(
        name="cni.dev/valid-attachments", default=msgspec.UNSET
    )
    former_attachments: list[Attachment] | msgspec.UnsetType | None = msgspec.field(
        name="cni.dev/attachments", default=msgspec.UNSET
    )  # how the text of the specification once called them, and how runtimes still do


class Request(msgspec.Struct, frozen=True):
    """One call of the plugin, checked."""

    command: str
    container: str
    netns: str
    ifname: str
    config: Config
    hostnames: tuple[str, ...] = ()  # of the container: a pod's, if it is in one
    guard: bool = True
    guards: tuple[str, ...] = ()  # these only; empty: all

    @property
    def version(self) -> str:
        """The version in which to answer."""
        return self.config.cni_version

    @property
    def is_modern(self) -> bool:
        """Whether the result is as of 1.0.0."""
        return VERSIONS.index(self.version) >= VERSIONS.index("1.0.0")

    @property
    def knows_mtu(self) -> bool:
        """Whether the result is as of 1.1.0."""
        return self.version == VERSIONS[-1]

    @property
    def mac(self) -> str:
        """The address that the interface is to have, "" for ours."""
        return self.config.runtime_config.mac.lower()

    @property
    def dns(self) -> Dns:
        """Name service, what the runtime says going before what the configuration says."""
        said, own = self.config.runtime_config.dns, self.config.dns
        return Dns(
            said.servers or own.nameservers, own.domain, said.searches or own.search, said.options or own.options
        )

    def addresses(self, subnet: str) -> tuple[str, ...]:
        """Return what to take, as ADDRESS/LEN or net:CIDR; an address without a length is one of `subnet`."""
        if not self.config.runtime_config.ips:
            return (f"net:{self.config.subnet or 'default'}",)
        _, _, length = (self.config.subnet or subnet).partition("/")
        return tuple(text if "/" in text else f"{text}/{length}" for text in self.config.runtime_config.ips)

    def valid(self) -> frozenset[tuple[str, str]]:
        """Return which interfaces of which containers are to stay, for GC.

        Raises:
            CniError: the runtime does not say, so nothing may go.
        """
        listed = self.config.attachments
        if listed is msgspec.UNSET:
            listed = self.config.former_attachments
        if listed is msgspec.UNSET:
            raise CniError(Code.CONFIG, "GC needs cni.dev/valid-attachments, the list of what is to stay")
        return frozenset((one.container, one.ifname) for one in listed or ())


def decode(body: bytes) -> Request:
    """Read what the plugin was given.

    Raises:
        CniError: it is not as the specification wants it; `version_of` says in which version to tell.
    """
    words = body.split(b"\0", 5)
    if len(words) != 6:
        raise CniError(Code.DECODE, "this is not what our plugin sends; is it of another version?")
    command, container, netns, ifname, arguments = (word.decode(errors="replace") for word in words[:5])
    config = _config(words[5])
    if command not in _FIRST_VERSION:
        raise CniError(Code.ENVIRONMENT, f"CNI_COMMAND {command!r} is none of {', '.join(_FIRST_VERSION)}, VERSION")
    _check_version(command, config.cni_version)
    if not _NETWORK.fullmatch(config.name):
        raise CniError(Code.CONFIG, f"network name {config.name!r}: letters, digits, '_', '.', '-', up to 128")
    if command not in _ABOUT_ALL:
        _check_environment(command, container, netns, ifname)
        config = _with_arguments(config, arguments)
    said = _said(arguments)
    if command != "ADD":
        return Request(command, container, netns, ifname, config, _hostnames(said))
    _check_config(config)
    config.multicast_route &= config.multicast
    return Request(command, container, netns, ifname, config, _hostnames(said), *_guard(config, said))


def version_of(body: bytes) -> str:
    """Return in which version to tell of an error: that of the configuration, if it says one that we speak."""
    try:
        said = msgspec.json.decode(body.split(b"\0", 5)[-1], type=_Version).said
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return VERSIONS[-1]
    return said if said in VERSIONS else VERSIONS[-1]


def refusal(version: str, error: CniError) -> bytes:
    """Return what the plugin prints when it fails.  Source: section 5, "Error"."""
    told = {"cniVersion": version, "code": int(error.code), "msg": str(error)}
    return msgspec.json.encode({**told, "details": error.details} if error.details else told)


def breakdown(body: bytes) -> bytes:
    """Return what the plugin prints when the daemon has a bug: nobody knows whether anything was done."""
    error = CniError(Code.LATER, "the daemon could not serve this because of an error of its own; its log has the rest")
    return refusal(version_of(body), error)


class _Version(msgspec.Struct):
    said: str = msgspec.field(name="cniVersion", default="")


def _config(text: bytes) -> Config:
    if len(text) > MAX_CONFIG:
        raise CniError(Code.CONFIG, f"the configuration is larger than {MAX_CONFIG} bytes")
    try:
        return msgspec.json.decode(text, type=Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CniError(Code.DECODE, f"cannot read the configuration: {error}") from None


def _check_version(command: str, version: str) -> None:
    if version not in VERSIONS:
        text = f"cniVersion {version!r} is none of {', '.join(VERSIONS)}"
        raise CniError(Code.VERSION, text, "set cniVersion in the configuration to one of these")
    if VERSIONS.index(version) < VERSIONS.index(_FIRST_VERSION[command]):
        raise CniError(
            Code.VERSION, f"cniVersion {version} has no {command}, which came with {_FIRST_VERSION[command]}"
        )


def _check_environment(command: str, container: str, netns: str, ifname: str) -> None:
    if not _CONTAINER.fullmatch(container):
        raise CniError(Code.ENVIRONMENT, f"CNI_CONTAINERID {container!r}: letters, digits, '_', '.', '-', up to 128")
    if (
        not 1 <= len(ifname) <= 15
        or ifname in (".", "..")
        or any(c in "/:" or c.isspace() or not c.isascii() or not c.isprintable() for c in ifname)
    ):
        raise CniError(Code.ENVIRONMENT, f"CNI_IFNAME {ifname!r}: 1 to 15 characters, no slash, colon or blank")
    if not netns.startswith("/") and (netns or command != "DEL"):
        raise CniError(Code.ENVIRONMENT, f"CNI_NETNS {netns!r} is no absolute path")


def _with_arguments(config: Config, arguments: str) -> Config:
    """Heed what CNI_ARGS says of address and MAC, where nothing else does; the rest is others'."""
    runtime = config.runtime_config
    for pair in filter(None, arguments.split(";")):
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise CniError(Code.ENVIRONMENT, f"CNI_ARGS {pair!r} is no KEY=VALUE")
        if key == "IP" and not runtime.ips:
            runtime.ips = [value]
        elif key == "MAC" and not runtime.mac:
            runtime.mac = value
    return config


def _said(arguments: str) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in arguments.split(";"))


def _hostnames(said: dict[str, str]) -> tuple[str, ...]:
    """Return POD.NAMESPACE, as far as the runtime says it and it can be a name."""
    name = f"{said.get('K8S_POD_NAME', '')}.{said.get('K8S_POD_NAMESPACE', '')}"
    return (name,) if is_name(name) else ()


def _guard(config: Config, said: dict[str, str]) -> tuple[bool, tuple[str, ...]]:
    """Return whether to guard, and which guards only: as the configuration says, or the pod's annotation.

    Raises:
        CniError: the annotation makes no sense, or wants less than this pod may have.
    """
    choice = (config.runtime_config.annotations or {}).get(GUARD_ANNOTATION, "")
    if not choice:
        return config.guard, ()
    if not _CHOICE.fullmatch(choice):
        text = f"annotation {GUARD_ANNOTATION}: {choice!r} is neither on, off, nor like mac,router"
        raise CniError(Code.CONFIG, text)
    namespace = said.get("K8S_POD_NAMESPACE", "")
    if config.guard and choice != "on" and not {namespace, "*"} & set(config.guard_by_annotation):
        text = f"annotation {GUARD_ANNOTATION}: pods of namespace {namespace!r} may not have {choice!r}"
        raise CniError(Code.CONFIG, text, "guardByAnnotation of the network names the namespaces whose pods may")
    return choice != "off", () if choice in ("on", "off") else tuple(choice.split(","))


def _check_config(config: Config) -> None:
    runtime = config.runtime_config
    if config.ipam:
        raise CniError(Code.FIELD, f"ipam {config.ipam}: addresses come from the hosts themselves; leave it out")
    if config.mtu and not 576 <= config.mtu <= 65535:  # RFC 791: what every host takes
        raise CniError(Code.CONFIG, f"mtu {config.mtu} is not within 576..65535")
    if runtime.mac and (not _MAC.fullmatch(runtime.mac.lower()) or int(runtime.mac[:2], 16) & 1):
        raise CniError(Code.CONFIG, f"mac {runtime.mac!r} is no address of one station, like 02:00:5e:10:00:01")
    limits = runtime.bandwidth
    for rate, burst in ((limits.ingress_rate, limits.ingress_burst), (limits.egress_rate, limits.egress_burst)):
        if rate and not 8 * 1500 <= burst <= 1 << 35:  # one packet at least; 4 GiB is what the kernel counts to
            raise CniError(
                Code.CONFIG, f"bandwidth: a rate of {rate} needs a burst of 12000 bits to 4 GiB, not {burst}"
            )
    if config.subnet:
        try:
            IPv4Network(config.subnet)
        except ValueError as error:
            raise CniError(Code.CONFIG, f"subnet {config.subnet!r}: {error}") from None
    for text in runtime.ips:
        try:
            if not isinstance(ip_interface(text), IPv4Interface):
                raise ValueError("only IPv4 addresses are given out")
        except ValueError as error:
            raise CniError(Code.CONFIG, f"ips {text!r}: {error}") from None
