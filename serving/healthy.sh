#!/usr/bin/env bash
# Asks a server on this machine to restore one pixel with each model named, and fails if one does not.
#
#   healthy.sh ipt_sr_x2 ipt_derain ...
#
# For health checks inside TF-Serving's container, which has bash but no curl. PORT is that of REST (8501), TIMEOUT
# the seconds that each model has (10).
set -u
# A PNG of one grey pixel.
pixel=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNoaGgAAAMEAYFL09IQAAAAAElFTkSuQmCC
body='{"signature_name": "restore_bytes", "instances": [{"b64": "'$pixel'"}]}'

ask() {
  exec 3<>"/dev/tcp/127.0.0.1/${PORT:-8501}" || return 1
  printf 'POST /v1/models/%s:predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
    "$1" "${#body}" "$body" >&3
  answer=$(cat <&3)
  grep -q '"predictions"' <<<"$answer" || { tail -n 1 <<<"$answer" >&2; return 1; }
}

if [ "${1-}" = --one ]; then
  ask "$2"
  exit
fi
[ $# -gt 0 ] || { echo "usage: healthy.sh MODEL..." >&2; exit 2; }
for model; do
  timeout "${TIMEOUT:-10}" bash "$0" --one "$model" || { echo "$model does not answer" >&2; exit 1; }
done
