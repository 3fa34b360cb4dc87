"""A stand-in for Clara Train's program, of the same arguments: "trains" by moving each floating-point weight by what the seed,
the learning rate and the number of epochs say, and says what MONAI's handlers say. Reads and writes checkpoints by PyTorch where it
is installed, so that PyTorch itself judges them; otherwise by its own few lines of the same format.
"""
import json
import os
import subprocess
import sys
import time

import checkpoints


def main():
    args = sys.argv[1:]
    root = args[args.index("-m") + 1]
    os.chdir(root)
    environment = json.load(open(args[args.index("-e") + 1]))
    config = json.load(open(args[args.index("-c") + 1]))
    for setting in args[args.index("--set") + 1:]:
        name, _, value = setting.partition("=")
        config[name] = value
    handlers = {handler["name"]: handler for handler in config["train"]["handlers"]}
    cases = json.load(open(environment["DATASET_JSON"]))["training"]
    for case in cases:
        assert os.path.isfile(os.path.join(environment["DATA_ROOT"], case["image"])), case
    loader = handlers["CheckpointLoader"]
    assert loader["disabled"] is False
    named = lambda text: text.format(**environment)
    weights = checkpoints.load(named(loader["args"]["load_path"]))
    epochs = int(config["epochs"])
    seed = config["determinism"]["random_seed"]
    mode = os.environ.get("STAND_IN", "")
    if mode == "fails":
        print("RuntimeError: CUDA out of memory", file=sys.stderr)
        sys.exit(3)
    if mode == "hangs" or (mode == "hangs-once" and not os.path.exists(os.environ["HANG_FILE"])):
        helper = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
        print("Epoch: 1/9, Iter: 1/9 -- train_loss: 0.9", flush=True)
        with open(os.environ["HANG_FILE"] + ".new", "w") as note:
            note.write("%d %d" % (os.getpid(), helper.pid))
        os.rename(os.environ["HANG_FILE"] + ".new", os.environ["HANG_FILE"])
        time.sleep(600)
    for epoch in range(1, epochs + 1):
        for step, _ in enumerate(cases, 1):
            time.sleep(float(os.environ.get("STAND_IN_PAUSE", 0)))
            weights = checkpoints.moved(weights, float(config["learning_rate"]) * (1 + seed % 7))
            print("2026-03-01 12:00:00,000 - INFO - Epoch: %d/%d, Iter: %d/%d -- train_loss: %.4f "
                  % (epoch, epochs, step, len(cases), 1 / (epoch * step)), flush=True)
        print("Epoch[%d] Metrics -- val_mean_dice: %.4f " % (epoch, epoch / (epoch + 1)), flush=True)
    folder = named(handlers["CheckpointSaver"]["args"]["save_dir"])
    if mode != "saves-nothing":
        checkpoints.save(os.path.join(folder, "final_model.pt"), weights)
    if "--write_train_stats" in args:
        json.dump({"best_validation_metric": 0.75, "name": "spleen", "total_epochs": epochs},
                  open(os.path.join(folder, "train_stats.json"), "w"))


main()
