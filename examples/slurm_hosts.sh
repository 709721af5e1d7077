#!/bin/bash
# Four hosts of two GPUs: a replica of two towers on each. Saves two minutes before the limit, and continues when the job
# is requeued. docs/many_hosts.md explains the lines.
#SBATCH --job-name=alexnet
#SBATCH --nodes=4 --ntasks-per-node=1 --gpus-per-node=2 --cpus-per-task=16
#SBATCH --time=12:00:00 --requeue --signal=USR1@120 --open-mode=append
set -euo pipefail

run=runs/alexnet
train=(node scripts/twotower.mjs train --gpus 0,1 --require-world "$SLURM_NTASKS")
if [ -e "$run/config.json" ]; then
  exec srun --mpi=pmix "${train[@]}" --resume "$run"
else
  exec srun --mpi=pmix "${train[@]}" --preset alexnet-paper --data "$DATA" --out "$run"
fi
