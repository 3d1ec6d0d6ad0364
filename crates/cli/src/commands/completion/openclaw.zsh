#compdef openclaw
# Completion of openclaw for zsh. Written by `openclaw completion`.
_openclaw() {
    local -a lines found
    local line value about paths
    lines=("${(@f)$(OPENCLAW_COMPLETE=1 command openclaw -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in $lines; do
        value=${line%%$'\t'*}
        about=${line#*$'\t'}
        case $line in
        *$'\t:files') paths=files ;;
        *$'\t:folders') paths=folders ;;
        *$'\t'*) found+=("${value//:/\\:}:$about") ;;
        *) found+=("${value//:/\\:}") ;;
        esac
    done
    local status_of_all=1
    if (( $#found )); then
        _describe -V openclaw found && status_of_all=0
    fi
    if [[ -n $paths ]]; then
        compset -P '-*='
        if [[ $paths == files ]]; then
            _files && status_of_all=0
        else
            _files -/ && status_of_all=0
        fi
    fi
    return status_of_all
}
# As a file on fpath this text is the function itself when it is first called.
if [[ $funcstack[1] == _openclaw ]]; then
    _openclaw "$@"
else
    compdef _openclaw openclaw
fi
