# A server with the page, the shipped model and a voice, for CPU. Build: docker build -t flowact .
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --upgrade pip
# The CPU build of torch first, so that no CUDA libraries come with it.
RUN /venv/bin/pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY flowact flowact
COPY recipes recipes
COPY weights weights
COPY samples samples
RUN /venv/bin/pip install --no-cache-dir '.[serve]'

FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends flite libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home flowact
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 FLOWACT_HOST=0.0.0.0 FLOWACT_PORT=8000
USER flowact
WORKDIR /home/flowact
EXPOSE 8000
# Docker sends SIGTERM; sessions are told and ended within 8 seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"FLOWACT_PORT\"]}/healthz', timeout=4)"]
# Beyond loopback a token is needed: set FLOWACT_TOKEN, or read the one that is made up in the log.
ENTRYPOINT ["flowact", "serve"]
