using System.Globalization;
using Stasis.Linux;

namespace Stasis.State.Descriptors.EventFd;

/// <summary>The simplest kind, good to read first: everything is in fdinfo, and one write puts the counter back.</summary>
public sealed class EventFdKind : DescriptorKind
{
    private const int EFD_SEMAPHORE = 1, EFD_CLOEXEC = OpenFlags.O_CLOEXEC, EFD_NONBLOCK = OpenFlags.O_NONBLOCK;

    public override string Name => "eventfd";
    public override Type RecordType => typeof(EventFdRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:[eventfd]";

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        // The line is missing in kernels before 6.5; then a semaphore can't be told from a counter (fs/eventfd.c, eventfd_show_fdinfo).
        if (sighting.Information.Field("eventfd-semaphore").Length == 0)
            context.Refuse(sighting, "this kernel does not tell whether the eventfd is a semaphore", "use Linux 6.5 or later");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context) => new EventFdRecord
    {
        Id = id,
        Flags = sighting.Flags,
        Value = ulong.Parse(sighting.Information.Field("eventfd-count"), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        Semaphore = sighting.Information.Decimal("eventfd-semaphore") != 0,
    };

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (EventFdRecord)description;
        int descriptor = Kernel.Call(Syscall.eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK | (record.Semaphore ? EFD_SEMAPHORE : 0)).OrThrowDescriptor("eventfd2");
        // A counter of 2^64-1 can't be written: it is what the kernel shows after an overflow by its own AIO, and the largest
        // that can is as readable as that.
        ulong value = Math.Min(record.Value, ulong.MaxValue - 1);
        if (value != 0) Files.Write(descriptor, BitConverter.GetBytes(value)).OrThrow($"write of {value} to an eventfd");
        return descriptor;
    }
}
