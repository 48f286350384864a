# What is done to the shop, and what has to come of it; sourced by run.

# container prints the id of a service's container, running or not.
container() { docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter "label=com.docker.compose.service=$1" --filter label=com.docker.compose.oneoff=False; }

all_healthy() {
  local service
  for service; do
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$(container "$service")" 2>/dev/null)" = healthy ] || return 1
  done
}

# await waits for a command to succeed: await SECONDS WHAT COMMAND [ARGUMENT ...]
await() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || fail "$what: it does not come about"
    sleep 0.3
  done
}

free_port() {
  local port
  for port in {29094..29994..7}; do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  fail 'no port is free'
}

query() { docker exec "$(container postgres)" psql --username=flows --dbname=flows --no-align --tuples-only --command="$1"; }
query_is() { [ "$(query "$2")" = "$1" ]; }
query_at_least() { [ "$(query "$2")" -ge "$1" ]; }

# order_by_hand posts one order twice, as a client does that has missed the answer, and finds it once.
order_by_hand() {
  local address status
  address=$("${compose[@]}" port accept 8080)
  for _ in 1 2; do
    status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --header 'Content-Type: application/json' \
      --header 'Idempotency-Key: by-hand' --data '{"id":"by-hand","customer":"Me","lines":[{"product":"cup","quantity":2,"cents":800}]}' \
      "http://$address/orders")
    [ "$status" = 202 ] || fail "an order is answered with $status"
  done
  await 30 'the order by hand is in the table' query_is 'Me|1600|placed' "select customer, cents, status from orders where id = 'by-hand'"
  say 'an order by hand is in the table'
}

ordered='select count(*) from orders'

# kill_container kills a service's container when so many orders are in the table: kill_container SERVICE after ORDERS
kill_container() {
  await 120 "$3 orders are in the table" query_at_least "$3" "$ordered"
  local at
  at=$(query "$ordered")
  docker kill "$(container "$1")" >/dev/null
  ! running "$1" || fail "$1 runs on"
  say "$1 is killed at $at orders"
}

# bring_back starts it again, at once or when so many orders are in the table: bring_back SERVICE [after ORDERS]
bring_back() {
  if [ $# = 3 ]; then
    await 120 "$3 orders are in the table without $1" query_at_least "$3" "$ordered"
  fi
  docker start "$(container "$1")" >/dev/null
  local start=$SECONDS
  await 120 "$1 is ready again" all_healthy "$1"
  say "$1 is ready $((SECONDS - start)) s after its start, at $(query "$ordered") orders"
}

running() { [ "$(docker inspect --format '{{.State.Running}}' "$(container "$1")")" = true ]; }

# app runs a command of the shop's in the network of the containers.
app() { "${compose[@]}" run --rm --no-deps -T flows-migrate "$@" 2>/dev/null; }

# judge holds the tables and the topics against what the customers say they did, and the order by hand.
judge() {
  say "customers: $1"
  due() { sed -n "s/.* {\?.*$1:\([0-9]*\).*/\1/p" <<<"$2"; }
  local orders lines paid shipped sold rejected letters
  orders=$(due Orders "$1") lines=$(due Lines "$1") paid=$(due Paid "$1") shipped=$(due Shipped "$1") sold=$(due Sold "$1")
  rejected=$(due Rejected "$1") letters=$(due Letters "$1")
  await 60 'the tables are complete' query_is "$((orders + 1))|$((lines + 1))|$paid|$shipped|$((sold + 2))" "
    select (select count(*) from orders), (select count(*) from order_lines), (select count(*) from orders where paid >= cents),
      (select count(*) from orders where carrier <> ''), (select sum((state->>'sold')::int) from stock)"
  is "$((lines + 1 + 10))" 'records of the stock' "$(app listen stock --from=oldest --until-end | wc -l)"
  is "$rejected" 'rejected orders' "$(app listen rejected --from=oldest --until-end | wc -l)"
  is "$letters" 'dead letters' "$(for function in check sell.payments sell.shipments; do app dead-letter list "$function" --json; done | wc -l)"
  say "exact: $((orders + 1)) orders with $((lines + 1)) lines, $paid paid, $shipped shipped, $((sold + 2)) pieces sold, $((lines + 11)) movements of the stock, $rejected rejected, $letters dead letters"
}

is() { [ "$1" = "$3" ] || fail "$2: $3, not $1"; }
