#!/usr/bin/env bash
# Build an InfluxDB 2 from its Go modules, for the tests that run on a real one: scripts/build-influxdb2.sh TARGET
#
# No release of Debian has it. Needs Go, a C compiler, pkg-config and Rust (its language Flux is a Rust library);
# takes some ten minutes of two cores. The tests find it as `influxd2` on the path or by SURGECAST_INFLUXD2.
set -euo pipefail
target=$(realpath -m "${1:?usage: scripts/build-influxdb2.sh TARGET}")
version=v2.7.12
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
for program in go cargo pkg-config cc; do
    command -v $program >/dev/null || { echo "error: $program is not installed" >&2; exit 1; }
done

# Flux forbids itself warnings, and newer compilers have new ones; it also asks for a compiler of its own time.
cargo=$(command -v cargo)
mkdir "$work/bin" "$work/build"
printf '#!/bin/sh\nsed -i "s/deny(warnings, missing_docs)/warn(missing_docs)/" flux-core/src/lib.rs flux/src/lib.rs\nexec %q "$@"\n' \
    "$cargo" >"$work/bin/cargo"
chmod +x "$work/bin/cargo"
if command -v rustup >/dev/null; then
    RUSTUP_TOOLCHAIN=$(rustup toolchain list | sed -n '1s/ .*//p')
    export RUSTUP_TOOLCHAIN
fi
export PATH="$work/bin:$PATH" GOFLAGS=-mod=mod

GOBIN=$work/bin go install github.com/influxdata/pkg-config@latest
export PKG_CONFIG=$work/bin/pkg-config
cd "$work/build"
go mod init example.com/influxdb2
printf '//go:build tools\n\npackage main\n\nimport _ "github.com/influxdata/influxdb/v2/cmd/influxd"\n' >tools.go
go get "github.com/influxdata/influxdb/v2@$version"
# As its own go.mod says, which Go does not take over from a module that is required.
go mod edit -replace github.com/nats-io/nats-streaming-server@v0.11.2=github.com/influxdata/nats-streaming-server@v0.11.3-0.20201112040610-c277f7560803
go build -tags sqlite_foreign_keys,sqlite_json -o "$target" github.com/influxdata/influxdb/v2/cmd/influxd
"$target" version
