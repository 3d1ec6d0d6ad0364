# Completion of openclaw for PowerShell 7.3 or newer. Written by `openclaw completion`.
Register-ArgumentCompleter -Native -CommandName openclaw -ScriptBlock {
    param($word, $tree, $cursor)
    $words = @($tree.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } | ForEach-Object {
        if ($_ -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $_.Value } else { $_.Extent.Text }
    })
    $current = $tree.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursor -and $_.Extent.EndOffset -ge $cursor }
    $typed = if ($current) { $current.Extent.Text.Substring(0, $cursor - $current.Extent.StartOffset) } else { '' }
    $typed = $typed -replace '["'']', ''
    $program = Get-Command -CommandType Application openclaw -ErrorAction SilentlyContinue | Select-Object -First 1
    if (-not $program) { return }
    $before = $env:OPENCLAW_COMPLETE
    $env:OPENCLAW_COMPLETE = '1'
    try { $lines = & $program -- @words $typed 2>$null } finally { $env:OPENCLAW_COMPLETE = $before }
    foreach ($line in $lines) {
        $value, $about = $line -split "`t", 2
        if ($about -eq ':files' -or $about -eq ':folders') {
            [System.Management.Automation.CompletionCompleters]::CompleteFilename($word)
        } else {
            $tip = if ($about) { $about } else { $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $tip)
        }
    }
}
