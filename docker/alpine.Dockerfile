# A client of a server on Alpine, from wheels alone. numba, the embedded PostgreSQL and zarr's codecs have no wheels for
# musl: counting is NumPy's, the database is elsewhere.
ARG BASE=alpine:3.22.2

FROM ${BASE} AS wheel
RUN apk add --no-cache python3 py3-pip
COPY docker/requirements-build.lock /build/
RUN python3 -m venv --without-pip /build/venv && \
    pip --python /build/venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
        --requirement /build/requirements-build.lock
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
WORKDIR /build
RUN venv/bin/python -m hatchling build -t wheel -d dist

FROM ${BASE} AS environment
RUN apk add --no-cache python3 py3-pip
COPY docker/requirements-alpine.lock /build/
RUN python3 -m venv --without-pip /opt/dj-neuron && \
    pip --python /opt/dj-neuron/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
        --requirement /build/requirements-alpine.lock
COPY --from=wheel /build/dist /build/dist
# without dependencies: the lock names those that are wanted here
RUN pip --python /opt/dj-neuron/bin/python install --no-cache-dir --no-deps /build/dist/*.whl && \
    find /opt/dj-neuron -depth -type d -name tests -exec rm -rf {} +

FROM ${BASE}
RUN apk add --no-cache python3 && addgroup -g 1000 dj-neuron && adduser -D -u 1000 -G dj-neuron dj-neuron && \
    mkdir -m 1777 /input /output /scripts
COPY --from=environment /opt/dj-neuron /opt/dj-neuron
COPY docker/health.py /opt/dj-neuron/health.py
# caches go to /tmp, so that any user may run it
ENV PATH=/opt/dj-neuron/bin:$PATH HOME=/tmp PYTHONPATH=/scripts PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /output
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "/opt/dj-neuron/health.py"]
ENTRYPOINT ["dj-neuron"]
CMD ["status"]
