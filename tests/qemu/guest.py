"""What runs in the guest: the tests of the programs and of the switch, then labs with daemons."""

import subprocess
import sys

from tests.qemu import checks, confined, services

TESTS = ("tests/bpf", "tests/kernel")
PURE = "tests/kernel/test_datapath_tables.py"  # the same on every kernel, and much work here
OTHERS = {"confined": confined.run, "lab": checks.run, "services": services.run}
TEST_LIMIT = 1200  # seconds for one test


def main(words: list[str]) -> int:
    """Make the checks that are named, directories of tests and keys of `OTHERS`, or else all; return the exit code."""
    words = words or [*TESTS, *OTHERS]
    tests = [word for word in words if word not in OTHERS]
    pytest = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    limits = [f"--timeout={TEST_LIMIT}", f"--ignore={PURE}"]
    passed = not tests or subprocess.run([*pytest, *limits, *tests], check=False).returncode == 0
    for word in words:
        if word in OTHERS:
            passed = OTHERS[word]() and passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
