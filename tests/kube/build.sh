#!/usr/bin/env bash
# Build kube-apiserver and kube-controller-manager for the tests, from the Go modules that go.mod pins: about eight
# minutes on two cores the first time, nothing afterwards. They are kept outside the checkout, by version.
set -euo pipefail
cd "$(dirname "$0")"

version=$(sed -n 's/^require k8s.io\/kubernetes //p' go.mod)
out=${XDG_CACHE_HOME:-$HOME/.cache}/surgecast/kubernetes-$version
if [ -x "$out/kube-apiserver" ] && [ -x "$out/kube-controller-manager" ]; then
    echo "$out"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "no Go here: tests against a real API server will skip" >&2
    exit 1
fi
mkdir -p "$out.new"
for program in kube-apiserver kube-controller-manager; do
    echo "==> building $program $version" >&2
    go build -mod=mod -ldflags='-s -w' -o "$out.new/" "k8s.io/kubernetes/cmd/$program"
done
rm -rf "$out"
mv "$out.new" "$out"
echo "$out"
