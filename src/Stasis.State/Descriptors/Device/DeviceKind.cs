using Stasis.Linux;

namespace Stasis.State.Descriptors.Device;

/// <summary>A device without state of its own: /dev/null, zero, full, random, urandom; or anything opened with O_PATH only.</summary>
public sealed record DeviceRecord : Description
{
    public required string Path { get; init; }
}

public sealed class DeviceKind : DescriptorKind
{
    public override string Name => "device";
    public override Type RecordType => typeof(DeviceRecord);

    // Documentation/admin-guide/devices.txt, major 1: 3 null, 5 zero, 7 full, 8 random, 9 urandom
    private static bool IsStateless(FileStatus status) => status.Type == FileType.CharacterDevice && status.RawMajor == 1 && status.RawMinor is 3 or 5 or 7 or 8 or 9;
    private static bool IsPathOnly(Sighting sighting) => (sighting.Flags & OpenFlags.O_PATH) != 0 && sighting.Link.StartsWith('/') && sighting.Status.Type is not (FileType.Regular or FileType.Directory);

    public override bool Recognizes(Sighting sighting) => IsStateless(sighting.Status) && sighting.Link.StartsWith('/') || IsPathOnly(sighting);

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context) => new DeviceRecord { Id = id, Flags = sighting.Flags, Path = sighting.Link };

    public override void Plan(Description description, PlanContext context)
    {
        var record = (DeviceRecord)description;
        (SysResult result, FileStatus status) = Files.Status(record.Path);
        bool pathOnly = (record.Flags & OpenFlags.O_PATH) != 0;
        if (result.Failed || !pathOnly && !IsStateless(status)) context.Refuse(record, record.Path, "there is no such device here", "create it (mknod)");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (DeviceRecord)description;
        return Files.Open(record.Path, record.Flags | OpenFlags.O_NOCTTY).OrThrowDescriptor($"open of {record.Path}");
    }
}
