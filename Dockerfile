# The mirror as a container image.
#
#   docker build -t entrepot .
#   docker run -p 5000:5000 -v entrepot-data:/data --read-only --cap-drop=all entrepot
#
# It runs as user 10001, writes nowhere but to /data, and reads /etc/entrepot/mirrors.yml; docs/operations.md
# tells how to bring your own.

# The Node line with long-term support, and the Debian release that its image is made from.
ARG NODE_VERSION=26
ARG DEBIAN=trixie

# The full image has what the one native module is compiled with: python3, make, g++ and Node's headers.
FROM docker.io/library/node:${NODE_VERSION}-${DEBIAN} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No install script of any package runs. better-sqlite3 is compiled from the source in its package, against
# the headers of this very Node; neither is fetched from a release page.
RUN npm ci --ignore-scripts \
  && npm run --prefix node_modules/better-sqlite3 build-release -- --nodedir=/usr/local --jobs=max
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build \
  && npm prune --omit=dev --ignore-scripts \
  && cd node_modules/better-sqlite3 \
  && mv build/Release/better_sqlite3.node . \
  && rm -r build deps src \
  && mkdir -p build/Release \
  && mv better_sqlite3.node build/Release/

FROM docker.io/library/node:${NODE_VERSION}-${DEBIAN}-slim
LABEL org.opencontainers.image.title="entrepot" \
      org.opencontainers.image.description="A pull-through mirror for container images: many upstream registries behind one port." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
# Where SQLite may put what does not fit in memory: the root filesystem may be read-only.
ENV SQLITE_TMPDIR=/data
RUN install -d -m 700 -o 10001 -g 10001 /data
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
COPY deploy/container/healthcheck.mjs ./
COPY mirrors.example.yml /etc/entrepot/mirrors.yml

# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME ["/data"]
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["node", "/app/healthcheck.mjs"]
ENTRYPOINT ["node", "/app/dist/main.js"]
# The flags win over the file: whatever it says, the port and the folder are those of the container.
CMD ["serve", "--config", "/etc/entrepot/mirrors.yml", "--listen", "0.0.0.0:5000", "--data", "/data"]
