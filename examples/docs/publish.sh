#!/bin/sh
# Makes a site of the documents of this repository, and keeps it on IPFS under the name of the key docs:
#
#   ./publish.sh               on the public network
#   ./publish.sh --testnet     on a private one, for a trial
#   ./publish.sh --once        by the daemon that runs
#
# All options are those of 'ipns up'. IPNS is the program (default: ipns), HTML the folder of the site.
set -eu
cd "$(dirname "$0")/../.."
html=${HTML:-$PWD/html}
make -s docs HTML="$html"
exec "${IPNS:-ipns}" up --key=docs "$@" "$html"
