#!/usr/bin/env bash
# Makes sure that podman has the base image of the Containerfile, without asking an image registry: where it is not
# there already (`podman pull docker.io/library/node:24-slim` takes the real one), a stand-in is made of Debian
# packages and the npm packages `node` and `npm`. Needs root and debootstrap for that; about a minute, once.
set -euo pipefail

image=docker.io/library/node:24-slim
node=24.21.0 npm=11.21.2

if podman image exists "$image"; then
  exit
fi
command -v debootstrap >/dev/null || { echo "base-image: no $image, and no debootstrap to make a stand-in" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

debootstrap --variant=minbase --include=ca-certificates bookworm "$root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*

npm install --silent --no-fund --no-audit --prefix "$work/npm" "node@$node" "npm@$npm"
modules=$root/usr/local/lib/node_modules
mkdir -p "$modules"
install -m 755 "$work/npm/node_modules/node/bin/node" "$root/usr/local/bin/node"
cp -a "$work/npm/node_modules/npm" "$modules/"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
printf '#!/bin/sh\nexec "$@"\n' >"$root/usr/local/bin/docker-entrypoint.sh"
chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
chroot "$root" sh -c 'groupadd -g 1000 node && useradd -u 1000 -g node -s /bin/bash -m node'
# A machine that reaches its registries through a certificate of its own needs that in the build, too.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

tar -C "$root" -cf - . | podman import --quiet \
  -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  -c 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' \
  -c "ENV NODE_VERSION=$node" -c 'LABEL muxi-api.stand-in=true' \
  -c 'ENTRYPOINT ["docker-entrypoint.sh"]' -c 'CMD ["node"]' - "$image"
