#!/usr/bin/env bash
# Build the CPU image without a container engine, then index the examples and ask inside it, without a network.
#
#     docker/check.sh                 # as root, on Debian: apt-get install buildah debootstrap
#     docker/check.sh --update-pins   # first write the newest versions that go together into docker/requirements.txt
#
# apt and pip fetch from where they do so on this machine. Everything is done in a folder of its own under TMPDIR
# (15 GB), which is removed at the end; with WORK=FOLDER in that folder, which is kept for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."

SUITE=${SUITE:-bookworm}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
QUESTION="Which word do crews say on the radio when something is burning?"
ANSWER="Bravo"

fail() {
  echo "check.sh: $*" >&2
  exit 1
}

say() {
  printf '%5ds  %s\n' "$SECONDS" "$*"
}

case "${1-}" in
  "" | --update-pins) ;;
  *) fail "the only option is --update-pins, got '$1'" ;;
esac
[ "$(id -u)" = 0 ] || fail "run it as root: debootstrap and chroot isolation need that"
for tool in buildah debootstrap unshare python3; do
  command -v "$tool" >/dev/null || fail "$tool is missing: apt-get install buildah debootstrap util-linux python3"
done

work=${WORK:-$(mktemp -d -t lodestone-check.XXXXXX)}
mkdir -p "$work"
storage=(--root "$work/storage" --runroot "$work/run")

clean_up() {
  if [ -e "$work/pins.before" ]; then mv "$work/pins.before" docker/requirements.txt; fi
  buildah "${storage[@]}" rm --all >/dev/null 2>&1 || true
  # What a stopped debootstrap or build left mounted; what stays mounted is not removed.
  for mounted in rootfs/proc rootfs/sys storage/overlay; do umount "$work/$mounted" 2>/dev/null || true; done
  if [ -z "${WORK-}" ]; then rm -rf --one-file-system "$work"; fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Writes pip's settings here to $work/pip.conf, and prints the options that show the build the files which they name.
pip_options() {
  python3 - "$work" "$(python3 -m pip config list 2>/dev/null || true)" <<'PYTHON'
import ast
import re
import sys
from pathlib import Path

folder, listed = Path(sys.argv[1]), sys.argv[2]
settings = {}
for place, name, value in re.findall(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", listed, re.MULTILINE):
    if name in ("index-url", "extra-index-url", "find-links", "cert"):
        settings[name] = ast.literal_eval(value).split()  # of two, the later one counts: the environment
options = [f"--secret=id=pip,src={folder}/pip.conf"]
if cert := settings.pop("cert", None):
    options.append(f"--volume={cert[0]}:/run/pip.pem:ro")
    settings["cert"] = ["/run/pip.pem"]
for path in {url.removeprefix("file://") for name in settings if name != "cert" for url in settings[name]}:
    if path.startswith("/"):
        # An index links to files beside it.
        shown = Path(path).parent if Path(path).name == "simple" else Path(path)
        options.append(f"--volume={shown}:{shown}:ro")
if "find-links" in settings:
    options.append("--build-arg=TORCH_INDEX=")  # the CPU build of torch is among them
lines = ["[global]", *(f"{name} = {' '.join(values)}" for name, values in settings.items())]
(folder / "pip.conf").write_text("\n".join(lines) + "\n")
print("\n".join(options))
PYTHON
}

build() {
  buildah "${storage[@]}" build --isolation=chroot ${WORK:+--layers} --file docker/Dockerfile --build-arg BASE=localhost/base \
    "${options[@]}" "$@" . >>"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; fail "the build failed"; }
}

# Runs in the image as its user, or as $user, and sees no network but its own loopback.
inside() {
  unshare --net buildah "${storage[@]}" run --isolation=chroot --volume "$PWD/examples/corpus:/documents:ro" \
    --volume "$work/data:/data" ${user:+--user "$user"} "$container" -- "$@"
}

make_base() {
  say "making the base ($SUITE)"
  rm -rf "$work/rootfs"
  debootstrap --variant=minbase "$SUITE" "$work/rootfs" "$MIRROR" >"$work/build.log" 2>&1 || fail "$(tail -n 5 "$work/build.log")"
  rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb
  container=$(buildah "${storage[@]}" from scratch)
  buildah "${storage[@]}" add --quiet "$container" "$work/rootfs" / >/dev/null
  buildah "${storage[@]}" commit --quiet "$container" localhost/base >/dev/null
  buildah "${storage[@]}" rm "$container" >/dev/null
  rm -rf "$work/rootfs"
}

buildah "${storage[@]}" inspect --type image localhost/base >/dev/null 2>&1 || make_base

pip_options >"$work/options"
mapfile -t options <"$work/options"
if [ "${1-}" = --update-pins ]; then
  say "finding the newest versions"
  cp docker/requirements.txt "$work/pins.before"
  : >docker/requirements.txt
  build --target install-cpu --tag localhost/newest
  container=$(buildah "${storage[@]}" from localhost/newest)
  # torch is in constraints.txt, for all installations.
  buildah "${storage[@]}" run --isolation=chroot "$container" -- pip --python /opt/lodestone freeze --all |
    grep -v -E '^(lodestone|torch)( |=)' >"$work/pins"
  mv "$work/pins" docker/requirements.txt
  rm "$work/pins.before"
  say "$(wc -l <docker/requirements.txt) packages in docker/requirements.txt"
fi

say "building the image"
build --target cpu --tag localhost/lodestone
container=$(buildah "${storage[@]}" from localhost/lodestone)
# What `docker run` would start.
program=$(buildah "${storage[@]}" inspect --format '{{index .OCIv1.Config.Entrypoint 0}}' "$container")
say "built: $(buildah "${storage[@]}" images --format '{{.Size}}' localhost/lodestone)"

user=
rm -rf "$work/data"
mkdir "$work/data"
chown 1000:0 "$work/data"
chmod 2775 "$work/data"
inside python -c 'import os, sys; sys.exit(os.getuid() == 0)' || fail "the image's user is root"
inside sh -c 'test ! -w / && test ! -w /opt/lodestone && test ! -w /documents' || fail "the user may write to the image"
inside sh -c 'test ! -e /src && test ! -e /root/.cache' || fail "what the image was built from is in it"
inside python -c 'import socket, sys; sys.exit(socket.if_nameindex() != [(1, "lo")])' || fail "there is a network"
inside python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)' || fail "torch is not the CPU build"
# shellcheck disable=SC2016  # the variable is the image's
inside sh -c 'grep -q reader-int8 "$LODESTONE_CACHE"/engines/*/entry.json' || fail "the int8 reader was not made"
inside "$program" validate indexing_elasticsearch >/dev/null || fail "Elasticsearch's client is missing"

touch "$work/before"
say "indexing the examples"
inside "$program" index /documents
say "asking"
for user in "" 4321:0; do
  start=$(date +%s.%N)
  inside "$program" ask "$QUESTION" --top-k 1 --json >"$work/answer.json" 2>"$work/messages" || fail "$(cat "$work/messages")"
  python3 - "$work/answer.json" "$ANSWER" <<'PYTHON' || fail "another answer than $ANSWER: $(cat "$work/answer.json")"
import json
import sys

answers = json.load(open(sys.argv[1]))["answers"]
sys.exit(answers[0]["answer"] != sys.argv[2])
PYTHON
  say "user ${user:-of the image}: $ANSWER, after $(python3 -c "import time; print(round(time.time() - $start, 1))") s"
done
[ -s "$work/messages" ] && fail "there was something to say: $(cat "$work/messages")"

# The image may be run with --read-only: nothing is written to it, not even to the cache of models.
tree=$(buildah "${storage[@]}" mount "$container")
written=$(find "$tree" -xdev -newer "$work/before" -type f -not -path "$tree/tmp/*" -not -path "$tree/etc/*" -not -path "$tree/run/*")
[ -z "$written" ] || fail "written to the image: $written"
say "nothing was written to the image: it is as it should be"
