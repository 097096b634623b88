#!/usr/bin/env bash
# Install the Debian programs that tests drive: as root on Debian or Ubuntu those that are missing, else none.
# A package that a release does not have is named and left out: the tests that want it skip and say so.
set -euo pipefail

declare -A package_of=(
    [tshark]=tshark [tcpdump]=tcpdump [chromium]=chromium [ip]=iproute2 [iptables]=iptables
    [kamailio]="kamailio kamailio-extra-modules kamailio-utils-modules kamailio-json-modules"
    [rtpengine]=rtpengine-daemon [rtpengine-ctl]=rtpengine-utils [sipp]=sip-tester [baresip]=baresip-core
    [etcd]=etcd-server [influxd]=influxdb [victoria-metrics]=victoria-metrics
    [prometheus-alertmanager]=prometheus-alertmanager [pdftotext]=poppler-utils
)
PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in "${!package_of[@]}"; do
    # shellcheck disable=SC2206  # several packages stand in one word
    command -v "$program" >/dev/null || missing+=(${package_of[$program]})
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "==> not installed, tests that need them will skip: ${missing[*]}" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
echo "==> installing programs that tests drive: ${missing[*]}" >&2
apt-get update -q >&2
available=()
for package in "${missing[@]}"; do
    if [ -n "$(apt-cache show --no-all-versions "$package" 2>/dev/null)" ]; then
        available+=("$package")
    else
        echo "==> this release has no $package: tests that need it will skip" >&2
    fi
done
[ ${#available[@]} -eq 0 ] && exit 0

# A test machine must not start the daemons that come with the packages: tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
# All at once is fastest; one by one where a single package of them cannot be installed.
apt-get install -q -y --no-install-recommends "${available[@]}" >&2 || for package in "${available[@]}"; do
    apt-get install -q -y --no-install-recommends "$package" >&2 ||
        echo "==> could not install $package: tests that need it will skip" >&2
done
