"""The folder in which one task trains: the MMAR's configuration and programs, with the task in them."""
import math
import os
import re
import shutil

from mmar_files import BadInput, read_json, save_json

MAX_COPY_BYTES = 256 << 20
COPIED = ("config", "commands", "custom")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
# A text of a plan becomes an argument, and in Clara's configurations "{X}", "@x" and "#x" mean something.
WORD = re.compile(r"[A-Za-z0-9_.+-]{1,100}\Z")


def lay_out(options, task, work):
    """Copies what the MMAR's program reads, with the task in its configuration. Everything that is wrong is said at once."""
    mmar = os.path.abspath(options.mmar)
    faults = []

    def config(name):
        try:
            return read_json(os.path.join(mmar, "config", name))
        except BadInput as problem:
            faults.append(str(problem))
            return None

    training, environment = config("config_train.json"), config("environment.json")
    if options.launch == "script" and not os.path.isfile(os.path.join(mmar, "commands", "train.sh")):
        faults.append("commands/train.sh is not there")
    variables = {}
    if training is not None:
        variables = chosen_variables(options, task, training, faults)
        adapt_training(training, task["seed"], faults)
    if environment is not None:
        environment.update(MMAR_CKPT_DIR="models", MMAR_CKPT="models/model.pt")
        if task["dataset"].get("kind") == "decathlon":
            root = str(task["dataset"].get("path"))
            environment.update(DATA_ROOT=root, DATASET_JSON=os.path.join(root, "dataset.json"))
    samples = count_cases(mmar, environment, faults) if environment is not None else 0
    if faults:
        raise BadInput("the MMAR %s cannot do this task: %s" % (mmar, "; ".join(faults)))
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(os.path.join(work, "models"))
    copied = 0
    for top in COPIED:
        for place, _, names in os.walk(os.path.join(mmar, top)):
            for name in names:
                source = os.path.join(place, name)
                target = os.path.join(work, os.path.relpath(source, mmar))
                copied += os.path.getsize(source)
                if copied > MAX_COPY_BYTES:
                    raise BadInput("%s of the MMAR hold more than %d bytes" % (", ".join(COPIED), MAX_COPY_BYTES))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copyfile(source, target)
    save_json(os.path.join(work, "config", "config_train.json"), training)
    save_json(os.path.join(work, "config", "environment.json"), environment)
    return variables, samples


def chosen_variables(options, task, training, faults):
    """Variables of config_train.json: the site's own, then those of the plan that the site lets plans set."""
    allowed = set(["epochs", "learning_rate"] + options.allow)
    variables = {"epochs": 1}
    for text in options.set:
        name, _, value = text.partition("=")
        variables[name] = value
    for name, value in task["parameters"].items():
        if name not in allowed:
            faults.append("the plan sets %s; this site lets plans set %s" % (name, ", ".join(sorted(allowed))))
        elif not is_value(value):
            faults.append("%s must be a finite number, true, false or one word of letters, digits and _.+-" % name)
        else:
            variables[name] = value
    for name in variables:
        if not NAME.match(name) or name not in training:
            faults.append("config_train.json has no variable %s" % name)
    return variables


def is_value(value):
    if isinstance(value, str):
        return WORD.match(value) is not None
    return isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))


def adapt_training(training, seed, faults):
    """Training must begin with the global model, end with its last weights on disk, and be repeatable."""
    section = training.get("train")
    handlers = section.get("handlers") if isinstance(section, dict) else None
    named = [handler for handler in handlers if isinstance(handler, dict)] if isinstance(handlers, list) else []
    for name, told in (("CheckpointLoader", {"load_path": "{MMAR_CKPT}", "load_dict": ["model"]}),
                       ("CheckpointSaver", {"save_dir": "{MMAR_CKPT_DIR}", "save_final": True})):
        found = [handler for handler in named if handler.get("name") == name]
        if not found:
            faults.append("train.handlers of config_train.json has no %s" % name)
        for handler in found[:1]:
            handler["disabled"] = False
            handler["args"] = dict(handler.get("args") or {}, **told)
    if isinstance(training.get("determinism"), dict):
        training["determinism"]["random_seed"] = seed


def count_cases(mmar, environment, faults):
    file = os.path.join(mmar, str(environment.get("DATASET_JSON", "")))
    try:
        cases = read_json(file).get("training")
    except BadInput as problem:
        faults.append("DATASET_JSON: %s" % problem)
        return 0
    if not isinstance(cases, list) or not cases:
        faults.append("DATASET_JSON names no cases to train on")
        return 0
    return len(cases)
