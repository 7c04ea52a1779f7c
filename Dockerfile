# The broker, and `latchkey migrate`. PostgreSQL runs elsewhere, so the packages for one machine are left out.
FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
RUN groupadd --gid 10001 latchkey \
  && useradd --uid 10001 --gid latchkey --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin latchkey \
  && install --directory --owner=latchkey --group=latchkey --mode=0700 /var/lib/latchkey
COPY package.json LICENSE ./
COPY --from=packages /app/node_modules node_modules
COPY migrations migrations
COPY policies policies
COPY src src
USER 10001:10001
EXPOSE 7400
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve", "--config", "/run/secrets/latchkey.json"]
