#!/usr/bin/env python3
"""Trains an MMAR of NVIDIA Clara Train 4 by the trainer contract, protocol 1 (docs/trainer-contract.md).

    clara_mmar_trainer.py --mmar DIR [--launch module|script] [--python PROGRAM] [--set NAME=VALUE] [--allow NAME] TASK_FOLDER

The MMAR is never written to: each task trains in a copy of its configuration and programs, where the global model lies as the
checkpoint that its CheckpointLoader reads. Needs Python 3.8 and nothing else; the MMAR's own program needs what it needs.
Exit codes: 0 done, 64 bad input, 75 interrupted, 1 failed.
"""
import argparse
import math
import os
import re
import signal
import sys

from mmar_files import BadInput, Failed, read_json, save_json
from mmar_layout import lay_out
from mmar_process import Output, supervise
from torch_checkpoint import BadModel, Checkpoint, Safetensors, write_checkpoint, write_safetensors


def main():
    options = arguments()
    folder = os.path.abspath(options.folder)
    task = read_task(folder)
    if task["kind"] == "initialise":
        return initialise(options, folder, task)
    if task["kind"] != "train":
        raise BadInput("an MMAR does no task of kind %s here; leave it out of the plan" % task["kind"])
    for key, way in (("rule", "a strategy without a rule of training"), ("frozen", "a plan that freezes nothing")):
        if key in task:
            raise BadInput("an MMAR trains as its own configuration says and knows no %s; choose %s" % (key, way))
    return train(options, folder, task)


def arguments():
    parser = argparse.ArgumentParser(description="Trains an MMAR of NVIDIA Clara Train by the trainer contract.")
    parser.add_argument("--mmar", required=True, help="folder of the MMAR")
    parser.add_argument("--launch", choices=("module", "script"), default="module",
                        help="medl.apps.train itself, or commands/train.sh with NAME=VALUE as its arguments")
    parser.add_argument("--python", default="python3", help="runs medl.apps.train")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="variable of config_train.json")
    parser.add_argument("--allow", action="append", default=[], metavar="NAME", help="variable that plans may set")
    parser.add_argument("folder")
    return parser.parse_args()


def read_task(folder):
    task = read_json(os.path.join(folder, "task.json"))
    if task.get("protocol") != 1:
        raise BadInput("task.json has protocol %r; this trainer speaks 1" % (task.get("protocol"),))
    model = task.get("model", {})
    faults = [name for name, kind in (("task", str), ("kind", str), ("seed", int), ("dataset", dict), ("parameters", dict))
              if not isinstance(task.get(name), kind)]
    if task.get("kind") in ("train", "initialise") and not is_inside(folder, model.get("output")):
        faults.append("model.output")
    if task.get("kind") == "train" and not is_inside(folder, model.get("input")):
        faults.append("model.input")
    if faults:
        raise BadInput("task.json is broken at %s" % ", ".join(faults))
    return task


def is_inside(folder, name):
    return isinstance(name, str) and os.path.abspath(os.path.join(folder, name)).startswith(folder + os.sep)


def initialise(options, folder, task):
    """The model that the MMAR comes with: where transfer learning begins."""
    if "reinitialise" in task:
        raise BadInput("an MMAR makes no tensors anew; choose a plan without reinitialise")
    file = os.path.join(options.mmar, "models", "model.pt")
    if not os.path.isfile(file):
        raise BadInput("the MMAR has no models/model.pt to begin with; put one there, or give the run a first model")
    checkpoint = opened(Checkpoint, file)
    write_safetensors(os.path.join(folder, task["model"]["output"]), checkpoint, list(checkpoint.tensors))
    report(folder, 0, 0, {})


def train(options, folder, task):
    model = opened(Safetensors, os.path.join(folder, task["model"]["input"]))
    work = os.path.join(folder, "tmp", "mmar")
    trained = finished(work, task)
    if trained is None:
        variables, samples = lay_out(options, task, work)
        write_checkpoint(os.path.join(work, "models", "model.pt"), model)
        trained = run_mmar(options, task, work, variables)
        trained["samples"] = samples
        save_json(os.path.join(work, "trained.json"), trained)
    checkpoint = opened(Checkpoint, final_checkpoint(work), Failed)
    faults = differences(model, checkpoint)
    if faults:
        raise Failed("the MMAR's checkpoint is not the network of the run: %s; is this the MMAR that its first model is of?"
                     % "; ".join(faults[:5] + (["%d more" % (len(faults) - 5)] if len(faults) > 5 else [])))
    write_safetensors(os.path.join(folder, task["model"]["output"]), checkpoint, list(model.tensors))
    report(folder, trained["samples"], trained["steps"], trained["metrics"])


def finished(work, task):
    """What an interrupted start of the same task had trained to its end."""
    try:
        trained = read_json(os.path.join(work, "trained.json"))
    except BadInput:
        return None
    return trained if trained.get("task") == task["task"] else None


def opened(kind, path, error=BadInput):
    try:
        return kind(path)
    except (BadModel, OSError) as problem:
        raise error(str(problem))


def differences(model, checkpoint):
    faults = ["%s is not in it" % name for name in model.tensors if name not in checkpoint.tensors]
    faults += ["%s is not in the model" % name for name in checkpoint.tensors if name not in model.tensors]
    for name, (dtype, shape, _, _) in model.tensors.items():
        got = checkpoint.tensors.get(name)
        if got is not None and (got.dtype, got.shape) != (dtype, shape):
            faults.append("%s is %s %s and not %s %s" % (name, got.dtype, list(got.shape), dtype, list(shape)))
    return faults


def run_mmar(options, task, work, variables):
    settings = ["%s=%s" % (name, value) for name, value in variables.items()]
    if options.launch == "script":
        command = ["bash", os.path.join(work, "commands", "train.sh")] + settings
    else:
        command = ["bash", "-c", 'if [ -f commands/set_env.sh ]; then . commands/set_env.sh; fi; exec "$@"', "mmar",
                   options.python, "-u", "-m", "medl.apps.train", "-m", work, "-c", "config/config_train.json",
                   "-e", "config/environment.json", "--write_train_stats", "--set"] + settings
    output = Output()
    code, stopped = supervise(command, work, output, EARLY)
    if stopped:
        raise Interrupted()
    if code != 0:
        raise Failed("the MMAR's training ended with %s; what it said is in the site's log"
                     % ("signal %d" % -code if code < 0 else "exit code %d" % code))
    metrics = dict(output.metrics)
    metrics.update(train_stats(os.path.join(work, "models", "train_stats.json")))
    return {"task": task["task"], "steps": output.steps, "metrics": metrics}


class Interrupted(Exception):
    """Exit code 75: somebody wants this to stop; started again it goes on."""


def train_stats(path):
    """Figures of `--write_train_stats`; names and texts in it stay at the site."""
    try:
        stats = read_json(path)
    except BadInput:
        return {}
    return {name: float(value) for name, value in list(stats.items())[:100]
            if re.match(r"[A-Za-z][A-Za-z0-9_.-]{0,59}\Z", name)
            and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)}


def final_checkpoint(work):
    """The last weights, which is what sites average, and not the best ones, which `model.pt` becomes."""
    file = os.path.join(work, "models", "final_model.pt")
    if os.path.isfile(file):
        return file
    raise Failed("the MMAR's training ended well but left no models/final_model.pt, which its CheckpointSaver is told to write")


def report(folder, samples, steps, metrics):
    save_json(os.path.join(folder, "report.json"),
              {"protocol": 1, "samples": samples, "steps": steps, "metrics": metrics, "warnings": []})


# A signal that comes before there is anything to stop.
EARLY = []


def early(*_):
    EARLY.append(True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, early)
    try:
        main()
    except BadInput as problem:
        print(problem, file=sys.stderr)
        sys.exit(64)
    except Interrupted:
        sys.exit(75)
    except (Failed, BadModel, OSError) as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
