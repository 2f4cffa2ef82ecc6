# A worker that reads on an NVIDIA GPU, one process for each: docker build -f docker/gpu-worker.Dockerfile -t mrclip-gpu .
# ONNX Runtime takes CUDA 12 and cuDNN 9 from the image; without a GPU it falls back to the CPU.
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04
# Not pinned: Ubuntu removes old versions, so a pinned one cannot be built for long
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY inference inference
COPY dicom_node dicom_node
COPY orthanc_plugin orthanc_plugin
COPY training training
RUN python3 -m venv /opt/mrclip && /opt/mrclip/bin/pip install --no-cache-dir '.[gpu,otel,postgres,store]'
RUN useradd --system --uid 10001 mrclip && install -d -o mrclip -g mrclip /data
ENV PATH=/opt/mrclip/bin:$PATH MRCLIP_CONFIG=/etc/mrclip/node.yaml
COPY docker/node.yaml /etc/mrclip/node.yaml
USER 10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["mrclip"]
ENV MRCLIP__READER__BATCH=256
CMD ["worker", "--queues", "read", "--pool", "threads", "--concurrency", "8"]
