# The System and Application event logs of the last hours, as a zip archive on standard output.
param([ValidateRange(1, 720)][int]$Hours = 24)
$ErrorActionPreference = 'Stop'
$folder = Join-Path ([IO.Path]::GetTempPath()) ([guid]::NewGuid())
New-Item -ItemType Directory $folder | Out-Null
try {
  $query = "*[System[TimeCreated[timediff(@SystemTime) <= $($Hours * 3600000)]]]"
  foreach ($log in 'System', 'Application') {
    & wevtutil.exe epl $log (Join-Path $folder "$log.evtx") "/q:$query"
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
  }
  Compress-Archive -Path (Join-Path $folder '*.evtx') -DestinationPath (Join-Path $folder 'logs.zip')
  $bytes = [IO.File]::ReadAllBytes((Join-Path $folder 'logs.zip'))
  [Console]::OpenStandardOutput().Write($bytes, 0, $bytes.Length)
} finally {
  Remove-Item -Recurse -Force $folder
}
