#!/bin/sh
# The repo stays, also when the package is purged: its keys exist nowhere else.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
case "$1" in
  purge)
    [ ! -d /var/lib/ipns ] || echo "ipns: /var/lib/ipns stays: it has the keys of your names. Delete it yourself if you have a backup or need them no more."
    ;;
esac
