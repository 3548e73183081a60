"""Run as a script: confine this process, tie its life to its parent's, and become the node.

It runs between fork and exec in a process of its own, because none of this may happen in a forked
copy of a process with threads. Arguments: the parent's pid, the node's program, its arguments.

Where the kernel allows it, the node gets a network of its own with nothing in it, so that its HTTP
port (which it insists on opening, and which would let anybody rewrite balances) is reachable by
nobody. Elsewhere the port is a random one on loopback.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1


def main(parent: int, program: str, arguments: list[str]) -> None:
    """Confine this process and replace it by `program`; returns only where that fails."""
    host = "127.0.0.1"
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
            # The loopback of a new network is down and cannot be bound; nothing else is in it.
            host = "0.0.0.0"  # noqa: S104
        # After unshare: gaining capabilities clears the death signal.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the signal was armed, so nobody will ever stop this one.
            return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execv(program, [program, *arguments, "--host", host])  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
