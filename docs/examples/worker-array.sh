#!/usr/bin/env bash
# One worker per task of an array: sbatch --array=1-16 worker-array.sh
#SBATCH --job-name=dj-neuron
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --output=dj-neuron-%A-%a.log
set -euo pipefail

# a file that only you can read, with host, username and password; and the store that all nodes see
config=${DJ_NEURON_CONFIG:-$HOME/.config/dj-neuron/server.json}
data_dir=${DJ_NEURON_DATA_DIR:?a folder that all nodes share}

dj-neuron --config "$config" --data-dir "$data_dir" worker --threads "${SLURM_CPUS_PER_TASK:-1}" &
worker=$!
trap 'kill -TERM "$worker"' TERM

# a signal interrupts the first wait; the second one waits for the key at hand
code=0
wait "$worker" || code=$?
while kill -0 "$worker" 2>/dev/null; do
    code=0
    wait "$worker" || code=$?
done
exit "$code"
