#!/usr/bin/env bash
# Install the browser in which pages are tested, where there is none. Without it those tests are skipped, or fail in CI.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib.sh"
for name in chromium chromium-browser google-chrome; do
  command -v "$name" > /dev/null && exit
done
(need chromium=chromium) || say "no browser: the pages of treadle ui are tested without one"
