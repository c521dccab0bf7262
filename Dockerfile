# Windlass in a container: the binary, its configuration without any task, and a shell for jobs that are scripts.
#
#   docker build -t windlass .
#   docker run --rm -v ./tasks.d:/etc/windlass/tasks.d:ro -v windlass:/var/lib/windlass windlass
#   docker run --rm -v ./config:/etc/windlass/config:ro -v ./tasks.d:/etc/windlass/tasks.d:ro \
#       -e WINDLASS_STORE_URL=redis://redis:6379/0 windlass
#
# The daemon is uid 7480. Files that are mounted belong to root or to that user, or to one of `[security] owners`: a task file
# of another owner is not run (docs/files.md). It needs no capability and writes only to /var/lib/windlass and to /tmp:
#
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges ...
#
# Give it time to stop (docker run --stop-timeout 35, compose: stop_grace_period: 35s): running jobs may end
# within shutdown.timeout, which is 25 s, while containers are often killed after 10.

# Tags move. For builds that repeat, pin the two bases by digest, and exchange the digests when they are old:
#
#   docker buildx imagetools inspect rust:1.91-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg RUST_BASE=rust:1.91-slim-bookworm@sha256:... \
#       --build-arg DEBIAN_BASE=debian:bookworm-slim@sha256:... .
#
# (Renovate and Dependabot write digests into the two lines below and keep them new.)
ARG RUST_BASE=rust:1.91-slim-bookworm
ARG DEBIAN_BASE=debian:bookworm-slim

# What is built beside the plain binary: traces (docs/tracing.md). --build-arg FEATURES= leaves them out.
ARG FEATURES=otel

FROM ${RUST_BASE} AS build
ARG FEATURES
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The dependencies alone first: they are built again only when Cargo.lock changes. The examples that Cargo.toml names must be
# there, though nothing compiles them.
RUN mkdir src examples \
    && sed -n '/^\[\[example\]\]/,/^$/s|^name = "\(.*\)"|examples/\1.rs|p' Cargo.toml | xargs touch \
    && echo 'fn main() {}' > src/main.rs \
    && : > src/lib.rs \
    && cargo build --release --locked --features "${FEATURES}" \
    && rm -rf src
COPY src ./src
# What the sources include: `windlass generate config` writes it.
COPY config ./config
# Newer than what was just built in their place, whatever the clock of the checkout says.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --features "${FEATURES}" \
    && install -m 755 target/release/windlass /usr/local/bin/windlass

FROM ${DEBIAN_BASE}
# For jobs of http with https://, and for rediss://: who is trusted comes from the system.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
# The number is fixed, so that files on volumes keep their owner from image to image.
RUN groupadd --gid 7480 windlass \
    && useradd --uid 7480 --gid windlass --no-create-home --home-dir /var/lib/windlass --shell /usr/sbin/nologin windlass \
    && install -d -o windlass -g windlass -m 750 /var/lib/windlass
COPY --from=build /usr/local/bin/windlass /usr/local/bin/windlass
COPY config /etc/windlass/config
# No tasks: those of the repository are examples. The SQLite file belongs on the volume; WINDLASS_STORE_URL names another store.
# The modes of the checkout do not count: what others may write is not run.
RUN mkdir /etc/windlass/tasks.d \
    && sed -i 's|sqlite:.*db|sqlite:/var/lib/windlass/windlass.db|' /etc/windlass/config/tasks.toml \
    && chmod -R u=rwX,go=rX /etc/windlass
ENV WINDLASS_CONFIG=/etc/windlass/config/tasks.toml
VOLUME /var/lib/windlass
WORKDIR /var/lib/windlass
USER windlass
# Healthy is a daemon that extends its lease: its core turns and reaches the store. That takes a third of [store] lease, 15 s, and
# is given up after all of it: with another lease set --health-timeout too. Unhealthy is also a daemon whose store is away;
# it recovers by itself, so do not restart it for that. A scheduler without workers is judged in the same way.
HEALTHCHECK --interval=30s --timeout=30s --start-period=30s --retries=2 CMD windlass health || exit 1
# Drains. As PID 1 it reaps what jobs leave behind: no --init is needed.
STOPSIGNAL SIGTERM
ENTRYPOINT ["windlass"]
CMD ["run"]
