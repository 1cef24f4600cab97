# Sourced: starts a server on the first of this shell's cores and leaves the last to the load. Takes the words for
# `segue serve`; sets `segue`, `target` (its address), `server` (its process), `generator` (begins commands of the load).
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
segue=${SEGUE:-${CARGO_TARGET_DIR:-target}/release/segue}
[[ -x $segue ]] || { echo "load: no $segue; run: cargo build --release --locked, or set SEGUE" >&2; exit 1; }
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$PWD/.cache/onnxruntime/libonnxruntime.so}
export NO_COLOR=1
mapfile -t cores < <(taskset -pc $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r a b; do seq "$a" "${b:-$a}"; done)
((${#cores[@]} > 1)) || echo 'load: one core only: the server shares it with its load' >&2
generator=(taskset -c "${cores[-1]}")
work=$(mktemp -d)
touch "$work/log"
taskset -c "${cores[0]}" "$segue" serve --bundle "${BUNDLE:-models/demo}" --listen 127.0.0.1:0 --set lanes.count=1 \
    --set server.workers=1 --set events.data_dir="$work/data" "$@" >"$work/log" 2>&1 &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
until target=$(sed -n 's/.*: ready address=\([0-9.:]*\).*/\1/p' "$work/log") && [[ -n $target ]]; do
    kill -0 "$server" 2>/dev/null || { echo 'load: the server did not start:' >&2; cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
printf 'CPU %s; server on core %s, load on core %s\n' \
    "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)" "${cores[0]}" "${cores[-1]}" >&2
