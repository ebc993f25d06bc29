# Everything that the verbs may ask for, on Debian: compiled counting, the embedded PostgreSQL, NWB, Parquet and zarr.
ARG BASE=debian:bookworm-20250520-slim

FROM ${BASE} AS wheel
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv python3-pip
COPY docker/requirements-build.lock /build/
RUN python3 -m venv --without-pip /build/venv && \
    pip --python /build/venv/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
        --requirement /build/requirements-build.lock
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
WORKDIR /build
RUN venv/bin/python -m hatchling build -t wheel -d dist

FROM ${BASE} AS environment
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv python3-pip
COPY requirements.lock /build/
RUN python3 -m venv --without-pip /opt/dj-neuron && \
    pip --python /opt/dj-neuron/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
        --requirement /build/requirements.lock
COPY --from=wheel /build/dist /build/dist
RUN pip --python /opt/dj-neuron/bin/python install --no-cache-dir --no-deps /build/dist/*.whl && \
    find /opt/dj-neuron -depth -type d -name tests -exec rm -rf {} +

FROM ${BASE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 && rm -rf /var/lib/apt/lists/* && \
    useradd --uid 1000 --user-group --no-create-home dj-neuron && mkdir -m 1777 /input /output /scripts
COPY --from=environment /opt/dj-neuron /opt/dj-neuron
COPY docker/health.py /opt/dj-neuron/health.py
# caches go to /tmp, so that any user may run it
ENV PATH=/opt/dj-neuron/bin:$PATH HOME=/tmp PYTHONPATH=/scripts PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /output
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "/opt/dj-neuron/health.py"]
ENTRYPOINT ["dj-neuron"]
CMD ["status"]
