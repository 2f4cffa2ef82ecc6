# The node, its workers on CPU, and beat: docker build -f docker/node.Dockerfile -t mrclip .
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY inference inference
COPY dicom_node dicom_node
COPY orthanc_plugin orthanc_plugin
COPY training training
RUN python -m venv /opt/mrclip && /opt/mrclip/bin/pip install --no-cache-dir '.[cpu,otel,postgres,store]'

FROM python:3.12-slim-bookworm
COPY --from=build /opt/mrclip /opt/mrclip
RUN useradd --system --uid 10001 mrclip && install -d -o mrclip -g mrclip /data
ENV PATH=/opt/mrclip/bin:$PATH MRCLIP_CONFIG=/etc/mrclip/node.yaml
COPY docker/node.yaml /etc/mrclip/node.yaml
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 11112 8104
ENTRYPOINT ["mrclip"]
CMD ["serve"]
