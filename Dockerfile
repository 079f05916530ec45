# The server on a host with an NVIDIA GPU (nvidia-container-toolkit). No image has been built by the project's tests:
# `make package` runs hadolint over this file, and the server with its settings and user where only /tmp can be written.
#
#   docker build -t aix-lsp .
#   docker run --rm -i --gpus all --network none --read-only --tmpfs /tmp:exec,mode=1777 \
#     --cap-drop ALL --security-opt no-new-privileges \
#     -v "$PWD:$PWD:ro" -v "$HOME/.cache/huggingface:/models:ro" aix-lsp
#
# The editor starts that second command as its language server: the workspace is mounted at the same path, read-only,
# nothing in the container reaches the network, and all that it writes (the kept index, counts, log, sockets, compiled
# kernels, hence `exec`) lies in /tmp and is gone with it. Weights are mounted, never part of the image. The server runs
# as user 10001, who must be able to read the workspace (or give docker --user "$(id -u)").
#
# No CUDA image: PyTorch's wheel brings CUDA's libraries (13.0 with the version in constraints.txt), and --gpus the host's
# driver, which must be new enough for them (580 or later).
#
# The base by digest. No registry was asked whether it is still what ubuntu:24.04 means: more than ten public Dockerfiles
# name it so (one as noble-20260610), for amd64 and arm64, and a digest cannot come to mean another image. A newer one:
#   docker buildx imagetools inspect ubuntu:24.04 --format '{{.Manifest.Digest}}'
#   docker build --build-arg BASE=ubuntu:24.04@sha256:... -t aix-lsp .
ARG BASE=ubuntu:24.04@sha256:4fbb8e6a8395de5a7550b33509421a2bafbc0aab6c06ba2cef9ebffbc7092d90
FROM ${BASE}

ARG DEBIAN_FRONTEND=noninteractive

# the distribution's own Python 3.12; git gives the scanner git's view of a workspace; Triton compiles the kernels for
# quantized weights with gcc and Python's headers
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get upgrade -y \
    && apt-get install --no-install-recommends -y ca-certificates gcc git libc6-dev python3 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --no-create-home --home-dir /tmp/aix --uid 10001 aix

WORKDIR /opt/aix-lsp
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY aix_lsp ./aix_lsp
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[quant]'

# a workspace is mounted with its owner's id; git would refuse to look at it. For all users, since --user may name any
RUN git config --system --add safe.directory '*'

# by number, so that whoever runs the container can see that it is not root
USER 10001:10001
WORKDIR /
ENV HOME=/tmp/aix \
    TORCHINDUCTOR_CACHE_DIR=/tmp/aix/inductor \
    TRITON_CACHE_DIR=/tmp/aix/triton \
    HF_HOME=/models \
    HF_HUB_OFFLINE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME ["/models"]

# asks the server over its socket: one that hangs, or whose model could not be loaded, is not healthy
HEALTHCHECK --interval=1m --timeout=20s --start-period=5m --retries=3 CMD ["aix-lsp", "inspect", "--health"]
ENTRYPOINT ["aix-lsp"]
CMD ["serve", "--stdio"]
