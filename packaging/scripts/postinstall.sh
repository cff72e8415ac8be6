#!/bin/sh
# Makes the user of the service. At first the service is neither enabled nor started: its
# ports may be those of a Kubo that runs here. After an upgrade it starts again if it ran.
set -e
if command -v systemd-sysusers >/dev/null; then
  systemd-sysusers ipns.conf
elif ! id ipns >/dev/null 2>&1; then
  if command -v useradd >/dev/null; then
    useradd --system --user-group --home-dir /var/lib/ipns --no-create-home --shell /usr/sbin/nologin ipns
  else
    addgroup -S ipns
    adduser -S -D -H -h /var/lib/ipns -s /sbin/nologin -G ipns ipns
  fi
fi
if [ -d /run/systemd/system ]; then
  # What fails here is for 'systemctl status ipns'; the package is installed all the same.
  systemctl daemon-reload || true
  systemctl try-restart ipns.service || true
fi
