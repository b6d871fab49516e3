#!/bin/sh
# Runs an image as hardened as compose.yaml and the chart do, and checks what they count on: try-image.sh ENGINE IMAGE [MODELS]
# ENGINE: docker or podman, with its own options in ENGINE_OPTIONS; RUN_OPTIONS: further ones of "run"; MODELS: a folder with a model,
# which then has to answer. It ends with 0 when all holds.
set -eu
engine=${1:?docker or podman}
image=${2:?the image}
models=${3:-}
name=simpleia-try-$$
work=$(mktemp -d)
# shellcheck disable=SC2086 # options are words
run_engine() { "$engine" ${ENGINE_OPTIONS:-} "$@"; }
clean() {
  run_engine rm --force "$name" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT
fail() {
  echo "FAILED: $1" >&2
  run_engine logs "$name" >&2 || true
  exit 1
}

# start DATA [OPTION…]: the container with this folder as /data, and nothing else to write to.
start() {
  data=$1
  shift
  run_engine rm --force "$name" >/dev/null 2>&1 || true
  # shellcheck disable=SC2086
  run_engine run --detach --name "$name" --read-only --cap-drop ALL --security-opt no-new-privileges --user 10001:10001 \
    --tmpfs /tmp:rw,size=64m --volume "$data:/data" ${models:+--volume "$models:/models:ro"} \
    --env SECRET_KEY="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" ${RUN_OPTIONS:-} "$@" "$image" >/dev/null
}
ask() { run_engine exec "$name" node -e "fetch('http://127.0.0.1:8000$1').then(async (a) => { console.log(await a.text()); process.exit(a.ok ? 0 : 1) }, () => process.exit(1))"; }
until_true() {
  tries=$1
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 1
  done
}
exit_code() { run_engine wait "$name"; }

mkdir -m 755 "$work/foreign"
began=$(date +%s)
start "$work/foreign"
[ "$(exit_code)" != 0 ] || fail "a volume of root was accepted"
seconds=$(($(date +%s) - began))
[ "$seconds" -le 5 ] || fail "a volume of root was refused after $seconds s only"
run_engine logs "$name" 2>&1 | grep -q '/data.*10001\|10001.*/data' || fail "the refusal does not name the path and the user"
echo "A volume of root is refused after $seconds s: $(run_engine logs "$name" 2>&1 | head -1)"

mkdir -m 700 "$work/data"
chown 10001:10001 "$work/data"
start "$work/data"
until_true 30 ask /health || fail "no answer to /health"
echo "With a volume of its own it answers: $(ask /health)"
[ "$(run_engine exec "$name" node -p 'process.getuid()')" = 10001 ] || fail "it runs as another user"
if run_engine exec "$name" node -e 'fs.writeFileSync("/app/x", "")' 2>/dev/null; then fail "the root can be written to"; fi
if [ -n "$models" ]; then
  until_true 60 ask /health/ready || fail "the model is not ready"
  run_engine exec "$name" node -e "
    const at = 'http://127.0.0.1:8000'
    const post = async (path, body, headers = {}) => (await fetch(at + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })).json()
    const account = { username: 'ada', password: 'correct-horse-battery-staple-9' }
    await post('/auth/register', account)
    const { access_token } = await post('/auth/login', account)
    const answer = await post('/predict', { prompt: 'The capital of France is', max_length: 8, temperature: 0 }, { authorization: 'Bearer ' + access_token })
    console.log(JSON.stringify(answer))
    process.exit(answer.choices?.length === 1 ? 0 : 1)" || fail "no answer to /predict"
fi

run_engine stop --time 30 "$name" >/dev/null
code=$(run_engine inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || fail "it ended with $code after SIGTERM"
echo "SIGTERM ends it with 0."

echo OK
