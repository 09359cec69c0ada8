# docker build --file docker/cuda.Dockerfile --tag maskadapter:cuda .
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE constraints.txt ./
COPY src src
# On Linux, PyPI's PyTorch is the build with CUDA and brings its libraries. The host needs NVIDIA's driver and container
# toolkit: docker run --gpus all ... --device cuda
RUN python -m venv /opt/maskadapter \
    && /opt/maskadapter/bin/pip install --no-cache-dir --constraint constraints.txt ".[serve]"

FROM python:3.12-slim
COPY --from=build /opt/maskadapter /opt/maskadapter
RUN useradd --uid 10001 --create-home served && mkdir /cache && chown served /cache
ENV PATH=/opt/maskadapter/bin:$PATH \
    MASKADAPTER_CACHE=/cache \
    HF_HOME=/cache/huggingface \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/served
VOLUME /cache
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["maskadapter", "serve", "--host", "0.0.0.0", "--port", "8000"]
