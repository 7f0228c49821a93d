#!/usr/bin/env bash
# Installs the missing packages of the named groups of ci/packages.txt.
#
#   install.sh GROUP...
#
# Only root on Debian or Ubuntu can install. Otherwise it prints the command to run, and fails.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

is_there() {
    local package=$1 sign=$2
    case $sign in
    -)
        # Without dpkg this cannot be found out; the tool that needs the package will report it.
        ! command -v dpkg-query >/dev/null ||
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ]
        ;;
    /*) [ -e "$sign" ] ;;
    *) command -v "$sign" >/dev/null ;;
    esac
}

missing=()
while read -r group package sign; do
    case $group in '' | '#'*) continue ;; esac
    for wanted in "$@"; do
        if [ "$group" = "$wanted" ] && ! is_there "$package" "$sign"; then
            missing+=("$package")
        fi
    done
done <"$root/ci/packages.txt"
[ ${#missing[@]} -ne 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    printf 'These packages are missing (Debian names); install them with\n\n' >&2
    printf '    sudo apt-get update && sudo apt-get install -y --no-install-recommends %s\n\n' "${missing[*]}" >&2
    exit 1
fi

printf 'installing %s\n' "${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
# The package lists may be old or missing: they are updated if the installation fails.
"${install[@]}" </dev/null >&2 || { apt-get update -q </dev/null >&2 && "${install[@]}" </dev/null >&2; }
