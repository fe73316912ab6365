#!/bin/sh
# Put the agent or the collector on this machine, or upgrade it. See --help.
set -eu

usage() {
  cat <<'END'
Usage: deploy/install.sh agent|collector [options]

Puts the agent (at a node, or beside the hub as its prober) or the collector (at the hub) on this
Debian 12 machine, from this folder. Run it again from a newer folder to upgrade: settings, keys and
evidence are never touched, a running service is restarted, and the release before stays beside the
new one.

  --prefix DIR    where the programs go                                  [/opt/pantau]
  --root DIR      pretend that DIR is /: put everything below it and start nothing
  --programs DIR  use pantau-agent and pantau-collector of DIR, which are installed already,
                  instead of an environment of their own; nothing is downloaded then
  --help          this text

It brings: an environment with locked packages (pip's own settings hold: a proxy or PIP_INDEX_URL,
or PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR without a network), a system user, a hardened systemd unit,
kernel settings (ping sockets, buffers), and /usr/local/bin/pantau-agent or pantau-collector, which
act as that user. For a collector also example settings in /etc/pantau, where there are none, and a
nightly copy of its data. It does not start what was not running before.

What to do next: docs/operations.md.
END
}

fail() {
  echo "deploy/install.sh: $*" >&2
  exit 1
}

role="" prefix=/opt/pantau root="" programs=""
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit 0 ;;
    --prefix | --root | --programs)
      [ $# -ge 2 ] || fail "$1: expected a folder after it"
      case $2 in /*) ;; *) fail "$1 $2: expected an absolute path" ;; esac
      case $1 in
        --prefix) prefix=${2%/} ;;
        --root) root=${2%/} ;;
        --programs) programs=${2%/} ;;
      esac
      shift
      ;;
    agent | collector) [ -z "$role" ] || fail "one of agent and collector at a time"; role=$1 ;;
    *) fail "$1: expected agent or collector; --help says more" ;;
  esac
  shift
done
[ -n "$role" ] || { usage >&2; exit 2; }
case $prefix in *[!A-Za-z0-9/._-]*) fail "--prefix $prefix: letters, digits and . _ - / only" ;; esac
[ "$(id -u)" -eq 0 ] || fail "run it as root: it makes a user and writes below /etc and /usr/local"

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
version=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$here/runtime/version.py")
base=$root$prefix/$role
release=$base/releases/$version-$(date -u +%Y%m%dT%H%M%S)
[ ! -e "$release" ] || fail "$release is there already; wait a second"
living=""
if [ -z "$root" ] && [ -d /run/systemd/system ]; then living=yes; fi

undo() {
  rm -rf "$release"
  echo "deploy/install.sh: nothing was changed for the release that runs" >&2
}
trap undo EXIT
trap 'exit 130' INT TERM
mkdir -p "$release"

# --- the programs -------------------------------------------------------------------------

if [ -n "$programs" ]; then
  mkdir "$release/bin"
  for one in pantau-agent pantau-collector; do
    [ -x "$programs/$one" ] || fail "--programs $programs: no $one there"
    ln -s "$programs/$one" "$release/bin/$one"
  done
else
  # A collector's audits are laid out with Pango.
  pdf="libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
  [ "$role" = collector ] || pdf=""
  # shellcheck disable=SC2086 # several packages, or none
  "$here/deploy/system-packages.sh" python3-venv $pdf
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "python3 is older than 3.11: Debian 12 or newer is expected"
  echo "Installing pantau $version with its packages into $release"
  python3 -m venv "$release"
  "$release/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
    -r "$here/requirements/$role.lock"
  "$release/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-build-isolation "$here"
fi
"$release/bin/pantau-$role" --version >/dev/null || fail "the program does not start"
mkdir -p "$release/share/docs"
cp -R "$here/configs" "$release/share/configs"
# What configs/ is made and tested by is the workshop's.
(cd "$release/share/configs" && rm -rf prometheus/tests grafana/description grafana/generate.py)
cp "$here/docs/operations.md" "$release/share/docs/"

# --- what systemd and the kernel read -----------------------------------------------------

put() { # FILE FOLDER: with the prefix in its text; replaced whole
  mkdir -p "$root$2"
  target=$root$2/$(basename -- "$1")
  sed "s|/opt/pantau/|$prefix/|g" "$1" >"$target.new"
  chmod 644 "$target.new"
  mv -f "$target.new" "$target"
}

put "$here/deploy/systemd/pantau-$role.service" /usr/local/lib/systemd/system
put "$here/deploy/sysusers.d/pantau-$role.conf" /usr/local/lib/sysusers.d
put "$here/deploy/tmpfiles.d/pantau-$role.conf" /usr/local/lib/tmpfiles.d
put "$here/deploy/sysctl.d/90-pantau.conf" /usr/local/lib/sysctl.d
if [ "$role" = collector ]; then
  put "$here/deploy/systemd/pantau-backup.service" /usr/local/lib/systemd/system
  put "$here/deploy/systemd/pantau-backup.timer" /usr/local/lib/systemd/system
fi

command=$root/usr/local/bin/pantau-$role
mkdir -p "$root/usr/local/bin"
cat >"$command.new" <<END
#!/bin/sh
# As root, act as the program's own user: what a command writes has to be the service's.
program=$prefix/$role/current/bin/pantau-$role
[ "\$(id -u)" -eq 0 ] || exec "\$program" "\$@"
exec setpriv --reuid=pantau-$role --regid=pantau-$role --init-groups "\$program" "\$@"
END
chmod 755 "$command.new"
mv -f "$command.new" "$command"

mkdir -p "$root/etc"
systemd-sysusers ${root:+--root="$root"} "$root/usr/local/lib/sysusers.d/pantau-$role.conf"
systemd-tmpfiles ${root:+--root="$root"} --create "pantau-$role.conf"
if [ "$role" = collector ]; then
  for one in collector nodes links contracts; do
    [ -e "$root/etc/pantau/$one.yaml" ] || cp "$here/configs/$one.yaml" "$root/etc/pantau/$one.yaml"
  done
fi
if [ -n "$living" ]; then
  /lib/systemd/systemd-sysctl /usr/local/lib/sysctl.d/90-pantau.conf \
    || echo "Not all kernel settings were taken; see above" >&2
fi

# --- from one release to the next ---------------------------------------------------------

former=$(readlink "$base/current" 2>/dev/null || true)
ln -s "releases/$(basename -- "$release")" "$base/current.new"
mv -fT "$base/current.new" "$base/current"
trap - EXIT
for one in "$base"/releases/*; do
  case releases/$(basename -- "$one") in
    "$former" | "releases/$(basename -- "$release")") ;;
    *) rm -rf "$one" ;;
  esac
done

if [ -n "$living" ]; then
  systemctl daemon-reload
  systemctl try-restart "pantau-$role.service"
fi
echo "pantau-$role $version is in $prefix/$role/current${former:+ (before: $former)}."
echo "Next: $prefix/$role/current/share/docs/operations.md"
