#!/bin/sh
# Installs the programs the tests talk to, and keeps their services from being started or enabled.
# An ordinary user is told what is missing; the tests that need it are then left out by name.
set -eu

packages="redis-server postgresql orthanc orthanc-dicomweb orthanc-python dcmtk dicom3tools chromium systemd"
services="redis-server postgresql orthanc"

missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Missing test peers:$missing"
    echo "Install them with:  sudo make peers"
    echo "Until then pytest leaves out, and lists, the tests marked 'peer' that name one of their programs."
    exit 0
fi

# Debian starts a service as its package is configured, unless policy-rc.d forbids it (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing

for service in $services; do
    case " $missing " in *" $service "*)
        deb-systemd-helper disable "$service.service" >/dev/null 2>&1 || true
        update-rc.d "$service" disable >/dev/null 2>&1 || true ;;
    esac
done
