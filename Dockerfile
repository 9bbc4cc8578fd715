FROM python:3.11.14-slim-bookworm

# Whatever runs as this user may write only where a worker keeps its state.
RUN useradd --system --uid 10001 --home-dir /var/lib/pulseload --create-home pulseload

COPY . /tmp/source
# As a variable it holds for the build's own requirements too.
RUN PIP_CONSTRAINT=/tmp/source/constraints.txt \
    pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore /tmp/source \
    && rm -rf /tmp/source

ENV PULSELOAD_HOME=/var/lib/pulseload \
    PYTHONUNBUFFERED=1
USER pulseload
WORKDIR /var/lib/pulseload
VOLUME /var/lib/pulseload

CMD ["pulseload", "--help"]
