#!/usr/bin/env bash
# Makes sure that a Kubernetes to ask is in the cache of the e2e tests: kube-apiserver, etcd, kubectl, Helm and kube-score, built from
# their Go modules, which the checksum database vouches for, and the definitions of the kinds that are not Kubernetes' own.
# Needs Go 1.25; 8 to 15 minutes on two cores, once.
set -euo pipefail

helm=v3.20.1 score=v1.20.0 gateway_api=v1.4.0 prometheus_operator=v0.85.0

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/local/go/bin
# Of this file as well: it has the versions.
hash=$(cat "$here/go.mod" "$here/build.sh" | sha256sum | cut -c1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/muxi-api/kube-$hash
version=$(sed -n 's|^\tk8s.io/kubernetes v||p' "$here/go.mod")

if [[ -d $folder ]]; then
  exit
fi
command -v go >/dev/null || { echo 'kube: no go in the PATH nor in /usr/local/go/bin to build it with' >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0 GOFLAGS= GOBIN=$work/bin
mkdir -p "$work/kube" "$work/bin" "$work/kinds"
cp "$here/go.mod" "$work/kube"

# where a module's files are
module() { go mod download -json "$1" | sed -n 's|^\t"Dir": "\(.*\)",$|\1|p'; }

stamp="-X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${version:2:2}"
# `-mod=mod` fills go.sum while it builds.
(cd "$work/kube" && nice go build -mod=mod -trimpath -buildvcs=false -ldflags "-s -w $stamp" -o "$work/bin/" \
  k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl go.etcd.io/etcd/server/v3)
mv "$work/bin/server" "$work/bin/etcd"
nice go install -trimpath -ldflags '-s -w' "helm.sh/helm/v3/cmd/helm@$helm"
nice go install -trimpath -ldflags '-s -w' "github.com/zegl/kube-score/cmd/kube-score@$score"

cd "$work"
gateway=$(module "sigs.k8s.io/gateway-api@$gateway_api")
operator=$(module "github.com/prometheus-operator/prometheus-operator@$prometheus_operator")
cp "$gateway/config/crd/standard/gateway.networking.k8s.io_"{gateways,httproutes}.yaml "$work/kinds"
cp "$operator/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" "$work/kinds"

# In one step: a build that was ended halfway is no build.
rm -rf "$folder.new"
mkdir -p "$folder.new"
cp -r --no-preserve=mode "$work/kinds" "$folder.new/"
mv "$work/bin/"* "$folder.new/"
mv "$folder.new" "$folder"
