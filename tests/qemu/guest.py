"""What runs in the guest: the tests of the programs and of the switch, then labs with daemons."""

import subprocess
import sys

from tests.qemu import checks, services

TESTS = ("tests/bpf", "tests/kernel")
PURE = "tests/kernel/test_datapath_tables.py"  # the same on every kernel, and much work here
LAB, SERVICES = "lab", "services"
TEST_LIMIT = 1200  # seconds for one test


def main(words: list[str]) -> int:
    """Make the checks that are named, directories of tests, `lab`, `services`, or else all; return the exit code."""
    words = words or [*TESTS, LAB, SERVICES]
    tests = [word for word in words if word not in (LAB, SERVICES)]
    pytest = [sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"]
    limits = [f"--timeout={TEST_LIMIT}", f"--ignore={PURE}"]
    passed = not tests or subprocess.run([*pytest, *limits, *tests], check=False).returncode == 0
    if LAB in words:
        passed = checks.run() and passed
    if SERVICES in words:
        passed = services.run() and passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
