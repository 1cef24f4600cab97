# syntax=docker/dockerfile:1
#
#   docker build -t segue .
#   docker run --rm -p 8080:8080 segue                       serves the demo bundle
#   docker run --rm -p 8080:8080 -v segue-data:/var/lib/segue segue                       ... and keeps its events
#   docker run --rm -p 8080:8080 -v /path/to/bundle:/bundle:ro -e SEGUE__BUNDLE=/bundle segue
#
# Any key of config/segue.toml can be set by a variable SEGUE__SECTION__KEY.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-pip \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup
COPY . .
# The target folder is a cache mount, so the binary is copied out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --features fluvio,s3 \
    && install -D target/release/segue /out/segue \
    && install -D --mode=0644 .cache/onnxruntime/libonnxruntime.so /out/libonnxruntime.so

FROM debian:bookworm-slim
# S3 is spoken over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --no-create-home --shell /usr/sbin/nologin --uid 10001 segue \
    && install -d -o segue -g segue /var/lib/segue
# The server finds ONNX Runtime beside its binary.
COPY --from=build /out/ /opt/segue/
COPY models /usr/share/segue/models
COPY config/segue.toml LICENSE /usr/share/segue/
ENV PATH=/opt/segue:$PATH \
    SEGUE__BUNDLE=/usr/share/segue/models/demo \
    SEGUE__SERVER__LISTEN=0.0.0.0:8080 \
    SEGUE__EVENTS__DATA_DIR=/var/lib/segue \
    SEGUE__LOG__FORMAT=json
USER segue
VOLUME /var/lib/segue
EXPOSE 8080
# The server drains on SIGTERM for at most 1.5 x server.drain_s (15 s): use `docker stop --time 20`.
STOPSIGNAL SIGTERM
# The slim image has no curl; bash opens the connection itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [[ $status == 200 ]]"]
ENTRYPOINT ["segue"]
CMD ["serve"]
