# The base of our images where a public registry is reached; `./run images` builds the same from this machine's Debian where none is.
ARG NODE_IMAGE=node:24.21.0-bookworm-slim
FROM ${NODE_IMAGE} AS files
COPY root-fs.sh /root-fs.sh
RUN apt-get update && sh /root-fs.sh /root-fs /usr/local/bin/node

FROM scratch
COPY --from=files /root-fs/ /
