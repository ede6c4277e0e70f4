#Requires -Version 5.1
#Requires -Modules Hyper-V
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Makes the Hyper-V disk specimens that nobody publishes, with the digests that tell what they hold.

.DESCRIPTION
Run it on a Hyper-V host (Windows Server 2016 or later, or Windows 10/11 with Hyper-V). It makes small disks in a
new folder, fills them with data that contains nothing of yours, and writes manifest.json beside them: the host's
build, what Get-VHD says of each file, the SHA-256 of each file and, where the disk can be attached, the SHA-256 of
the whole virtual disk as Windows reads it. Refpoint's tests compare their own reading with these digests.

Made are: fixed, dynamic and differencing VHDX and VHD, a chain of three files, disks with 4096-byte sectors and
with small and large blocks, a disk after TRIM, a resized disk, a file with an open log (copied from a shadow copy while
its VM runs), a VHD Set with a checkpoint, a disk with Resilient Change Tracking (with its .rct and .mrt), and the
configuration of a VM with a virtual TPM.

Nothing outside the folder is changed except for VMs whose names begin with "refpoint-specimen-", which are made and
removed again. About 2 GB of disk space are needed.

.PARAMETER Folder
A folder that does not exist yet, on NTFS or ReFS.

.PARAMETER KeepVMs
Leaves the virtual machines in place, to look at them.

.EXAMPLE
.\make-specimens.ps1 -Folder D:\specimens

.EXAMPLE
.\make-specimens.ps1 -Folder D:\specimens -WhatIf
#>
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [Parameter(Mandatory = $true)]
    [string] $Folder,
    [switch] $KeepVMs
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Prefix = 'refpoint-specimen-'
$Namespace = 'root\virtualization\v2'
$RecoverySnapshot = 32768
$CrashConsistent = 2
$MiB = 1024 * 1024
$Specimens = New-Object System.Collections.ArrayList
$Failures = New-Object System.Collections.ArrayList

# --- what the disks hold ----------------------------------------------------------------------------------------

# Bytes that differ from sector to sector and can be made again from their seed (a 31-bit linear congruence).
function New-Pattern([int] $Seed, [int] $Length) {
    $bytes = New-Object byte[] $Length
    [long] $state = $Seed
    for ($at = 0; $at -lt $Length; $at += 4) {
        $state = ($state * 1103515245 + 12345) % 2147483648
        [BitConverter]::GetBytes([int] $state).CopyTo($bytes, $at)
    }
    return , $bytes
}

# Attaches a disk without drive letters, hands its physical path to the block, and always detaches it.
function Use-AttachedDisk([string] $Path, [bool] $ReadOnly, [scriptblock] $Block) {
    Mount-VHD -Path $Path -NoDriveLetter -ReadOnly:$ReadOnly
    try {
        $number = (Get-VHD -Path $Path).DiskNumber
        if (-not $ReadOnly) {
            Set-Disk -Number $number -IsReadOnly $false -ErrorAction SilentlyContinue
            Set-Disk -Number $number -IsOffline $true -ErrorAction SilentlyContinue  # no driver writes beside us
        }
        & $Block "\\.\PhysicalDrive$number"
    }
    finally {
        Dismount-VHD -Path $Path
    }
}

# Writes pieces (offset in bytes, seed, length) straight to the disk; offsets and lengths are multiples of 4096.
function Write-Pieces([string] $Path, [object[]] $Pieces) {
    Use-AttachedDisk $Path $false {
        param($drive)
        $stream = New-Object IO.FileStream($drive, [IO.FileMode]::Open, [IO.FileAccess]::ReadWrite,
            [IO.FileShare]::ReadWrite, 4096, [IO.FileOptions]::WriteThrough)
        try {
            foreach ($piece in $Pieces) {
                [void] $stream.Seek([long] $piece[0], [IO.SeekOrigin]::Begin)
                $bytes = New-Pattern $piece[1] $piece[2]
                $stream.Write($bytes, 0, $bytes.Length)
            }
            $stream.Flush()
        }
        finally {
            $stream.Dispose()
        }
    }
}

# SHA-256 of the whole virtual disk as Windows reads it.
function Get-DiskDigest([string] $Path) {
    $size = (Get-VHD -Path $Path).Size
    Use-AttachedDisk $Path $true {
        param($drive)
        $sha = [Security.Cryptography.SHA256]::Create()
        $stream = New-Object IO.FileStream($drive, [IO.FileMode]::Open, [IO.FileAccess]::Read,
            [IO.FileShare]::ReadWrite)
        try {
            $buffer = New-Object byte[] $MiB
            [long] $left = $size
            while ($left -gt 0) {
                $count = $stream.Read($buffer, 0, [int] [Math]::Min([long] $buffer.Length, $left))
                if ($count -le 0) { throw "$drive ended $left bytes before its size" }
                [void] $sha.TransformBlock($buffer, 0, $count, $null, 0)
                $left -= $count
            }
            [void] $sha.TransformFinalBlock($buffer, 0, 0)
            ([BitConverter]::ToString($sha.Hash) -replace '-', '').ToLowerInvariant()
        }
        finally {
            $stream.Dispose()
            $sha.Dispose()
        }
    }
}

# --- the record of what was made --------------------------------------------------------------------------------

function Get-FileDigest([string] $Path) {
    (Get-FileHash -Path $Path -Algorithm SHA256).Hash.ToLowerInvariant()
}

# Notes one file, what it shows, and the digest of its disk when Windows could read it.
function Add-Specimen([string] $Path, [string] $Shows, [string] $DiskDigest, [object] $Facts) {
    [void] $Specimens.Add([ordered] @{
            file        = $Path.Substring($Folder.Length).TrimStart('\')
            shows       = $Shows
            file_bytes  = (Get-Item -LiteralPath $Path).Length
            file_sha256 = Get-FileDigest $Path
            disk_sha256 = $DiskDigest
            facts       = $Facts
        })
    Write-Host "made $Path"
}

function Get-DiskFacts([string] $Path) {
    $vhd = Get-VHD -Path $Path
    [ordered] @{
        format               = "$($vhd.VhdFormat)"
        type                 = "$($vhd.VhdType)"
        size                 = $vhd.Size
        block_size           = $vhd.BlockSize
        logical_sector_size  = $vhd.LogicalSectorSize
        physical_sector_size = $vhd.PhysicalSectorSize
        minimum_size         = $vhd.MinimumSize
        parent_path          = $vhd.ParentPath
        disk_identifier      = $vhd.DiskIdentifier
    }
}

# The file is hashed after the digest was taken: attaching read-only may still repair a path in it.
function Add-DiskSpecimen([string] $Path, [string] $Shows) {
    $digest = Get-DiskDigest $Path
    Add-Specimen $Path $Shows $digest (Get-DiskFacts $Path)
}

# One kind of specimen; a kind that this host cannot make is noted and does not stop the others.
function Invoke-Kind([string] $Name, [scriptblock] $Block) {
    if (-not $PSCmdlet.ShouldProcess($Folder, "make specimens: $Name")) { return }
    try {
        & $Block
    }
    catch {
        [void] $Failures.Add([ordered] @{ kind = $Name; error = "$_" })
        Write-Warning "$Name could not be made: $_"
    }
}

# --- WMI --------------------------------------------------------------------------------------------------------

# Waits for the job of a method (return value 4096), and fails with the job's own words.
function Wait-WmiJob([object] $Result, [string] $What) {
    if ($Result.ReturnValue -eq 0) { return }
    if ($Result.ReturnValue -ne 4096) { throw "$What returned $($Result.ReturnValue)" }
    $job = [wmi] $Result.Job
    while ($job.JobState -in 2, 3, 4) {
        Start-Sleep -Milliseconds 200
        $job = [wmi] $Result.Job
    }
    if ($job.JobState -ne 7) { throw "$What failed: $($job.ErrorDescription)" }
}

function Get-VMObject([string] $Name) {
    Get-WmiObject -Namespace $Namespace -Class Msvm_ComputerSystem -Filter "ElementName='$Name'"
}

function Get-SnapshotService {
    Get-WmiObject -Namespace $Namespace -Class Msvm_VirtualSystemSnapshotService
}

# A recovery checkpoint, turned into a reference point: this is what switches change tracking on.
function New-ReferencePoint([string] $Name) {
    $service = Get-SnapshotService
    $settings = ([wmiclass] "\\.\${Namespace}:Msvm_VirtualSystemSnapshotSettingData").CreateInstance()
    $settings.ConsistencyLevel = $CrashConsistent
    $settings.IgnoreNonSnapshottableDisks = $true
    $vm = Get-VMObject $Name
    Wait-WmiJob ($service.CreateSnapshot($vm.Path.Path, $settings.GetText(1), $null, $RecoverySnapshot)) 'CreateSnapshot'
    $checkpoint = Get-WmiObject -Namespace $Namespace -Class Msvm_VirtualSystemSettingData |
        Where-Object { $_.VirtualSystemIdentifier -eq $vm.Name -and $_.VirtualSystemType -like '*Snapshot:Recovery' } |
        Select-Object -First 1
    Wait-WmiJob ($service.ConvertToReferencePoint($checkpoint.Path.Path, '', $null)) 'ConvertToReferencePoint'
    Get-WmiObject -Namespace $Namespace -Class Msvm_VirtualSystemReferencePoint |
        Where-Object { $_.VirtualSystemIdentifier -eq $vm.Name } | Select-Object -Last 1
}

# A VM without an operating system; its firmware is enough to hold its disks open.
function New-SpecimenVM([string] $Suffix, [string] $DiskPath, [int] $Generation = 2) {
    $name = $Prefix + $Suffix
    $place = Join-Path $Folder 'vms'
    if ($DiskPath) {
        New-VM -Name $name -Generation $Generation -MemoryStartupBytes 128MB -VHDPath $DiskPath -Path $place
    }
    else {
        New-VM -Name $name -Generation $Generation -MemoryStartupBytes 128MB -NoVHD -Path $place
    }
}

function Remove-SpecimenVMs {
    Get-VM -Name "$Prefix*" -ErrorAction SilentlyContinue | ForEach-Object {
        Stop-VM -VM $_ -TurnOff -Force -ErrorAction SilentlyContinue
        Remove-VM -VM $_ -Force
    }
}

# --- the kinds --------------------------------------------------------------------------------------------------

function New-PlainDisks {
    $pieces = @(@(0, 1, 4096), @((3 * $MiB), 2, 65536), @((40 * $MiB), 3, 8192), @((64 * $MiB - 4096), 4, 4096))
    foreach ($extension in 'vhdx', 'vhd') {
        foreach ($kind in 'Dynamic', 'Fixed') {
            $path = Join-Path $Folder "$($kind.ToLowerInvariant()).$extension"
            $how = @{ Path = $path; SizeBytes = 64 * $MiB }
            $how[$kind] = $true
            [void] (New-VHD @how)
            Write-Pieces $path $pieces
            Add-DiskSpecimen $path "$kind $extension with data at both ends"
        }
    }
}

# Root, child and grandchild: each hides a part of the one below; one sector of a block, a whole block, and zeros.
function New-Chain([string] $Extension) {
    $root = Join-Path $Folder "chain-root.$Extension"
    $child = Join-Path $Folder "chain-child.$(if ($Extension -eq 'vhdx') { 'avhdx' } else { 'avhd' })"
    $leaf = Join-Path $Folder "chain-leaf.$(if ($Extension -eq 'vhdx') { 'avhdx' } else { 'avhd' })"
    [void] (New-VHD -Path $root -SizeBytes (32 * $MiB) -Dynamic)
    Write-Pieces $root @(@(0, 11, (4 * $MiB)), @((20 * $MiB), 12, 65536))
    [void] (New-VHD -Path $child -ParentPath $root -Differencing)
    Write-Pieces $child @(@(4096, 13, 4096), @((2 * $MiB), 14, (2 * $MiB)))
    [void] (New-VHD -Path $leaf -ParentPath $child -Differencing)
    Write-Pieces $leaf @(@(8192, 15, 4096), @((10 * $MiB), 16, 512 * 16))
    Add-DiskSpecimen $leaf "leaf of a chain of three $Extension files"
    Add-DiskSpecimen $child "middle of that chain"
    Add-DiskSpecimen $root "root of that chain"
}

function New-ShapedDisks {
    $shapes = @(
        @{ name = '4kn'; logical = 4096; physical = 4096; block = 32 * $MiB },
        @{ name = '512n'; logical = 512; physical = 512; block = 32 * $MiB },
        @{ name = 'block1m'; logical = 512; physical = 4096; block = 1 * $MiB },
        @{ name = 'block256m'; logical = 512; physical = 4096; block = 256 * $MiB }
    )
    foreach ($shape in $shapes) {
        $path = Join-Path $Folder "shape-$($shape.name).vhdx"
        [void] (New-VHD -Path $path -SizeBytes (6GB) -Dynamic -BlockSizeBytes $shape.block `
                -LogicalSectorSizeBytes $shape.logical -PhysicalSectorSizeBytes $shape.physical)
        # 5 GiB lies in the second chunk of a disk with 512-byte sectors.
        Write-Pieces $path @(@(0, 21, 4096), @((5GB), 22, 65536))
        Add-DiskSpecimen $path "sectors $($shape.logical)/$($shape.physical), blocks of $($shape.block) bytes"
    }
}

function New-TrimmedDisk {
    $path = Join-Path $Folder 'trimmed.vhdx'
    [void] (New-VHD -Path $path -SizeBytes (256 * $MiB) -Dynamic -BlockSizeBytes (1 * $MiB))
    Mount-VHD -Path $path
    try {
        $number = (Get-VHD -Path $path).DiskNumber
        [void] (Initialize-Disk -Number $number -PartitionStyle GPT -PassThru)
        $volume = New-Partition -DiskNumber $number -UseMaximumSize -AssignDriveLetter |
            Format-Volume -FileSystem NTFS -NewFileSystemLabel 'TRIMMED' -Confirm:$false
        $file = "$($volume.DriveLetter):\big.bin"
        $bytes = New-Pattern 31 $MiB
        $stream = [IO.File]::Create($file)
        try { foreach ($piece in 1..64) { $stream.Write($bytes, 0, $bytes.Length) } } finally { $stream.Dispose() }
        Remove-Item -LiteralPath $file
        Optimize-Volume -DriveLetter $volume.DriveLetter -ReTrim
    }
    finally {
        Dismount-VHD -Path $path
    }
    Add-DiskSpecimen $path 'NTFS after TRIM: blocks UNMAPPED beside present ones'
}

function New-ResizedDisk {
    $path = Join-Path $Folder 'resized.vhdx'
    [void] (New-VHD -Path $path -SizeBytes (32 * $MiB) -Dynamic)
    Write-Pieces $path @(, @(0, 41, 65536))
    Resize-VHD -Path $path -SizeBytes (96 * $MiB)
    Write-Pieces $path @(, @((90 * $MiB), 42, 65536))
    Add-DiskSpecimen $path 'grown from 32 to 96 MiB'
}

# A VM that runs keeps its disk's log open. A shadow copy of the host's volume shows the file as a backup meets it.
function New-OpenLogDisk {
    $path = Join-Path $Folder 'openlog.vhdx'
    [void] (New-VHD -Path $path -SizeBytes (64 * $MiB) -Dynamic)
    Write-Pieces $path @(, @(0, 51, 65536))
    $vm = New-SpecimenVM 'openlog' $path
    Start-VM -VM $vm
    $root = [IO.Path]::GetPathRoot($Folder)
    $made = ([wmiclass] 'root\cimv2:Win32_ShadowCopy').Create($root, 'ClientAccessible')
    if ($made.ReturnValue -ne 0) { throw "Win32_ShadowCopy.Create returned $($made.ReturnValue)" }
    $shadow = Get-WmiObject Win32_ShadowCopy | Where-Object { $_.ID -eq $made.ShadowID }
    try {
        $copy = Join-Path $Folder 'openlog-from-shadow-copy.vhdx'
        $source = $shadow.DeviceObject + '\' + $path.Substring($root.Length)
        [IO.File]::Copy($source, $copy)
        # It must not be attached: that would replay the log. The digest is the one of a second copy.
        $replayed = Join-Path $Folder 'openlog-replayed.vhdx'
        [IO.File]::Copy($source, $replayed)
        $digest = Get-DiskDigest $replayed
        Remove-Item -LiteralPath $replayed
        Add-Specimen $copy 'copied from a shadow copy while its VM ran: the log is open' $digest $null
    }
    finally {
        $shadow.Delete()
        Stop-VM -VM $vm -TurnOff -Force
    }
}

function New-VhdSet {
    $path = Join-Path $Folder 'set.vhds'
    [void] (New-VHD -Path $path -SizeBytes (64 * $MiB) -Dynamic)
    $data = Get-ChildItem -LiteralPath $Folder -Filter 'set*.avhdx'
    Add-Specimen $path 'VHD Set, before any checkpoint' '' $null
    foreach ($file in $data) {
        Add-Specimen $file.FullName 'data file of the VHD Set' '' $null
    }
    $service = Get-WmiObject -Namespace $Namespace -Class Msvm_ImageManagementService
    $asked = $service.GetVHDSetInformation($path, @(2))
    Wait-WmiJob $asked 'GetVHDSetInformation'
    [IO.File]::WriteAllText((Join-Path $Folder 'set-information.xml'), "$($asked.Information)")
}

function New-TrackedDisk {
    $path = Join-Path $Folder 'tracked.vhdx'
    [void] (New-VHD -Path $path -SizeBytes (1GB) -Dynamic)
    Write-Pieces $path @(@(0, 61, 65536), @((512 * $MiB), 62, 65536))
    $vm = New-SpecimenVM 'tracked' $path
    Start-VM -VM $vm
    $point = New-ReferencePoint $vm.Name
    Stop-VM -VM $vm -TurnOff -Force
    $facts = [ordered] @{
        rct_ids  = @($point.ResilientChangeTrackingIdentifiers)
        disk_ids = @($point.VirtualDiskIdentifiers)
        disk     = Get-DiskFacts $path
    }
    # Hashed without being attached: attaching would change the tracking files.
    Add-Specimen $path 'disk with Resilient Change Tracking' '' $facts
    foreach ($file in Get-ChildItem -LiteralPath $Folder -Filter 'tracked.vhdx.*') {
        Add-Specimen $file.FullName 'its change tracking file' '' $null
    }
}

function New-TpmConfiguration {
    $vm = New-SpecimenVM 'vtpm' ''
    Set-VMKeyProtector -VM $vm -NewLocalKeyProtector
    Enable-VMTPM -VM $vm
    $export = Join-Path $Folder 'vtpm-export'
    Export-VM -VM $vm -Path $export
    foreach ($file in Get-ChildItem -LiteralPath $export -Recurse -File) {
        Add-Specimen $file.FullName 'exported configuration of a VM with a virtual TPM and no data' '' $null
    }
}

# --- the run ----------------------------------------------------------------------------------------------------

function Write-Manifest {
    $system = Get-CimInstance Win32_OperatingSystem
    $manifest = [ordered] @{
        made_on     = $system.Caption
        build       = "$($system.Version).$((Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion').UBR)"
        made_at_utc = [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ')
        specimens   = $Specimens
        not_made    = $Failures
    }
    $path = Join-Path $Folder 'manifest.json'
    [IO.File]::WriteAllText($path, ($manifest | ConvertTo-Json -Depth 6))
    Write-Host "$($Specimens.Count) specimens, $($Failures.Count) kinds not made; see $path"
}

$Folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Folder)
if (Test-Path -LiteralPath $Folder) { throw "$Folder exists already. Name a new folder, so that nothing of yours is touched." }
if (Get-VM -Name "$Prefix*" -ErrorAction SilentlyContinue) {
    throw "There are VMs named $Prefix*. Remove them first: they are left from an earlier run."
}
if ($PSCmdlet.ShouldProcess($Folder, 'make the folder')) { [void] (New-Item -ItemType Directory -Path $Folder) }

try {
    Invoke-Kind 'plain disks' { New-PlainDisks }
    Invoke-Kind 'chain of VHDX' { New-Chain 'vhdx' }
    Invoke-Kind 'chain of VHD' { New-Chain 'vhd' }
    Invoke-Kind 'sector and block sizes' { New-ShapedDisks }
    Invoke-Kind 'trimmed disk' { New-TrimmedDisk }
    Invoke-Kind 'resized disk' { New-ResizedDisk }
    Invoke-Kind 'open log' { New-OpenLogDisk }
    Invoke-Kind 'VHD Set' { New-VhdSet }
    Invoke-Kind 'change tracking' { New-TrackedDisk }
    Invoke-Kind 'virtual TPM' { New-TpmConfiguration }
}
finally {
    if (-not $KeepVMs -and -not $WhatIfPreference) { Remove-SpecimenVMs }
}
if (-not $WhatIfPreference) { Write-Manifest }
