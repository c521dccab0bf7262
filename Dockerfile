# Windlass in a container: the binary, its sample configuration, and a shell for jobs that are scripts.
#
#   docker build -t windlass .
#   docker run --rm -v windlass:/var/lib/windlass windlass
#   docker run --rm -v ./config:/etc/windlass/config:ro -v ./tasks.d:/etc/windlass/tasks.d:ro \
#       -e WINDLASS_STORE_URL=redis://redis:6379/0 windlass
#
# Give it time to stop (docker run --stop-timeout 35, compose: stop_grace_period: 35s): running jobs may end
# within shutdown.timeout, which is 25 s, while containers are often killed after 10.

ARG RUST_VERSION=1.91
ARG DEBIAN_VERSION=bookworm

FROM rust:${RUST_VERSION}-slim-${DEBIAN_VERSION} AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The dependencies alone first: they are built again only when Cargo.lock changes.
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && : > src/lib.rs \
    && cargo build --release --locked \
    && rm -rf src
COPY src ./src
# Newer than what was just built in their place, whatever the clock of the checkout says.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked \
    && install -m 755 target/release/windlass /usr/local/bin/windlass

FROM debian:${DEBIAN_VERSION}-slim
# The number is fixed, so that files on volumes keep their owner from image to image.
RUN groupadd --gid 7480 windlass \
    && useradd --uid 7480 --gid windlass --no-create-home --home-dir /var/lib/windlass --shell /usr/sbin/nologin windlass \
    && install -d -o windlass -g windlass -m 750 /var/lib/windlass
COPY --from=build /usr/local/bin/windlass /usr/local/bin/windlass
COPY config /etc/windlass/config
COPY tasks.d /etc/windlass/tasks.d
# The SQLite file belongs on the volume. WINDLASS_STORE_URL names another store.
RUN sed -i 's|sqlite:.*db|sqlite:/var/lib/windlass/windlass.db|' /etc/windlass/config/tasks.toml
ENV WINDLASS_CONFIG=/etc/windlass/config/tasks.toml
VOLUME /var/lib/windlass
WORKDIR /var/lib/windlass
USER windlass
# Drains. As PID 1 it reaps what jobs leave behind: no --init is needed.
STOPSIGNAL SIGTERM
ENTRYPOINT ["windlass"]
CMD ["run"]
