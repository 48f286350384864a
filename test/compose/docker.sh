# Where Docker comes from; sourced by run.

# find_docker leaves a Docker that answers, or ends the script. A daemon of its own keeps everything in the folder given.
find_docker() {
  command -v docker >/dev/null || skip 'no Docker: there is no docker command'
  find_compose
  docker info >/dev/null 2>&1 && return
  [ -z "${DOCKER_HOST:-}" ] || skip "no Docker: $DOCKER_HOST does not answer"
  command -v dockerd >/dev/null || skip 'no Docker: no daemon answers, and there is no dockerd'
  [ "$(id -u)" = 0 ] || skip 'no Docker: no daemon answers, and only root can start one'
  start_docker "$1"
}

find_compose() {
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif command -v docker-compose >/dev/null; then
    compose=(docker-compose)
  else
    skip 'no Docker: there is no docker compose'
  fi
}

docker_pid=
start_docker() {
  say 'start a Docker daemon'
  mkdir "$1"
  export DOCKER_HOST="unix://$1/socket"
  # In a session of its own: an interrupt is for the script, which then still needs it.
  setsid dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "$DOCKER_HOST" >"$1/log" 2>&1 &
  docker_pid=$!
  for _ in {1..60}; do
    docker info >/dev/null 2>&1 && return
    kill -0 "$docker_pid" 2>/dev/null || break
    sleep 0.5
  done
  skip "no Docker: a daemon can't be started here: $(tail -n 1 "$1/log")"
}

stop_docker() {
  [ -n "$docker_pid" ] || return 0
  kill "$docker_pid" 2>/dev/null || true
  wait "$docker_pid" || true
}
