#!/usr/bin/python3 -IS
"""The network plugin that container runtimes start, once for each change: hands all it is given to the daemon.

Half of what a start takes is imports, so while all goes well there are none but of what is built into the interpreter.
The daemon knows the specification; here is only what must work without one: VERSION, and DEL, which is kept on disk
until the daemon is back.
"""

import _socket
import posix
import sys

RUN_DIR = "/run/ripstop"  # where the daemon's socket is; `ripstop cni install` puts its own here
TIME_LIMIT = 60  # seconds without an answer; runtimes wait for two minutes or more
MAX_CONFIG = 1 << 20  # bytes
VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
ENVIRONMENT, IO, DECODE, CONFIG, LATER, UNAVAILABLE = 4, 5, 6, 7, 11, 50  # numbers of errors in the specification
PARAMETERS = ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS")
DONE, REFUSED = 200, 422  # as the daemon says it


class Failed(Exception):  # noqa: N818  as one reads it: the call has failed
    """The call fails: number of the error, and why."""


class NoDaemon(Exception):  # noqa: N818  nothing is wrong with the call
    """Nobody listens on the socket, or whoever did has died: why."""


def main() -> int:
    """Serve one call; return the exit code."""
    parameters = [variable(name) for name in PARAMETERS]
    config = b""
    try:
        config = standard_input()
        if parameters[0] == b"VERSION":
            return show_version(config)
        body = b"\0".join((*parameters, config))
        try:
            status, answer = ask(body)
        except NoDaemon as error:
            return without_daemon(parameters, config, body, str(error))
        if status not in (DONE, REFUSED):
            raise Failed(LATER, f"the daemon answers with status {status}; is it of another version?")
        write(answer)
        return int(status != DONE)
    except Failed as failed:
        return fail(config, *failed.args)


def variable(name: str) -> bytes:
    """Return a variable of the environment, b"" if there is none."""
    return posix.environ.get(name.encode(), b"")


def standard_input() -> bytes:
    """Read the configuration."""
    parts, size = [], 0
    try:
        while part := posix.read(0, 65536):
            parts.append(part)
            size += len(part)
            if size > MAX_CONFIG:
                raise Failed(CONFIG, f"the configuration is larger than {MAX_CONFIG} bytes")
    except OSError as error:
        raise Failed(IO, f"cannot read the configuration: {error.strerror}") from None
    return b"".join(parts)


def write(answer: bytes) -> None:
    """Print what the runtime is to read."""
    while answer:
        answer = answer[posix.write(1, answer) :]


def ask(body: bytes) -> tuple[int, bytes]:
    """Hand a call to the daemon; return the status of its answer, and the answer.

    The socket blocks, and the kernel minds the time: one that does not block would be refused when many ask at once.
    """
    path = (variable("RIPSTOP_RUN_DIR").decode() or RUN_DIR) + "/ripstop.sock"
    limit = TIME_LIMIT.to_bytes(8, sys.byteorder) + bytes(8)  # struct timeval
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    for option in (_socket.SO_RCVTIMEO, _socket.SO_SNDTIMEO):
        connection.setsockopt(_socket.SOL_SOCKET, option, limit)
    head = f"POST /v1/cni HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = b""
    try:
        connection.connect(path)
        connection.sendall(head.encode() + body)
        while part := connection.recv(65536):
            answer += part
    except BlockingIOError:
        raise Failed(LATER, f"{path}: the daemon gave no answer within {TIME_LIMIT} s") from None
    except (FileNotFoundError, ConnectionError, NotADirectoryError) as error:
        raise NoDaemon(f"no daemon answers on {path}: {error.strerror}") from None
    except OSError as error:
        raise Failed(IO, f"cannot use {path}: {error.strerror}") from None
    first, _, rest = answer.partition(b"\r\n")
    _, found, text = rest.partition(b"\r\n\r\n")
    if not found:
        raise NoDaemon(f"the daemon on {path} ended before it answered")
    return int(first[9:12]), text


def without_daemon(parameters: list[bytes], config: bytes, body: bytes, why: str) -> int:
    """Do what can be done now; what is there goes on in the kernel."""
    if parameters[0] == b"DEL":
        return postpone(parameters, config, body, why)
    number = UNAVAILABLE if parameters[0] == b"STATUS" else LATER
    raise Failed(number, f"{why}; start one with `ripstop up`")


def postpone(parameters: list[bytes], config: bytes, body: bytes, why: str) -> int:
    """Keep a DEL until the daemon is back, which does it first of all."""
    parsed(config)
    _, container, _, ifname, _ = (word.decode(errors="replace") for word in parameters)
    if not all(word and word[0] != "." and plain(word) for word in (container, ifname)) or len(container) > 128:
        raise Failed(ENVIRONMENT, f"CNI_CONTAINERID {container!r}, CNI_IFNAME {ifname!r}: letters, digits, '_.-' only")
    directory = (variable("RIPSTOP_RUN_DIR").decode() or RUN_DIR) + "/cni"
    final = f"{directory}/{container}+{ifname}"
    try:
        keep(directory, final, body)
    except OSError as error:
        raise Failed(LATER, f"{why}, and cannot keep the request in {directory}: {error.strerror}") from None
    try:
        status, answer = ask(body)  # it may have come back just before it could see what we kept
    except NoDaemon:
        return 0
    try:  # noqa: SIM105  contextlib is one more import
        posix.unlink(final)
    except FileNotFoundError:
        pass  # done already
    write(answer)
    return int(status != DONE)


def plain(word: str) -> bool:
    """Tell whether a word can be part of a file's name, wherever it comes from."""
    return all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in word)


def keep(directory: str, final: str, body: bytes) -> None:
    """Write a file that is there whole or not at all."""
    for made in (directory.rpartition("/")[0], directory):
        try:  # noqa: SIM105
            posix.mkdir(made, 0o700)
        except FileExistsError:
            pass
    partial = f"{directory}/.{posix.getpid()}"
    file = posix.open(partial, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
    try:
        left = body
        while left:
            left = left[posix.write(file, left) :]
        posix.fsync(file)
    finally:
        posix.close(file)
    posix.rename(partial, final)


def show_version(config: bytes) -> int:
    """Print which versions we speak; in the version of the question, if that is one of them."""
    said = parsed(config).get("cniVersion") if config.strip() else None
    emit({"cniVersion": said if said in VERSIONS else VERSIONS[-1], "supportedVersions": VERSIONS})
    return 0


def fail(config: bytes, number: int, why: str) -> int:
    """Print an error in the version of the question, if that can be read."""
    try:
        said = parsed(config).get("cniVersion")
    except Failed:
        said = None
    emit({"cniVersion": said if said in VERSIONS else VERSIONS[-1], "code": number, "msg": why})
    return 1


def parsed(config: bytes) -> dict[str, object]:
    """Read the configuration ourselves."""
    import json

    try:
        found = json.loads(config)
    except ValueError as error:
        raise Failed(DECODE, f"cannot read the configuration: {error}") from None
    if not isinstance(found, dict):
        raise Failed(DECODE, "the configuration is no JSON object")
    return found


def emit(told: dict[str, object]) -> None:
    """Print as JSON."""
    import json

    write(json.dumps(told).encode())


if __name__ == "__main__":
    posix._exit(main())  # noqa: SLF001  it is public; without it the interpreter's farewell takes a millisecond
