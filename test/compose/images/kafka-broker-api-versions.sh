#!/bin/bash
# Asks the broker which versions it speaks, as the program of this name does, without starting Java every few seconds.
set -euo pipefail
address=$2
exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
printf '\0\0\0\012\0\022\0\0\0\0\0\1\377\377' >&3
[ "$(head -c 8 <&3 | wc -c)" = 8 ]
