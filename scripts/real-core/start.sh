#!/usr/bin/env bash
# Installs the published MUXI Core once, then starts it on loopback. See README.md.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: start.sh                  start the Core and stay until SIGTERM or Ctrl-C
       start.sh COMMAND [ARG…]   start the Core, run the command against it, exit with its status
       start.sh install          only install the Core
       start.sh --help           print this

environment (default)
  CORE_PORT (8271)  CORE_LLM_PORT (8290)  CORE_DB_PORT (8295)   0 takes any free port
  CORE_ADMIN_KEY, CORE_CLIENT_KEY   the Core's two keys (fixed test values)
  CORE_EVENTS_FILE                  where the Core appends its events as JSON lines (a temporary file)
  CORE_PYTHON                       the Python to install with (the first that can)
  CORE_VENV                         where it is installed (a folder in ~/.cache/muxi-api)
TEXT
}

say() { printf 'real-core: %s\n' "$*" >&2; }

can_run_the_core() {
  "$1" - <<'PYTHON' >/dev/null 2>&1
import ensurepip, sqlite3, sys, venv
assert (3, 10) <= sys.version_info[:2] <= (3, 13)
sqlite3.connect(':memory:').enable_load_extension(True)
PYTHON
}

find_python() {
  local candidates=(python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3) candidate
  if [[ -n ${CORE_PYTHON:-} ]]; then
    candidates=("$CORE_PYTHON")
  fi
  for candidate in "${candidates[@]}"; do
    if can_run_the_core "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  say "no usable Python among ${candidates[*]}: install 3.10 to 3.13 with venv and loadable SQLite extensions" \
    '(Debian, Ubuntu: apt-get install python3-venv) or name one in CORE_PYTHON'
  return 1
}

# The list of packages is complete, so pip resolves nothing; an interrupted installation is continued.
install_core() {
  local python packages line count=0
  python=$(find_python)
  packages=$(grep -c == "$requirements")
  say "installing $(grep ^muxi-runtime= "$requirements") with $python into $venv (1.9 GB)"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --no-deps \
    --requirement "$requirements" | while read -r line; do
    case $line in
      Collecting*) ((++count % 20)) || say "$count of $packages packages fetched" ;;
      Installing*) say "unpacking $packages packages" ;;
    esac
  done
  touch "$venv/.complete"
  say "installed in $SECONDS s"
}

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  usage
  exit
fi

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
requirements=$here/requirements.txt
hash=$(sha256sum <"$requirements" | cut -c 1-12)
venv=${CORE_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/muxi-api/real-core-$hash}

mkdir -p "$(dirname -- "$venv")"
(
  flock 9 # of two first starts at once, one installs
  [[ -e $venv/.complete ]] || install_core
) 9>"$venv.lock"

if [[ ${1:-} != install ]]; then
  exec "$venv/bin/python" -I "$here/run.py" "$@"
fi
