#!/bin/sh
# A trainer that learns nothing: the update is the global model. What is not training goes to the program in the arguments.
# usage: noop-trainer.sh PROGRAM [ARGUMENT ...] TASK_FOLDER
for folder; do :; done
grep -q '"kind": *"train"' "$folder/task.json" || exec "$@"
cp "$folder/global.safetensors" "$folder/update.partial"
mv "$folder/update.partial" "$folder/update.safetensors"
echo '{"protocol":1,"samples":1,"steps":1}' > "$folder/report.json"
