#!/bin/sh
# First requests with curl. Start the gateway first; GATEWAY_URL says where it is if not on port 8000.
#   sh examples/clients/curl.sh
set -eu

# The gateway's own API.
curl -sS --fail-with-body "${GATEWAY_URL:-http://127.0.0.1:8000}/api/v1/generate" \
  -H 'client_id: test_client' -H 'client_secret: password' \
  -H 'content-type: application/json' \
  -d '{"prompt": "Hello, world!", "provider": "echo"}'
echo

# OpenAI's, streamed.
curl -sS --fail-with-body -N "${GATEWAY_URL:-http://127.0.0.1:8000}/v1/chat/completions" \
  -H 'authorization: Bearer test_client:password' \
  -H 'content-type: application/json' \
  -d '{"model": "echo", "stream": true, "messages": [{"role": "user", "content": "Hello, world!"}]}'
