#!/bin/bash
# Trains on two hosts that ssh reaches without a password, with the program in the same folder on both.
#
#     examples/two_hosts.sh FIRST SECOND INTERFACE train --preset demo --cpu 2
set -euo pipefail
first=$1 second=$2 interface=$3
shift 3
cd "$(dirname "$0")/.."
exec mpirun -n 2 --host "$first,$second" --map-by node --bind-to none \
  --mca oob_tcp_if_include "$interface" --mca odls_base_sigkill_timeout 60 \
  node "$PWD/scripts/twotower.mjs" "$@" --interface "$interface" --require-world 2
