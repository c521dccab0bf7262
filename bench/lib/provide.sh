# Sourced by bench/run, bench/soak and bench/large: sees to what they need. The caller has set `me`, its own name.
# shellcheck shell=bash

node_at_least=20
unavailable=69 # EX_UNAVAILABLE
target=${CARGO_TARGET_DIR:-target}

fail() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit "$unavailable"
}
have() { command -v "$1" >/dev/null 2>&1; }
can_install() { [ "$(id -u)" = 0 ] && have apt-get; }
install_packages() {
    apt-get update >&2
    env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >&2
}

# Redis, Node.js, a C compiler and cargo; Debian's packages named as arguments are needed as well.
provide_base() {
    local missing=("$@") node
    have redis-server || missing+=(redis-server)
    have node || missing+=(nodejs)
    have npm || missing+=(npm)
    have python3 || missing+=(python3)
    have cc || missing+=(gcc libc6-dev)
    if [ ${#missing[@]} -gt 0 ]; then
        can_install ||
            fail "missing: ${missing[*]}. Install them: sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
        install_packages "${missing[@]}"
    fi
    node=$(node --version)
    [ "$(printf '%s\n' "$node_at_least" "${node#v}" | sort -V | head -n 1)" = "$node_at_least" ] ||
        fail "Node.js $node_at_least or newer is needed, this is $node"
    if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    fi
    have cargo || fail "cargo is missing: scripts/test --install sees to it, or https://rustup.rs"
}

# What comes from npm, again only when the list has changed. The Redis client of the measurements is among it.
provide_npm() {
    local list=bench/peers/node/package-lock.json
    if ! cmp -s "$list" bench/peers/node/node_modules/.installed-lock.json; then
        (cd bench/peers/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
        cp "$list" bench/peers/node/node_modules/.installed-lock.json
    fi
}

# What comes from PyPI, in an environment of its own.
provide_pip() {
    local list=bench/peers/python/requirements.txt
    if ! cmp -s "$list" "$target/bench/python/installed.txt"; then
        python3 -m venv --clear "$target/bench/python" >&2
        "$target/bench/python/bin/pip" install --quiet --no-deps --requirement "$list" >&2
        cp "$list" "$target/bench/python/installed.txt"
    fi
}

# The release binary as users build it, and with the programs that are named those of bench/Cargo.toml. Their dependencies
# are built at the versions of Windlass' own list: they are the very same, and most are built already.
provide_windlass() {
    local one programs=()
    cargo build --release --locked >&2
    for one in "$@"; do programs+=(--bin "$one"); done
    if [ ${#programs[@]} -gt 0 ]; then
        cp Cargo.lock bench/Cargo.lock
        cargo build --release --manifest-path bench/Cargo.toml --target-dir "$target" "${programs[@]}" >&2
    fi
}
