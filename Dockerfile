# Four images from one wheel: buildah bud --target operator|worker|server|storage (make images builds and loads all).
# Libraries are installed from uv.lock in a layer below the sources, so that an edit rebuilds in seconds.
ARG BASE=docker.io/library/python:3.13-slim

# The context of this target alone is the directory of a versitygw binary; see hack/cluster/images.sh.
FROM scratch AS storage
COPY versitygw /versitygw
USER 65532:65532
ENTRYPOINT ["/versitygw"]

FROM ${BASE} AS build
ARG UV=0.13.9
# Bytecode that is never checked against its source starts fastest, and survives a copy that changes file times.
ENV UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    VIRTUAL_ENV=/opt/treadle PATH=/opt/uv/bin:$PATH
RUN python3.13 -m venv /opt/uv && /opt/uv/bin/pip install -q --disable-pip-version-check uv==${UV} && uv venv -q --python python3.13 /opt/treadle

FROM build AS lock
COPY pyproject.toml uv.lock ./
RUN export="uv export -q --frozen --no-dev --no-emit-project" \
 && $export --extra operator -o /operator.txt \
 && $export --extra worker -o /worker.txt \
 && $export --extra server -o /server.txt

FROM build AS operator-libraries
COPY --from=lock /operator.txt /requirements.txt
RUN uv pip sync -q --require-hashes /requirements.txt

FROM build AS worker-libraries
COPY --from=lock /worker.txt /requirements.txt
RUN uv pip sync -q --require-hashes /requirements.txt

FROM build AS server-libraries
COPY --from=lock /server.txt /requirements.txt
RUN uv pip sync -q --require-hashes /requirements.txt

FROM build AS wheel
WORKDIR /source
COPY pyproject.toml README.md ./
COPY operator operator
RUN uv build -q --wheel -o /dist && uv pip install -q --no-deps --prefix /treadle /dist/*.whl

FROM ${BASE} AS runtime
ENV PATH=/opt/treadle/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["/opt/treadle/bin/python", "-m", "treadle"]

FROM runtime AS operator
COPY --from=operator-libraries /opt/treadle /opt/treadle
COPY --from=wheel /treadle /opt/treadle

FROM runtime AS worker
COPY --from=worker-libraries /opt/treadle /opt/treadle
COPY --from=wheel /treadle /opt/treadle

FROM runtime AS server
COPY --from=server-libraries /opt/treadle /opt/treadle
COPY --from=wheel /treadle /opt/treadle
