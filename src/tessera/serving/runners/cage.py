"""What a child process gives up before it runs a publisher's code.

Three layers, each on its own: resource limits (always), a filter of system calls (seccomp: no new
processes, no programs, no network, no signals to others), and closed files (Landlock: nothing
readable but the bundle and Python itself, nothing writable). The last two depend on the kernel;
what could not be had is reported, not assumed. Runs in the child, on the standard library alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Sequence

__all__ = [
    "die_with_parent",
    "drop_capabilities",
    "filter_system_calls",
    "landlock",
    "limit_resources",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# Threads count as processes here; a filter forbids processes where there is one.
_MAX_PROCESSES = 4096
_MAX_FILES = 256

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """End this process when the one that started it ends, also if that already happened."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def limit_resources(*, memory_bytes: int, file_bytes: int, cpu_s: int) -> None:
    """Bound memory (address space), file size and CPU time; leave no core dumps.

    Parameters
    ----------
    memory_bytes
        Address space; what Python and libraries map counts too.
    file_bytes
        Size of any file written.
    cpu_s
        CPU seconds in the process's whole life; the kernel then ends it.
    """
    for kind, wanted in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, _MAX_PROCESSES),
        (resource.RLIMIT_NOFILE, _MAX_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (bound, bound))


_CAPABILITY_VERSION_3 = 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}


def drop_capabilities() -> bool:
    """Give up what root may do beyond other users; without effect for anybody else.

    Returns
    -------
    bool
        Whether no capability is left.
    """
    number = _CAPSET.get(platform.machine())
    if number is None:
        return os.geteuid() != 0
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), 8)
    none = ctypes.create_string_buffer(24)
    done: int = _libc.syscall(number, header, none)
    return done == 0


# --- system calls ---------------------------------------------------------------------------------

# Numbers from the kernel's tables for x86-64 and the generic table that arm64 uses.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN = {
    "x86_64": {
        "socket": 41, "fork": 57, "vfork": 58, "tkill": 200, "execve": 59, "ptrace": 101,
        "mount": 165, "umount2": 166,
        "chroot": 161, "pivot_root": 155, "init_module": 175, "kexec_load": 246, "add_key": 248,
        "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298, "setns": 308,
        "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "bpf": 321,
        "execveat": 322, "userfaultfd": 323, "pidfd_send_signal": 424, "io_uring_setup": 425,
        "open_tree": 428, "move_mount": 429, "fsopen": 430, "pidfd_open": 434,
        "pidfd_getfd": 438, "process_madvise": 440, "rt_sigqueueinfo": 129,
        "rt_tgsigqueueinfo": 297,
    },
    "aarch64": {
        "socket": 198, "tkill": 130, "execve": 221, "ptrace": 117, "mount": 40, "umount2": 39,
        "chroot": 51, "pivot_root": 41,
        "init_module": 105, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219,
        "unshare": 97, "perf_event_open": 241, "setns": 268, "process_vm_readv": 270,
        "process_vm_writev": 271, "finit_module": 273, "bpf": 280, "execveat": 281,
        "userfaultfd": 282, "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428,
        "move_mount": 429, "fsopen": 430, "pidfd_open": 434, "pidfd_getfd": 438,
        "process_madvise": 440, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240,
    },
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = {"x86_64": 435, "aarch64": 435}
# Calls whose first argument names a process: kill, tgkill, prlimit64. Allowed on this one only.
_NAMING_A_PROCESS = {"x86_64": (62, 234, 302), "aarch64": (129, 131, 261)}
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000

_LD_ABS, _JEQ, _JSET, _JGE, _RET = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_AT_NUMBER, _AT_ARCH, _AT_FIRST_ARGUMENT = 0, 4, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def filter_system_calls() -> bool:
    """Forbid processes, programs, network, and reaching into other processes, from now on.

    Threads stay possible, socket pairs, and signals to this very process. A forbidden call fails
    with EPERM, so the publisher's code sees a `PermissionError`.

    Returns
    -------
    bool
        Whether the filter is in force; False on an unknown processor or a kernel without seccomp.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES or sys.byteorder != "little":
        return False
    code = b"".join(_instructions(machine, os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    done: int = _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return done == 0


def _instructions(machine: str, own: int) -> Iterable[bytes]:
    denied = _ERRNO | errno.EPERM
    yield _step(_LD_ABS, _AT_ARCH)
    yield _step(_JEQ, _ARCHITECTURES[machine], 1, 0)
    yield _step(_RET, _KILL_PROCESS)
    yield _step(_LD_ABS, _AT_NUMBER)
    # The x32 table of x86-64 has other numbers for the same calls.
    yield _step(_JGE, _X32_BIT, 0, 1)
    yield _step(_RET, denied)
    for number in sorted(n for n in _FORBIDDEN[machine].values() if n >= 0):
        yield _step(_JEQ, number, 0, 1)
        yield _step(_RET, denied)
    # The flags of clone3 lie in memory that a filter cannot read; libc falls back to clone.
    yield _step(_JEQ, _CLONE3[machine], 0, 1)
    yield _step(_RET, _ERRNO | errno.ENOSYS)
    yield _step(_JEQ, _CLONE[machine], 0, 4)
    yield _step(_LD_ABS, _AT_FIRST_ARGUMENT)
    yield _step(_JSET, _CLONE_THREAD, 0, 1)
    yield _step(_RET, _ALLOW)
    yield _step(_RET, denied)
    for number in _NAMING_A_PROCESS[machine]:
        yield _step(_JEQ, number, 0, 5)
        yield _step(_LD_ABS, _AT_FIRST_ARGUMENT)
        yield _step(_JEQ, own, 1, 0)
        yield _step(_JEQ, 0 if number == _NAMING_A_PROCESS[machine][2] else own, 0, 1)
        yield _step(_RET, _ALLOW)
        yield _step(_RET, denied)
    yield _step(_RET, _ALLOW)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


# --- files ----------------------------------------------------------------------------------------

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
# Rights that each version of the interface added to the thirteen of the first.
_FIRST_RIGHTS = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15


def landlock(readable: Sequence[str]) -> bool:
    """Close the file system but for what lies under `readable`, which becomes read-only.

    Parameters
    ----------
    readable
        Files and folders; one that does not exist is left out.

    Returns
    -------
    bool
        Whether it is in force; False on a kernel without Landlock.
    """
    version = _libc.syscall(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION_FLAG)
    if version < 1:
        return False
    handled = _FIRST_RIGHTS
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        handled |= right if version >= since else 0
    attributes = ctypes.create_string_buffer(struct.pack("<Q", handled), 8)
    rules = _libc.syscall(_LANDLOCK_CREATE, attributes, 8, 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _allow(rules, path, _READ_FILE | _READ_DIR | _EXECUTE)
        _allow(rules, os.devnull, _READ_FILE | _WRITE_FILE)
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        done: int = _libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
        return done == 0
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what does not exist needs no right
    try:
        if not os.path.isdir(path):  # noqa: PTH112
            rights &= ~_READ_DIR
        rule = ctypes.create_string_buffer(struct.pack("<Qi", rights, place), 12)
        _libc.syscall(_LANDLOCK_ADD, rules, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(place)
