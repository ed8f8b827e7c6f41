# One image for each service:
#   docker build --target user_service .
#   docker build --target auth_service .
# It needs no BuildKit: no mounts, no heredocs, no syntax line.

# --- The dependencies, in a layer that stays cached until a manifest or the lock file changes ---
FROM rust:1.95-slim-bookworm AS dependencies
WORKDIR /src
ENV CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY shared/Cargo.toml shared/
COPY shared/contract/Cargo.toml shared/contract/
COPY shared/argon2id/Cargo.toml shared/argon2id/
COPY user_service/Cargo.toml user_service/
COPY auth_service/Cargo.toml auth_service/
# Not built here, but members of the workspace.
COPY standalone/Cargo.toml standalone/
COPY shared/testkit/Cargo.toml shared/testkit/
COPY bench/Cargo.toml bench/
# Empty crates replace ours here. They and their build output are removed again, so that no file
# time can make cargo take one for the real crate.
RUN libraries='shared shared/contract shared/argon2id shared/testkit user_service auth_service standalone' \
    && programs='user_service auth_service standalone bench' \
    && for member in $libraries bench; do mkdir $member/src; done \
    && for member in $libraries; do touch $member/src/lib.rs; done \
    && for member in $programs; do echo 'fn main() {}' >$member/src/main.rs; done \
    && mkdir shared/argon2id/benches && touch shared/argon2id/benches/argon2id.rs \
    && cargo build --profile dist --locked --package user_service --package auth_service \
    && cargo clean --profile dist --locked --package shared --package contract --package argon2id \
        --package user_service --package auth_service \
    && rm -r shared/argon2id/benches && for member in $libraries bench; do rm -r $member/src; done

# --- Our own code ---
FROM dependencies AS build
COPY shared shared
COPY user_service user_service
COPY auth_service auth_service
COPY standalone standalone
COPY bench bench
RUN cargo build --profile dist --locked --package user_service --package auth_service

# --- The runtime image of both services ---
FROM debian:bookworm-slim AS runtime
# The root certificates for amqps://.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# A new named volume gets its owner and mode from the directory that it covers.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data /keys /backup
USER 10001:10001
WORKDIR /data
ENV DATA_DIR=/data
VOLUME /data

FROM runtime AS user_service
COPY --from=build /src/target/dist/user_service /usr/local/bin/
ENV USER_SERVICE_LISTEN=0.0.0.0:8001
EXPOSE 8001
ENTRYPOINT ["user_service"]

FROM runtime AS auth_service
COPY --from=build /src/target/dist/auth_service /usr/local/bin/
ENV AUTH_SERVICE_LISTEN=0.0.0.0:8002
EXPOSE 8002
ENTRYPOINT ["auth_service"]
