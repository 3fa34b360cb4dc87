#!/bin/sh
# A trainer that learns nothing: the update is the global model but for its last weight, which depends on the seed. Were all
# updates the same bytes, the next model would be too, and nobody would download it. What is not training goes to the program in
# the arguments.
# usage: noop-trainer.sh PROGRAM [ARGUMENT ...] TASK_FOLDER
for folder; do :; done
task=
while IFS= read -r line || [ -n "$line" ]; do task="$task$line"; done < "$folder/task.json"
case $task in
  *'"kind":"train"'* | *'"kind": "train"'*) ;;
  *) exec "$@" ;;
esac
seed=${task#*'"seed":'}
seed=${seed# }
seed=${seed%%[!0-9]*}
# Not under another name first: what counts is the report, which comes last, and each program that starts is a part of the round.
head -c -4 "$folder/global.safetensors" > "$folder/update.safetensors"
# A float32 a little above 1, little-endian.
octal=$((seed / 64 % 4))$((seed / 8 % 8))$((seed % 8))
printf "\\000\\$octal\\200\\077" >> "$folder/update.safetensors"
echo '{"protocol":1,"samples":1,"steps":1}' > "$folder/report.json"
