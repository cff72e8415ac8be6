#!/bin/sh
# Stops the service when the package goes, not when a newer one replaces it.
set -e
case "$1" in
  remove | 0)
    [ ! -d /run/systemd/system ] || systemctl disable --now ipns-api.socket ipns-gateway.socket ipns.service || true
    ;;
esac
