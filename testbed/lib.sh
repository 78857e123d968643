# Sourced by the test bed's commands: names, and the few helpers they share.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=$ROOT/.cache/testbed
IMAGES=brainer-testbed              # local image names start so: they never shadow a real postgres or python image
REGISTRY=brainer-testbed-registry   # the container that serves them to the VPS engines
REGISTRY_PORT=5055
export DOCKER_BUILDKIT=0            # Debian's engine brings no buildx

mkdir -p "$CACHE"

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# quietly LOG COMMAND...: its output goes to a file, and is shown only when it fails.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 40 "$log" >&2
        die "failed: $* (all of its output: $log)"
    }
}

# The volume with what a server's engine would pull first; another one for other images.
pulled() {
    local images=("$IMAGES"/{vps-docker:13,postgres:17-trixie,brainer-backend:1.0.0})
    { docker image inspect --format '{{ .Id }}' "${images[@]}" 2>/dev/null || true; } |
        sha256sum | cut -c 1-12 | sed 's/^/brainer-testbed-pulled-/'
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f s", b - a }'; }
