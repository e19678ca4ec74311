using System.Text.Json.Serialization;
using Stasis.Linux;

namespace Stasis.State.Descriptors.External;

/// <summary>A descriptor that the user said is not to be carried (`checkpoint --external`), or that a restart binds to something else.</summary>
public sealed record ExternalRecord : Description
{
    /// <summary>What it was, as /proc shows it.</summary>
    public required string Was { get; init; }

    /// <summary>What the restart binds it to; no part of an image.</summary>
    [JsonIgnore]
    public ExternalTarget? Target { get; init; }
}

/// <summary>A path to open, or a descriptor that the restart itself was started with (then the path is empty).</summary>
public sealed record ExternalTarget(string Path, int Descriptor);

/// <summary>Stands before all other kinds: what the user takes out of our hands is not examined.</summary>
public sealed class ExternalKind : DescriptorKind
{
    public override string Name => "external";
    public override Type RecordType => typeof(ExternalRecord);
    public override bool Recognizes(Sighting sighting) => true;

    /// <summary>The descriptor that was named, and all that share its open file description.</summary>
    public override bool Claims(Sighting sighting, ExamineContext context) => context.External.Any(named =>
        named == (sighting.Pid, sighting.Number) || SameInode(sighting, named, context) && Kcmp.Compare(sighting.Pid, named.Pid, Kcmp.Kind.File, sighting.Number, named.Number) == 0);

    private static bool SameInode(Sighting sighting, (int Pid, int Number) named, ExamineContext context) =>
        context.All.FirstOrDefault(other => (other.Pid, other.Number) == named) is { } other && other.Status.Identity == sighting.Status.Identity;

    public override void Examine(Sighting sighting, ExamineContext context) =>
        context.Lose(sighting, "it is not in the image: the restart must be told what takes its place (--bind fd:PID/NUMBER=PATH)");

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context) => new ExternalRecord { Id = id, Flags = sighting.Flags, Was = sighting.Link };

    public override void Plan(Description description, PlanContext context)
    {
        var record = (ExternalRecord)description;
        const int F_GETFD = 1;
        switch (record.Target)
        {
            case null:
                context.Refuse(record, record.Was, "it was left out of the checkpoint (--external)", $"say what takes its place: --bind fd:{context.HolderOf(record.Id).Pid}/{context.HolderOf(record.Id).Number}=PATH");
                break;
            case { Path.Length: 0 } inherited when Files.Control(inherited.Descriptor, F_GETFD).Failed:
                context.Refuse(record, record.Was, $"it is bound to descriptor {inherited.Descriptor}, which this restart was not given", $"redirect it ({inherited.Descriptor}<>PATH)");
                break;
            case { Path.Length: > 0 } named when Files.Status(named.Path).Result.Failed:
                context.Refuse(record, record.Was, $"it is bound to {named.Path}, which is not there", "create it, or bind it to something else");
                break;
        }
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (ExternalRecord)description;
        ExternalTarget target = record.Target ?? throw new KernelRefusal($"{record.Was}: nothing takes its place", Errno.EBADF);
        const int F_DUPFD = 0;
        return target.Path.Length > 0
            ? Files.Open(target.Path, (record.Flags & ~OpenFlags.O_PATH) | OpenFlags.O_NOCTTY).OrThrowDescriptor($"open of {target.Path}")
            : Files.Control(target.Descriptor, F_DUPFD, 3).OrThrowDescriptor($"dup of descriptor {target.Descriptor}");
    }
}
