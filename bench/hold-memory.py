#!/usr/bin/env python3
"""Has this machine keep the memory that benchmarks free.

A virtual machine's host may take back what its guest frees (free page reporting, a balloon) and hand it out again on the
first touch. `federation` prints what that costs as `newMemoryCpuSecondsPerGiB`; where it is more than a few tenths, figures
say more about the host than about the program. This touches the memory once, keeps one page of each MiB in a place that the
kernel cannot move, and frees the rest: what is left are pieces smaller than the 2 MiB in which guests report
(Linux, mm/page_reporting.c), so that the host leaves them alone.

usage: hold-memory.py GIB
Leave 2 GiB of the machine out, run the benchmarks beside it, and end it with Ctrl-C. It keeps 4 MiB of a GiB itself.
"""

import ctypes
import fcntl
import mmap
import os
import signal
import sys

PAGE = mmap.PAGESIZE
MIB = 1 << 20
F_SETPIPE_SZ = 1031
PIPE_PAGES = MIB // PAGE


class Piece(ctypes.Structure):
    """struct iovec of readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def pin(addresses):
    """Pages that lie in a pipe are not moved: vmsplice(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    writer = -1
    for index, address in enumerate(addresses):
        if index % PIPE_PAGES == 0:
            _, writer = os.pipe()
            fcntl.fcntl(writer, F_SETPIPE_SZ, MIB)
        piece = Piece(address, PAGE)
        if libc.vmsplice(writer, ctypes.byref(piece), ctypes.c_ulong(1), ctypes.c_uint(0)) != PAGE:
            raise OSError(ctypes.get_errno(), "a page cannot be pinned")


def main(gib):
    size = int(gib * 1024) * MIB
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(0, size, PAGE):
        memory[page] = 1
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    pin(start + at for at in range(0, size, MIB))
    for at in range(0, size, MIB):
        memory.madvise(mmap.MADV_DONTNEED, at + PAGE, MIB - PAGE)
    print(f"holds {size // MIB} MiB", flush=True)
    signal.pause()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(float(sys.argv[1]))
    except KeyboardInterrupt:
        pass
