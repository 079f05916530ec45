# The server on a host with an NVIDIA GPU (nvidia-container-toolkit). No image has been built by the project's tests.
#
#   docker build -t aix-lsp .
#   docker run --rm -i --gpus all --network none \
#     -v "$PWD:$PWD:ro" -v "$HOME/.cache/huggingface:/models:ro" aix-lsp
#
# The editor starts that second command as its language server: the workspace is mounted at the same path, read-only,
# and nothing in the container reaches the network. Weights are mounted, never part of the image. The server runs as user
# 10001, who must be able to read the workspace (or give docker --user "$(id -u)").
#
# No CUDA image: PyTorch's wheel brings CUDA's libraries (13.0 with the version in constraints.txt), and --gpus the host's
# driver, which must be new enough for them (580 or later).
FROM ubuntu:24.04

ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    DEBIAN_FRONTEND=noninteractive \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1

# the distribution's own Python 3.12; git gives the scanner git's view of a workspace
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends -y ca-certificates git python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 aix

WORKDIR /opt/aix-lsp
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY aix_lsp ./aix_lsp
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --constraint constraints.txt '.[quant]'

# a workspace is mounted with its owner's id; git would refuse to look at it. For all users, since --user may name any
RUN git config --system --add safe.directory '*'

USER aix
ENV HF_HOME=/models \
    HF_HUB_OFFLINE=1 \
    PATH=/opt/venv/bin:$PATH
VOLUME ["/models"]

HEALTHCHECK --interval=5m --timeout=10s CMD ["aix-lsp", "--version"]
ENTRYPOINT ["aix-lsp"]
CMD ["serve", "--stdio"]
