# Completion of openclaw for bash. Written by `openclaw completion`.
_openclaw() {
    # bash breaks words at `=` and `:` as well: what stands without a space between is one word.
    local typed=${COMP_LINE:0:COMP_POINT} words=() gap word at line value
    for ((at = 0; at <= COMP_CWORD; at++)); do
        gap=${typed%%[![:space:]]*}
        typed=${typed#"$gap"}
        word=${COMP_WORDS[at]}
        ((at < COMP_CWORD)) || word=$typed
        if ((at == 0)) || [[ -n $gap ]]; then
            words+=("$word")
        else
            words[${#words[@]} - 1]+=$word
        fi
        typed=${typed#"$word"}
    done
    word=${words[${#words[@]} - 1]}
    words=("${words[@]//[\"\'\\]/}")
    # Only what stands after the last break is replaced by what is found.
    local before=${words[${#words[@]} - 1]}
    before=${before%"${2//[\"\'\\]/}"}
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
        *$'\t:files')
            compopt -o filenames 2>/dev/null
            while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "$2")
            ;;
        *$'\t:folders')
            compopt -o filenames 2>/dev/null
            while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -d -- "$2")
            ;;
        *)
            value=${line%%$'\t'*}
            value=${value#"$before"}
            [[ $word == *[\"\']* ]] || printf -v value %q "$value"
            COMPREPLY+=("$value")
            ;;
        esac
    done < <(OPENCLAW_COMPLETE=1 command openclaw -- "${words[@]}" 2>/dev/null)
}
complete -o nosort -F _openclaw openclaw 2>/dev/null || complete -F _openclaw openclaw
