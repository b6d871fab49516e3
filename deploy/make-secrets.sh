#!/bin/sh
# Makes the secrets that compose.yaml mounts, in deploy/secrets. What is there already stays. Needs openssl.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets

# Compose mounts files with the owner and mode that they have here, and the services run as other users.
keep() {
  if [ -s "secrets/$1" ]; then return; fi
  cat >"secrets/$1"
  chmod 644 "secrets/$1"
  echo "deploy/secrets/$1 is made."
}
word() { openssl rand -hex 24; }

openssl rand -base64 48 | tr -d '\n' | keep secret_key
word | tr -d '\n' | keep postgres_password
word | tr -d '\n' | keep grafana_password
printf 'postgres://simpleia:%s@postgres:5432/simpleia' "$(cat secrets/postgres_password)" | keep database_url
if [ ! -s secrets/valkey.conf ]; then
  password=$(word)
  printf 'requirepass %s\nmaxmemory 384mb\nmaxmemory-policy volatile-lru\nsave ""\n' "$password" | keep valkey.conf
  printf 'redis://:%s@valkey:6379' "$password" | keep redis_url
fi
# What Prometheus shows, and the service knows (METRICS_TOKEN); earlier versions left a placeholder here.
if [ "$(cat secrets/metrics_token 2>/dev/null)" = none-yet ]; then rm secrets/metrics_token; fi
word | tr -d '\n' | keep metrics_token
if [ ! -s secrets/tls.crt ]; then
  # For a first try: a certificate that no browser trusts. Put a real one in its place.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout secrets/tls.key -out secrets/tls.crt 2>/dev/null
  chmod 644 secrets/tls.crt secrets/tls.key
  echo 'deploy/secrets/tls.crt and tls.key are made, for localhost.'
fi
chmod 700 secrets
