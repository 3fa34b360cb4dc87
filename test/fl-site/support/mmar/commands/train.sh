#!/usr/bin/env bash
. "$(dirname "$0")/set_env.sh"
python3 -u -m medl.apps.train -m "$MMAR_ROOT" -c config/config_train.json -e config/environment.json \
  --write_train_stats --set epochs=1260 learning_rate=0.0002 dont_load_ckpt_model=True $*
