"""JSON files of tasks and MMARs, and what ends this program."""
import json
import os

from torch_checkpoint import write_whole

MAX_JSON_BYTES = 16 << 20


class BadInput(Exception):
    """Exit code 64: the same input fails again."""


class Failed(Exception):
    """Exit code 1."""


def read_json(path):
    name = os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))
    try:
        with open(path, "rb") as stream:
            text = stream.read(MAX_JSON_BYTES + 1)
        value = json.loads(text.decode("utf-8")) if len(text) <= MAX_JSON_BYTES else None
    except OSError as problem:
        raise BadInput("%s: %s" % (name, problem.strerror))
    except ValueError:
        raise BadInput("%s is no JSON" % name)
    if not isinstance(value, dict):
        raise BadInput("%s is no JSON object, or too large" % name)
    return value


def save_json(path, value):
    write_whole(path, lambda stream: stream.write((json.dumps(value, indent=2) + "\n").encode("utf-8")))
