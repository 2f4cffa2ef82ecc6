# Training and export: docker build -f docker/training.Dockerfile -t mrclip-train .
# torch comes as PyPI has it, with the CUDA libraries that it needs.
FROM python:3.12-slim-bookworm
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY inference inference
COPY dicom_node dicom_node
COPY orthanc_plugin orthanc_plugin
COPY training training
RUN python -m venv /opt/mrclip && /opt/mrclip/bin/pip install --no-cache-dir '.[cpu,training]'
RUN useradd --system --uid 10001 --create-home mrclip && install -d -o mrclip -g mrclip /data
ENV PATH=/opt/mrclip/bin:$PATH
USER 10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["mrclip-train"]
CMD ["--help"]
