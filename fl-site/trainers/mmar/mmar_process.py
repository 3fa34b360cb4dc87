"""The MMAR's own program: run to its end, stopped with all that it started, and understood by what it prints."""
import json
import math
import os
import re
import select
import signal
import subprocess
import time

MAX_LINE_BYTES = 64 << 10
# From SIGTERM to SIGKILL; the agent waits for 30 s.
GRACE_SECONDS = 20
# What a program left behind may hold its output open for so long.
PIPE_SECONDS = 5
ITERATION = re.compile(r"Epoch: (\d+)/(\d+), Iter: (\d+)/(\d+) --(.*)")
EPOCH_METRICS = re.compile(r"Epoch\[(\d+)\] Metrics --(.*)")
METRIC = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,59}): ([-+0-9.eE]+)(?=\s|$)")


def supervise(command, work, output, early):
    """Runs a program to its end, and what it started to theirs.

    `early` holds something when SIGTERM has come already. Returns the exit code, and whether the program was to stop.
    """
    # With a group of its own this program's children are in it, so that whoever kills the group gets all of them.
    leader = os.getpgrp() == os.getpid()
    child = subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=not leader)
    group = os.getpgrp() if leader else child.pid
    stopped = []

    def stop(*_):
        if not stopped:
            stopped.append(True)
            signal.alarm(GRACE_SECONDS)
        signal_group(group, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGALRM, lambda *_: signal_group(group, signal.SIGKILL))
    if early:
        stop()
    try:
        read_output(child, output, stopped)
        code = child.wait()
    finally:
        signal.alarm(0)
        signal_group(group, signal.SIGKILL)
    return code, bool(stopped)


def read_output(child, output, stopped):
    pipe, rest, ended = child.stdout.fileno(), b"", None
    while True:
        ready, _, _ = select.select([pipe], [], [], 1)
        if ready:
            piece = os.read(pipe, 1 << 16)
            if not piece:
                break
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()[-MAX_LINE_BYTES:]
            for line in lines:
                output.line(line[:MAX_LINE_BYTES].decode("utf-8", "replace"))
        if child.poll() is not None:
            ended = ended or time.monotonic()
            if stopped or time.monotonic() - ended > PIPE_SECONDS:
                break
    if rest:
        output.line(rest.decode("utf-8", "replace"))


def signal_group(group, number):
    """Every process of a group but this one, which may be in it."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/stat" % name) as stream:
                # The second field is the program's name in brackets, which may hold anything.
                if int(stream.read().rpartition(")")[2].split()[2]) == group:
                    os.kill(int(name), number)
        except (OSError, ValueError, IndexError):
            continue  # It has ended.


class Output:
    """What the training says: MONAI's StatsHandler is understood, all is passed on as log text."""

    def __init__(self):
        self.steps, self.metrics, self.told = 0, {}, 0.0

    def line(self, text):
        print(text, flush=True)
        found = ITERATION.search(text)
        if found:
            epoch, epochs, iteration, iterations = (int(part) for part in found.groups()[:4])
            self.steps = max(self.steps, (epoch - 1) * iterations + iteration)
            self.metrics.update(metrics_in(found.group(5)))
            self.progress(self.steps / max(1, epochs * iterations))
            return
        found = EPOCH_METRICS.search(text)
        if found:
            self.metrics.update(metrics_in(found.group(2)))

    def progress(self, share):
        now = time.monotonic()
        if now - self.told < 0.5 and share < 1:
            return
        self.told = now
        print(json.dumps({"progress": min(1.0, share), "step": self.steps, "metrics": self.metrics}), flush=True)


def metrics_in(text):
    found = {}
    for name, value in METRIC.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number):
            found[name] = number
    return found
