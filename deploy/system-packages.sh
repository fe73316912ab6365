#!/bin/sh
# Install the named Debian packages if they are missing. As root it does so without starting the
# services they bring; otherwise it says what to install and goes on: what needs them is skipped.
set -eu

missing=""
for package in "$@"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Missing system packages:$missing" >&2
  echo "As root: apt-get install -y --no-install-recommends$missing" >&2
  exit 0
fi

echo "Installing:$missing"
# Tests start the servers themselves, on ports of their own.
guard=/usr/sbin/policy-rc.d
made=""
if [ ! -e "$guard" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$guard"
  chmod 755 "$guard"
  made=yes
fi
trap '[ -z "$made" ] || rm -f "$guard"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
