# shellcheck shell=sh
# A shell function that uploads images and puts the link on the clipboard. Source it in ~/.bashrc or ~/.zshrc:
#
#     IMAGE_SHARER=https://share.example.com/    # your server; without it, the one on this machine
#     IMAGE_SHARER_TOKEN=…                       # only if the server has an UPLOAD_TOKEN
#     . /path/to/examples/share.sh
#
# Then `share cat.jpg` prints the link and copies it. Several images give one link a line. It needs curl and sed, and for the
# clipboard wl-copy (Wayland), xclip (X11) or pbcopy (macOS).

share() {
    if [ $# -eq 0 ]; then
        echo "usage: share IMAGE..." >&2
        return 2
    fi
    share_links=''
    for share_image in "$@"; do
        # curl ends a file's name at a comma or semicolon, unless the name is quoted.
        share_quoted=$(printf '%s' "$share_image" | sed 's/[\\"]/\\&/g')
        # The token goes through standard input: other users of this machine can read a command line.
        share_answer=$(printf 'Accept: application/json\n%s\n' \
            "${IMAGE_SHARER_TOKEN:+Authorization: Bearer $IMAGE_SHARER_TOKEN}" |
            curl --silent --show-error --retry 3 --header @- --form "image=@\"$share_quoted\"" \
                "${IMAGE_SHARER:-http://127.0.0.1:8080/}") || return 1
        share_link=$(printf '%s' "$share_answer" | sed -n 's/.*"original":"\([^"]*\)".*/\1/p')
        if [ -z "$share_link" ]; then
            echo "$share_image was not taken: $share_answer" >&2
            return 1
        fi
        echo "$share_link"
        share_links="$share_links${share_links:+
}$share_link"
    done
    share_copy "$share_links"
}

# Puts its argument on the clipboard, or does nothing where there is none.
share_copy() {
    if [ -n "${WAYLAND_DISPLAY-}" ] && command -v wl-copy >/dev/null; then
        wl-copy "$1"
    elif [ -n "${DISPLAY-}" ] && command -v xclip >/dev/null; then
        # xclip stays in the background and would keep a pipe open.
        printf '%s' "$1" | xclip -selection clipboard >/dev/null
    elif command -v pbcopy >/dev/null; then
        printf '%s' "$1" | pbcopy
    fi
}
