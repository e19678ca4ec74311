using System.Runtime.InteropServices;
using Stasis.Linux;

namespace Stasis.State.Descriptors.SignalFd;

public sealed class SignalFdKind : DescriptorKind
{
    public override string Name => "signalfd";
    public override Type RecordType => typeof(SignalFdRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:[signalfd]";

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context) =>
        new SignalFdRecord { Id = id, Flags = sighting.Flags, Mask = sighting.Information.Hex("sigmask") };

    public override int Rebuild(Description description, RebuildContext context)
    {
        ulong mask = ((SignalFdRecord)description).Mask;
        return Kernel.CallWith(MemoryMarshal.AsBytes(new Span<ulong>(ref mask)), address => Kernel.Call(Syscall.signalfd4, -1, address, sizeof(ulong), OpenFlags.O_CLOEXEC))
            .OrThrowDescriptor("signalfd4");
    }
}
