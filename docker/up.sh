#!/bin/sh
# Start Elasticsearch for docker/compose.yaml, with a password that is made the first time and kept in docker/.env.
set -eu
cd "$(dirname "$0")"

# A password that Elasticsearch's data was made with must not be replaced.
if [ ! -s .env ]; then
  umask 077
  password=$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
  echo "ELASTIC_PASSWORD=$password" >.env.new
  mv .env.new .env
fi
exec docker compose --file compose.yaml up --detach elasticsearch "$@"
