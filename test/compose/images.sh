# The images; sourced by run. Where KAFKA_IMAGE and POSTGRES_IMAGE are not set they are made here, so that nothing has to be
# pulled: Debian with a JRE and Postgres from its packages, and the broker's jars that the other tests use.

# make_images makes what is not named already, in the folder given.
make_images() {
  if [ -z "${KAFKA_IMAGE:-}" ] || [ -z "${POSTGRES_IMAGE:-}" ]; then
    make_base "$1/debian"
  fi
  mkdir "$1/kafka" "$1/postgres" "$1/app"
  if [ -z "${KAFKA_IMAGE:-}" ]; then
    cp -r "$(kafka_jars)" "$1/kafka/libs"
    cp test/compose/images/kafka-* "$1/kafka/"
    export KAFKA_IMAGE=flows-compose-kafka
    build kafka "$KAFKA_IMAGE" "$1/kafka"
  fi
  if [ -z "${POSTGRES_IMAGE:-}" ]; then
    cp test/compose/images/postgres-start "$1/postgres/"
    export POSTGRES_IMAGE=flows-compose-postgres
    build postgres "$POSTGRES_IMAGE" "$1/postgres"
  fi
  CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$1/app/app" ./example/shop
  build app "$(sed -n 's/^ *image: \(flows-shop.*\)/\1/p' docker-compose.yml | head -n 1)" "$1/app"
}

# build makes an image, and removes the one that had its name: build NAME TAG FOLDER
build() {
  say "make the image $2"
  local before
  before=$(docker images --quiet "$2")
  docker build --quiet --tag "$2" --file "test/compose/images/$1.Dockerfile" "$3" >"$3.log" 2>&1 || fail "$(cat "$3.log")"
  [ -z "$before" ] || [ "$before" = "$(docker images --quiet "$2")" ] || docker rmi "$before" >/dev/null 2>&1 || true
}

# make_base makes the Debian below broker and database in a folder. It is kept, as it takes some minutes.
make_base() {
  docker image inspect flows-compose-base >/dev/null 2>&1 && return
  local kept=.services/compose-base.tar
  if [ ! -e "$kept" ]; then
    [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null ||
      skip 'making the images needs debootstrap, as root; or set KAFKA_IMAGE and POSTGRES_IMAGE to images that are here'
    say 'make a Debian with Java and Postgres'
    debootstrap --variant=minbase --include=openjdk-17-jre-headless,postgresql-15 bookworm "$1" >"$1.log" 2>&1 ||
      fail "debootstrap: $(tail -n 1 "$1.log")"
    rm -rf "$1"/var/cache/apt "$1"/var/lib/apt/lists "$1"/usr/share/doc "$1"/usr/share/locale
    mkdir -p .services
    tar -C "$1" -cf "$kept.part" .
    mv "$kept.part" "$kept"
    rm -rf "$1"
  fi
  docker import "$kept" flows-compose-base >/dev/null
}

# kafka_jars prints the folder of the broker's jars, which the tests on a real broker fetch.
kafka_jars() {
  compgen -G '.services/kafka-*/kafka_*.jar' >/dev/null || POSTGRES_URL=none go run ./internal/services/cmd/services run -- true >&2
  dirname "$(compgen -G '.services/kafka-*/kafka_*.jar' | head -n 1)"
}
