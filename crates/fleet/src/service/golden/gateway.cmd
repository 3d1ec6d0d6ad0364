@echo off
rem openclaw-task: ac2ed92078930d32
rem OpenClaw gateway rescue
set "OPENCLAW_HOME=D:\a & b"
"C:\Program Files\100%%\openclaw.exe" "--profile" "rescue" gateway run --refusal-is-final
