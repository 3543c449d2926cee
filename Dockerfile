# One image for worker, API and migrations: the command says which. Health is asked of each service in
# docker-compose.yml, since what answers for it differs.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 VIRTUAL_ENV=/venv
RUN pip install --quiet uv==0.13.9 && python -m venv --without-pip /venv
WORKDIR /app
COPY pyproject.toml requirements.lock README.md ./
# What pyproject.toml needs to run, in the versions and with the hashes of the lock: its dev packages stay out.
RUN uv pip install --require-hashes --constraint requirements.lock --requirement pyproject.toml
COPY activities activities
COPY api api
COPY cli cli
COPY domain domain
COPY emails emails
COPY inspection inspection
COPY integrations integrations
COPY rehearsal rehearsal
COPY runtime runtime
COPY store store
COPY worker worker
COPY workflows workflows
# Editable, as on a developer's machine: templates and migrations are read from /app.
RUN uv pip install --constraint requirements.lock setuptools \
    && uv pip install --no-deps --no-build-isolation --editable . \
    && uv pip uninstall setuptools \
    && python -m compileall -q /app \
    && chmod -R a+rX /app

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin cauce \
    && install --directory --owner=cauce --group=cauce --mode=0700 /var/lib/cauce
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CAUCE_DATA_DIR=/var/lib/cauce
WORKDIR /app
USER cauce
STOPSIGNAL SIGTERM
CMD ["cauce", "--help"]
