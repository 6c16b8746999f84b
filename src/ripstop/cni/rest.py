"""What the plugin does without a daemon: VERSION, errors, and DEL, which is kept on disk until the daemon is back.

It becomes a part of the plugin's one file, and is compiled when it is needed.
"""

import errno
import json
import os
from collections.abc import Callable

MAX_CONFIG = 1 << 20  # bytes
VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")
ENVIRONMENT, IO, DECODE, CONFIG, LATER, UNAVAILABLE = 4, 5, 6, 7, 11, 50  # numbers of errors in the specification
DONE, FAILED = b"\0", b"\1"  # exit codes, before what is printed

Ask = Callable[[str, bytes], bytes]


class Failed(Exception):  # noqa: N818  as one reads it: the call has failed
    """The call fails: number of the error, and why."""


def answer(run_dir: str, words: list[bytes], trouble: "OSError | None", ask: Ask, limit: int) -> bytes:
    """Return the answer, exit code first.

    Args:
        run_dir: where the daemon's socket should be.
        words: what the plugin was given: five of the environment, and the configuration if it could be read.
        trouble: what kept it from asking the daemon.
        ask: asks it again.
        limit: seconds for which it was waited.
    """
    config = words[5] if len(words) > 5 else b""
    try:
        if len(words) <= 5:
            raise Failed(IO, f"cannot read the configuration: {trouble and trouble.strerror}")
        if len(config) > MAX_CONFIG:
            raise Failed(CONFIG, f"the configuration is larger than {MAX_CONFIG} bytes")
        if words[0] == b"VERSION":
            return version(config)
        return without_daemon(words, run_dir, no_daemon(f"{run_dir}/cni.sock", trouble, limit), ask)
    except Failed as failed:
        return refusal(config, *failed.args)


def no_daemon(path: str, trouble: "OSError | None", limit: int) -> str:
    """Return why nobody answers.

    Raises:
        Failed: somebody may be there after all.
    """
    if trouble is None:
        return f"the daemon on {path} ended before it answered"
    if isinstance(trouble, (FileNotFoundError, ConnectionError, NotADirectoryError)):
        return f"no daemon answers on {path}: {trouble.strerror}"
    if isinstance(trouble, BlockingIOError):
        raise Failed(LATER, f"{path}: the daemon gave no answer within {limit} s")
    why = trouble.strerror or os.strerror(errno.ENAMETOOLONG)  # which has no number in Python
    raise Failed(IO, f"cannot use {path}: {why}")


def without_daemon(words: list[bytes], run_dir: str, why: str, ask: Ask) -> bytes:
    """Do what can be done now; what is there goes on in the kernel."""
    if words[0] == b"DEL":
        return postpone(words, run_dir, why, ask)
    number = UNAVAILABLE if words[0] == b"STATUS" else LATER
    raise Failed(number, f"{why}; start one with `ripstop up`")


def postpone(words: list[bytes], run_dir: str, why: str, ask: Ask) -> bytes:
    """Keep a DEL until the daemon is back, which does it first of all."""
    parsed(words[5])
    _, container, _, ifname = (word.decode(errors="replace") for word in words[:4])
    if not all(word and word[0] != "." and plain(word) for word in (container, ifname)) or len(container) > 128:
        raise Failed(ENVIRONMENT, f"CNI_CONTAINERID {container!r}, CNI_IFNAME {ifname!r}: letters, digits, '_.-' only")
    body, directory = b"\0".join(words), f"{run_dir}/cni"
    final = f"{directory}/{container}+{ifname}"
    try:
        keep(directory, final, body)
    except OSError as error:
        raise Failed(LATER, f"{why}, and cannot keep the request in {directory}: {error.strerror}") from None
    try:
        said = ask(run_dir, body)  # it may have come back just before it could see what we kept
    except OSError:
        said = b""
    if not said:
        return DONE
    try:  # noqa: SIM105  contextlib takes longer to import than all this
        os.unlink(final)  # noqa: PTH108
    except FileNotFoundError:
        pass  # done already
    return said


def plain(word: str) -> bool:
    """Tell whether a word can be part of a file's name, wherever it comes from."""
    return all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in word)


def keep(directory: str, final: str, body: bytes) -> None:
    """Write a file that is there whole or not at all."""
    for made in (os.path.dirname(directory), directory):  # noqa: PTH120
        try:  # noqa: SIM105
            os.mkdir(made, 0o700)  # noqa: PTH102
        except FileExistsError:
            pass
    partial = f"{directory}/.{os.getpid()}"
    try:
        with open(partial, "wb") as file:  # noqa: PTH123
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, final)  # noqa: PTH104
    except OSError:
        try:  # noqa: SIM105
            os.unlink(partial)  # noqa: PTH108
        except OSError:
            pass  # what kept it from being made
        raise


def version(config: bytes) -> bytes:
    """Return which versions we speak; in the version of the question, if that is one of them."""
    said = parsed(config).get("cniVersion") if config.strip() else None
    return DONE + told({"cniVersion": said if said in VERSIONS else VERSIONS[-1], "supportedVersions": VERSIONS})


def refusal(config: bytes, number: int, why: str) -> bytes:
    """Return an error in the version of the question, if that can be read."""
    try:
        said = parsed(config).get("cniVersion")
    except Failed:
        said = None
    return FAILED + told({"cniVersion": said if said in VERSIONS else VERSIONS[-1], "code": number, "msg": why})


def parsed(config: bytes) -> dict[str, object]:
    """Read the configuration ourselves."""
    try:
        found = json.loads(config)
    except ValueError as error:
        raise Failed(DECODE, f"cannot read the configuration: {error}") from None
    if not isinstance(found, dict):
        raise Failed(DECODE, "the configuration is no JSON object")
    return found


def told(said: dict[str, object]) -> bytes:
    """Return it as JSON."""
    return json.dumps(said).encode()
