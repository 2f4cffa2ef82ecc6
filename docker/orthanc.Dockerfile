# Debian's Orthanc with the plugin: docker build -f docker/orthanc.Dockerfile -t mrclip-orthanc .
FROM debian:12-slim
# Not pinned: Debian removes old versions, so a pinned one cannot be built for long
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends orthanc orthanc-dicomweb orthanc-python \
 && rm -rf /var/lib/apt/lists/* \
 && rm -f /etc/orthanc/*.json
COPY orthanc_plugin /etc/orthanc/orthanc_plugin
COPY docker/orthanc.json /etc/orthanc/orthanc.json
# hadolint ignore=DL3066
USER orthanc
VOLUME /var/lib/orthanc/db-v6
EXPOSE 4242 8042
ENTRYPOINT ["/usr/sbin/Orthanc"]
CMD ["/etc/orthanc/orthanc.json"]
