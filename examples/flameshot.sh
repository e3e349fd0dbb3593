#!/bin/sh
# Takes a screenshot with Flameshot, uploads it, and puts the link on the clipboard. Bind it to a key in your desktop's settings.
# Mark a region and press Enter; Esc cancels. The settings are those of share.sh, in the environment of the desktop or here:
#
#     export IMAGE_SHARER=https://share.example.com/ IMAGE_SHARER_TOKEN=…
set -eu
. "$(dirname "$0")/share.sh"

screenshot=$(mktemp)
trap 'rm -f "$screenshot"' EXIT
flameshot gui --raw >"$screenshot"
# Flameshot exits with 0 when it was cancelled, and some versions then print a sentence in place of a PNG file.
[ "$(head -c 4 "$screenshot" | tail -c 3)" = PNG ] || exit 0

if link=$(share "$screenshot" 2>&1); then
    message="Copied: $link"
else
    message=$link
fi
# notify-send shows the outcome where no terminal does.
if command -v notify-send >/dev/null; then notify-send "My Little Image Sharer" "$message"; fi
echo "$message"
