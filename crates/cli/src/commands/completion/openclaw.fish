# Completion of openclaw for fish. Written by `openclaw completion`.
function __openclaw_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l word (commandline --current-token --cut-at-cursor | string replace --all --regex '["\'\\\\]' '')
    for line in (OPENCLAW_COMPLETE=1 command openclaw -- $words "$word" 2>/dev/null)
        set -l flag (string match --regex '^-[^=]*=' -- "$word")
        set -l path (string replace --regex '^-[^=]*=' '' -- "$word")
        switch $line
            case '*'\t':files'
                printf "$flag%s\n" (__fish_complete_path "$path")
            case '*'\t':folders'
                printf "$flag%s\n" (__fish_complete_directories "$path" '')
            case '*'
                echo $line
        end
    end
end
complete --command openclaw --no-files --keep-order --arguments '(__openclaw_complete)'
