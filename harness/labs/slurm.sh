#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A bare cluster under Slurm: an array job, each task a share of the kernels, and one that joins the shares.
#
#   sh harness/labs/slurm.sh KERNELS SHARES DIRECTORY [gate options...]
#
# KERNELS is a file with one version per line, or A,B,C. DIRECTORY has to be on a file system that all nodes see, and so has the
# tree, with the engine built. Fill the cache first: nvme-conform gate --kernels KERNELS --fetch.
set -eu

[ $# -ge 3 ] || {
	echo "usage: sh harness/labs/slurm.sh KERNELS SHARES DIRECTORY [gate options...]" >&2
	exit 2
}
kernels=$1 shares=$2 directory=$3
shift 3
# What is left is wrapped into a script of its own: each word is quoted for the shell that runs it.
options=
for word in "$@"; do
	options="$options '$(printf '%s' "$word" | sed "s/'/'\\\\''/g")'"
done
program=$(cd "$(dirname "$0")/.." && pwd)/nvme-conform
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)

tasks=$(sbatch --parsable --job-name=nvme-conform --array="1-$shares" --cpus-per-task=2 --mem=2G --time=60 \
	--output="$directory/%a.txt" --wrap "exec '$program' gate --kernels '$kernels' --shard \$SLURM_ARRAY_TASK_ID/$shares \
		--output-dir '$directory/'\$SLURM_ARRAY_TASK_ID$options")
# afterany: a share that found something is a share all the same. sbatch --wait ends when the table is there.
sbatch --wait --parsable --job-name=nvme-conform-merge --dependency="afterany:$tasks" --mem=256M --time=10 \
	--output="$directory/merged.txt" --wrap "'$program' merge --output-dir '$directory/merged' \$(seq -f '$directory/%g' '$shares')"
cat "$directory/merged.txt"
