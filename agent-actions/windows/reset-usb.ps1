# Disables and enables USB devices but the hubs, or those of one vendor and product. With -WhatIf it only tells.
[CmdletBinding(SupportsShouldProcess)]
param([ValidatePattern('^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$')][string]$Id)
$ErrorActionPreference = 'Stop'
$like = if ($Id) { 'USB\VID_{0}&PID_{1}*' -f $Id.Split(':') } else { 'USB\VID_*' }
$devices = @(Get-PnpDevice -PresentOnly | Where-Object { $_.InstanceId -like $like -and $_.FriendlyName -notmatch 'Hub' })
if ($devices.Count -eq 0) {
  [Console]::Error.WriteLine('there is no such USB device')
  exit 64
}
foreach ($device in $devices) {
  Disable-PnpDevice -InstanceId $device.InstanceId -Confirm:$false
  Enable-PnpDevice -InstanceId $device.InstanceId -Confirm:$false
  Write-Output "reset $($device.FriendlyName)"
}
