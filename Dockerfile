# The image of simpleIA: the API with its pages. How it is built, for NVIDIA's GPUs too, and why so: deploy/README.md.
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim
# What the program runs on: a C++ library and certificates are all that it needs. No shell, no package manager.
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# What is installed for production, and nothing for another kind of machine than the image's. Every package brings its binaries, so no
# install script runs and nothing is compiled.
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
COPY deploy/image/trim-packages.sh /
RUN sh /trim-packages.sh node_modules \
    && npm sbom --sbom-format=cyclonedx --omit=dev --package-lock-only --loglevel=error > sbom.cdx.json

FROM ${NODE_IMAGE} AS pages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error
COPY tsconfig.json ./
COPY src src
COPY web web
RUN node -e "import('./src/web-client/build.ts').then(async ({ ensureBuiltPages }) => ensureBuiltPages((await import('./src/cli/run-program.ts')).runProgram))"

FROM packages AS program
# cuda adds llama.cpp's libraries for CUDA 13, of the version that package.json pins, and wants a RUNTIME_IMAGE with CUDA 13.
ARG VARIANT=cpu
RUN if [ "${VARIANT}" = cuda ]; then \
      version=$(node -p "require('./package.json').optionalDependencies['@node-llama-cpp/linux-x64']") \
      && npm install --prefix /cuda --ignore-scripts --no-audit --no-fund --loglevel=error "@node-llama-cpp/linux-x64-cuda@${version}" \
      && mv /cuda/node_modules/@node-llama-cpp/linux-x64-cuda node_modules/@node-llama-cpp/; \
    fi
COPY LICENSE NOTICE ./
COPY config/prices.json config/
COPY src src
COPY web web
COPY --from=pages /app/dist dist
# Where the volumes belong: a new named volume takes the owner of the folder that it covers.
RUN mkdir -p /volumes/data /volumes/models .cache && chown -R 10001:10001 /volumes .cache

# What V8 compiles of the program, for the user, the place and the Node.js that it runs with: it starts sooner.
FROM program AS compiled
USER 10001:10001
ENV NODE_COMPILE_CACHE=/app/.cache/compiled
RUN node src/main.ts --version && node -e \
    "Promise.all(['cli/serve', 'service', 'engine/local/worker'].map((name) => import('./src/' + name + '.ts'))).then(() => process.exit())" \
    && chmod -R a+rX .cache

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="simpleIA" \
      org.opencontainers.image.description="A local-first LLM service" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=packages /usr/local/bin/node /usr/local/bin/node
COPY --from=program /app /app
COPY --from=compiled /app/.cache /app/.cache
COPY --from=program --chown=10001:10001 /volumes/data /data
COPY --from=program --chown=10001:10001 /volumes/models /models
WORKDIR /app
ENV ENVIRONMENT=production \
    NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/.cache/compiled \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    MODELS_DIR=/models \
    CONFIG_FILE=/data/config/config.json \
    HOME=/data
VOLUME ["/data", "/models"]
EXPOSE 8000
# A number, as Kubernetes' runAsNonRoot wants it.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8000) + '/health').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Smaller spaces for new objects and one helper thread: some 20 MiB less, at the same speed.
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=4", "--v8-pool-size=1", "src/main.ts"]
CMD ["api"]
