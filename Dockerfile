# The gateway, for an upstream: no PyTorch. Build in the root of a checkout: docker build -t idiolect .
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m venv /srv/idiolect \
    && /srv/idiolect/bin/pip install --no-cache-dir -c constraints.txt '.[serve,otel]' 'psycopg[binary]>=3.2'

FROM python:3.11-slim
COPY --from=build /srv/idiolect /srv/idiolect
RUN useradd --create-home --uid 10001 idiolect && install -d -o idiolect -m 0700 /var/lib/idiolect
USER idiolect
ENV PATH=/srv/idiolect/bin:$PATH IDIOLECT_SERVE_HOST=0.0.0.0 IDIOLECT_SERVE_STORE=/var/lib/idiolect
VOLUME /var/lib/idiolect
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health')"]
ENTRYPOINT ["idiolect", "serve"]
