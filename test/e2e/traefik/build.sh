#!/usr/bin/env bash
# Makes sure that Traefik is in the cache of the e2e tests: built from its Go modules, which the checksum database
# vouches for, since no package registry has it. Needs Go 1.25; 6 to 9 minutes on two cores, once.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/local/go/bin
hash=$(sha256sum "$here/go.mod" | cut -c1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/muxi-api/traefik-$hash
version=$(sed -n 's|^require github.com/traefik/traefik/v3 v||p' "$here/go.mod")

if [[ -x $folder/traefik ]]; then
  exit
fi
command -v go >/dev/null || { echo 'traefik: no go in the PATH nor in /usr/local/go/bin to build it with' >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/go.mod" "$work"
cd "$work"
# `-mod=mod` fills go.sum while it builds.
CGO_ENABLED=0 GOFLAGS= nice go build -mod=mod -trimpath -buildvcs=false -ldflags "-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=$version" -o traefik github.com/traefik/traefik/v3/cmd/traefik
mkdir -p "$folder"
# In one step: a build that was ended halfway is no build.
mv traefik "$folder/traefik.new"
mv "$folder/traefik.new" "$folder/traefik"
