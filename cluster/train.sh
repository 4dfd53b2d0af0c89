#!/usr/bin/env bash
# One worker of a training run on several hosts. Run the same command on every host:
#
#   HOSTS="alpha:5000 beta:5000" cluster/train.sh --data /photographs --steps 100000 --out /shared/run
#
# HOSTS  host:port of every worker, the first is the chief; the ports must be open between the hosts
# INDEX  which of HOSTS this is, from 0 (default: the one that bears this host's name)
# IPT    the ipt command (default: ipt)
#
# --out is a folder that all hosts share. A run that stopped goes on when the command is given again on all hosts.
set -euo pipefail

read -ra hosts <<<"${HOSTS:?HOSTS is not set: name host:port of every worker, as in HOSTS=\"alpha:5000 beta:5000\"}"

index_of_this_host() {
  for i in "${!hosts[@]}"; do
    case "${hosts[$i]%:*}" in
      "$(hostname)" | "$(hostname -f 2>/dev/null)") echo "$i" && return ;;
    esac
  done
  echo "train.sh: no host of HOSTS is called $(hostname); set INDEX to 0 .. $((${#hosts[@]} - 1))" >&2
  return 2
}

index=${INDEX:-$(index_of_this_host)}
workers=$(printf ',"%s"' "${hosts[@]}")
export TF_CONFIG="{\"cluster\": {\"worker\": [${workers:1}]}, \"task\": {\"type\": \"worker\", \"index\": $index}}"
exec "${IPT:-ipt}" train --strategy workers "$@"
