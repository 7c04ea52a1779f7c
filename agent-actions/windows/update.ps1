# Installs what Windows Update has for the device, without restarting it. With -WhatIf it only tells.
[CmdletBinding(SupportsShouldProcess)]
param()
$ErrorActionPreference = 'Stop'
$session = New-Object -ComObject Microsoft.Update.Session
$found = $session.CreateUpdateSearcher().Search('IsInstalled=0 and IsHidden=0').Updates
if ($found.Count -eq 0) {
  Write-Output 'everything is up to date'
  exit 0
}
foreach ($update in $found) { Write-Output $update.Title }
if (-not $PSCmdlet.ShouldProcess("$($found.Count) updates", 'install')) { exit 0 }
$downloader = $session.CreateUpdateDownloader()
$downloader.Updates = $found
$downloader.Download() | Out-Null
$installer = $session.CreateUpdateInstaller()
$installer.Updates = $found
$result = $installer.Install()
Write-Output "restart needed: $($result.RebootRequired)"
if ($result.ResultCode -ne 2) { exit 1 }
