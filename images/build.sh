#!/bin/sh
# The steps by which an image is made. The Dockerfile beside this file calls them, and so does a test.
#
#   build.sh bases               refuses base images that are not named by digest
#   build.sh program             installs the packages and compiles the program, in this checkout
#   build.sh tree IMAGE FOLDER   what an image holds, into a new folder
set -eu
cd "$(dirname "$0")/.."

case ${1-} in
bases)
  for base in "${BUILD_IMAGE-}" "${RUNTIME_IMAGE-}"; do
    if ! printf '%s' "$base" | grep -Eq '^[^@[:space:]]+@sha256:[0-9a-f]{64}$'; then
      echo "base image '$base' must be named by digest, NAME@sha256:..., as --build-arg BUILD_IMAGE and RUNTIME_IMAGE" >&2
      exit 64
    fi
  done
  ;;
program)
  # A checkout that people work in has its packages already.
  [ -d node_modules ] || npm ci
  npm run --silent build
  ;;
tree)
  node scripts/compiled.cjs
  node -r ./scripts/run-sources.cjs images/install-tree.ts "${2-}" "${3-}"
  ;;
*)
  echo "usage: build.sh bases | program | tree IMAGE FOLDER" >&2
  exit 64
  ;;
esac
