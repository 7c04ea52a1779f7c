# What the device is and how it is doing, as JSON. Addresses and host names are left out.
$ErrorActionPreference = 'Stop'
$system = Get-CimInstance Win32_ComputerSystem
$bios = Get-CimInstance Win32_BIOS
$os = Get-CimInstance Win32_OperatingSystem
$cpu = Get-CimInstance Win32_Processor
$zones = Get-CimInstance -Namespace root/WMI MSAcpi_ThermalZoneTemperature -ErrorAction SilentlyContinue
[ordered]@{
  serial = $bios.SerialNumber
  make = $system.Manufacturer
  model = $system.Model
  firmware = $bios.SMBIOSBIOSVersion
  os = "$($os.Caption) $($os.Version)"
  uptimeSeconds = [int]((Get-Date) - $os.LastBootUpTime).TotalSeconds
  processors = @($cpu | ForEach-Object { @{ model = $_.Name; count = $_.NumberOfLogicalProcessors; busyPercent = $_.LoadPercentage } })
  memory = @{ totalBytes = $os.TotalVisibleMemorySize * 1KB; availableBytes = $os.FreePhysicalMemory * 1KB }
  disks = @(Get-CimInstance Win32_DiskDrive | ForEach-Object { @{ model = $_.Model; bytes = $_.Size; state = $_.Status } })
  fileSystems = @(Get-CimInstance Win32_LogicalDisk -Filter 'DriveType=3' | ForEach-Object { @{ mount = $_.DeviceID; bytes = $_.Size; freeBytes = $_.FreeSpace } })
  temperatures = @($zones | ForEach-Object { @{ sensor = $_.InstanceName; celsius = [math]::Round($_.CurrentTemperature / 10 - 273.15, 1) } })
  displays = @(Get-CimInstance -Namespace root/WMI WmiMonitorID -ErrorAction SilentlyContinue | ForEach-Object { @{ connected = $_.Active; name = -join ($_.UserFriendlyName | Where-Object { $_ } | ForEach-Object { [char]$_ }) } })
  usb = @(Get-PnpDevice -PresentOnly | Where-Object InstanceId -Like 'USB\VID_*' | ForEach-Object { @{ port = $_.InstanceId; name = $_.FriendlyName; state = $_.Status } })
  network = @(Get-NetAdapter | ForEach-Object { @{ name = $_.Name; state = "$($_.Status)"; megabits = [math]::Round($_.Speed / 1e6) } })
} | ConvertTo-Json -Depth 4
