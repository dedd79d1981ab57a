# shellcheck shell=bash
# Finds a Chromium for the tests of the page, or installs Debian's. Sourced by ./run after tools/docker-engine.sh.

browser_found() {
  { [ -n "${CHROMIUM_PATH:-}" ] && [ -x "$CHROMIUM_PATH" ]; } || command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    command -v google-chrome >/dev/null
}

# Without one the scenarios of the page fail and say what to install; nothing else needs it.
browser_up() {
  browser_found && return
  if is_root && is_debian_like; then apt_install chromium; else say "the tests of the page need a browser: sudo apt-get install chromium, or set CHROMIUM_PATH"; fi
}
