# A worker that reads on an NVIDIA GPU, one process for each: docker build -f docker/gpu-worker.Dockerfile -t mrclip-gpu .
# The extra `gpu` brings the CUDA and cuDNN that its ONNX Runtime was built for; the driver comes from the host.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY inference inference
COPY dicom_node dicom_node
COPY orthanc_plugin orthanc_plugin
COPY training training
RUN python -m venv /opt/mrclip && /opt/mrclip/bin/pip install --no-cache-dir '.[gpu,otel,postgres,store]'

FROM python:3.12-slim-bookworm
COPY --from=build /opt/mrclip /opt/mrclip
RUN useradd --system --uid 10001 mrclip && install -d -o mrclip -g mrclip /data
ENV PATH=/opt/mrclip/bin:$PATH MRCLIP_CONFIG=/etc/mrclip/node.yaml
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# Without a GPU it ends and says why
ENV MRCLIP__READER__DEVICE=cuda MRCLIP__READER__BATCH=256
COPY docker/node.yaml /etc/mrclip/node.yaml
USER 10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["mrclip"]
CMD ["worker", "--queues", "read", "--pool", "threads", "--concurrency", "8"]
