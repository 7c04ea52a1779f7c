# Restarts a service and tells how it is afterwards. With -WhatIf it only tells.
[CmdletBinding(SupportsShouldProcess)]
param([Parameter(Mandatory)][string]$Name)
$ErrorActionPreference = 'Stop'
Restart-Service -Name $Name
Get-Service -Name $Name | Format-List Name, Status, StartType
