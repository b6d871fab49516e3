#!/bin/sh
# simpleIA: installs what is missing, then runs its command line. All commands: ./run_llm.sh --help
# Needs a POSIX shell and Node.js 20 or newer with npm; everything else comes from the package registry.
set -eu

cd "$(dirname "$0")"

case "${LC_ALL:-${LC_MESSAGES:-${LANG:-}}}" in
  es*) spanish=yes ;;
  *) spanish=no ;;
esac

# Says the first text in English or the second one in Spanish.
say() {
  if [ "$spanish" = yes ]; then printf '%s\n' "$2" >&2; else printf '%s\n' "$1" >&2; fi
}

stamp=node_modules/.installed
lock=.install.lock

# Changes whenever another installation is due: other packages, another npm configuration, another kind of machine.
fingerprint() {
  { cat package-lock.json .npmrc && uname -sm; } | cksum
}

is_installed() {
  [ -x node_modules/.bin/node ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]
}

check_tools() {
  if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    say 'simpleIA needs Node.js 20 or newer with npm. Install it from https://nodejs.org or your package manager, then start again.' \
      'simpleIA necesita Node.js 20 o posterior con npm. Instálalo desde https://nodejs.org o tu gestor de paquetes y arranca otra vez.'
    exit 1
  fi
  version=$(node --version)
  major=${version#v}
  major=${major%%.*}
  if [ "$major" -lt 20 ]; then
    say "simpleIA needs Node.js 20 or newer, but node is $version. Install a newer one, then start again." \
      "simpleIA necesita Node.js 20 o posterior, pero node es $version. Instala uno más nuevo y arranca otra vez."
    exit 1
  fi
}

# Two set-ups at once would disturb each other: the second waits, and takes over when the first is gone.
take_lock() {
  told=no
  unowned=0
  while ! mkdir "$lock" 2>/dev/null; do
    if [ ! -d "$lock" ]; then
      say "The folder $(pwd) cannot be written. Check its owner and permissions." \
        "La carpeta $(pwd) no se puede escribir. Comprueba su dueño y sus permisos."
      exit 1
    fi
    owner=$(cat "$lock/pid" 2>/dev/null || true)
    # One that was killed right after it took the lock has not even left its number.
    if [ -z "$owner" ]; then unowned=$((unowned + 1)); else unowned=0; fi
    if [ "$unowned" -gt 5 ] || { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; }; then
      rm -rf "$lock"
      continue
    fi
    if [ "$told" = no ]; then
      say "Another set-up is at work. Waiting for it (if there is none, remove the folder $lock)." \
        "Otra preparación está en marcha. Esperando (si no hay ninguna, borra la carpeta $lock)."
      told=yes
    fi
    sleep 1
  done
  trap 'rm -rf "$lock"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  echo $$ >"$lock/pid"
}

# Only these two packages need their install scripts. better-sqlite3 brings its binaries, and its script would want a compiler's
# set-up all the same. --include=dev: Node.js itself is among the packages that NODE_ENV=production would leave out.
run_npm() {
  npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error >&2 &&
    npm rebuild --no-audit --no-fund --loglevel=error node koffi >&2
}

install_packages() {
  check_tools
  take_lock
  if ! is_installed; then
    say 'Installing packages (once).' 'Instalando paquetes (una vez).'
    if ! run_npm; then
      say 'The packages could not be installed; npm tells why above. Once it is mended, start again.' \
        'No se pudieron instalar los paquetes; npm dice arriba por qué. Cuando esté arreglado, arranca otra vez.'
      exit 1
    fi
    fingerprint >"$stamp"
  fi
  rm -rf "$lock"
  trap - EXIT INT TERM
}

is_installed || install_packages
# What V8 has compiled is kept for later starts, which take little more than half as long.
export NODE_COMPILE_CACHE="${NODE_COMPILE_CACHE:-$PWD/.cache/compiled}"
# Smaller spaces for new objects and one helper thread: some 20 MiB less, at the same speed.
exec node_modules/.bin/node --max-semi-space-size=4 --v8-pool-size=1 src/main.ts "$@"
