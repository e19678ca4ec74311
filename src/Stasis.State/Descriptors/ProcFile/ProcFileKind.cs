using System.Globalization;
using Stasis.Linux;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.ProcFile;

/// <summary>
/// Files and directories of /proc about one process. They are opened again when the tree is there. Those of a process that is gone
/// are opened on a process that we run to its end: reading them fails in the same way.
/// </summary>
public sealed class ProcFileKind : DescriptorKind
{
    private const int MaxId = 1 << 22;
    private const string Deleted = " (deleted)";

    public override string Name => "file of /proc";
    public override Type RecordType => typeof(ProcFileRecord);
    public override bool Recognizes(Sighting sighting) => Parse(sighting.Link) is not null;

    // "/proc/12", "/proc/12/stat", "/proc/12/task/13/stat", "/proc/12 (deleted)"
    internal static (int Process, string Name)? Parse(string link)
    {
        const string Start = "/proc/";
        if (!link.StartsWith(Start, StringComparison.Ordinal)) return null;
        string rest = link.EndsWith(Deleted, StringComparison.Ordinal) ? link[Start.Length..^Deleted.Length] : link[Start.Length..];
        int slash = rest.IndexOf('/');
        string id = slash < 0 ? rest : rest[..slash];
        return int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int process) && process > 0 ? (process, slash < 0 ? "" : rest[(slash + 1)..]) : null;
    }

    // Known by a read, which no longer works; what can't be read (a directory) by its name.
    private static bool IsGone(Sighting sighting)
    {
        (int process, string name) = Parse(sighting.Link)!.Value;
        if (sighting.Link.EndsWith(Deleted, StringComparison.Ordinal) || Files.Status($"/proc/{process}/{name}").Result.Failed) return true;
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return false; // closed meanwhile
        using var own = new DescriptorHandle(taken.Descriptor);
        return Files.ReadAt(own.Number, new byte[1], 0).Errno == Errno.ESRCH;
    }

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        string name = Parse(sighting.Link)!.Value.Name;
        if (name.Contains('\uFFFD') || name.Split('/') is var parts && parts.Any(part => part is "fdinfo" or "map_files") && parts[^1] is not ("fdinfo" or "map_files"))
            context.Refuse(sighting, "a file of /proc about one descriptor or mapping is not carried yet", "let the program close it first");
        // A restart must not hand out what lets one process change another that has nothing to do with the tree.
        else if (Writes(sighting.Flags) && !context.Tree.Contains(Parse(sighting.Link)!.Value.Process) && !IsGone(sighting))
            context.Refuse(sighting, "it lets the program write to a process outside the tree", "let the program close it first, or checkpoint that process too");
    }

    private static bool Writes(int flags) => (flags & OpenFlags.O_ACCMODE) != OpenFlags.O_RDONLY && (flags & OpenFlags.O_PATH) == 0;

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        (int process, string name) = Parse(sighting.Link)!.Value;
        var record = new ProcFileRecord { Id = id, Flags = sighting.Flags, Target = ProcFileTarget.Gone, Process = process, Name = name, Position = sighting.Information.Position };
        if (IsGone(sighting)) return record;
        if (context.Examined.Tree.Contains(process)) return record with { Target = ProcFileTarget.Inside, Process = context.InsideId(process) };
        return ProcessIdentity.Of(process) is { } identity ? record with { Target = ProcFileTarget.Outside, StartTime = identity.StartTime, BootId = identity.BootId } : record;
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (ProcFileRecord)description;
        bool broken = !Enum.IsDefined(record.Target) || record.Process is <= 0 or > MaxId || record.Position < 0 || record.Name.Length > 255 || record.Name.Contains('\0') || LeadsAway(record.Name)
            || record.Target == ProcFileTarget.Outside && Writes(record.Flags) || record.Target == ProcFileTarget.Inside && !context.HasTask(record.Process, false);
        if (broken) context.Refuse(description, $"/proc/{record.Process}/{record.Name}", "the image is broken here", "take a new checkpoint");
    }

    // The directories of links may be open; a path through one of the links would lead anywhere.
    internal static bool LeadsAway(string name)
    {
        string[] parts = name.Split('/');
        bool Through(string part) => part is "." or ".." or "root" or "cwd" or "fd" or "exe" or "ns" or "map_files";
        return parts[..^1].Any(Through) || Through(parts[^1]) && parts[^1] is not ("fd" or "ns" or "map_files");
    }

    public override bool NeedsTree(Description description) => ((ProcFileRecord)description).Target == ProcFileTarget.Inside;

    // mem, maps and some more can't be opened any more when the memory is gone; who has them open reads the end of file.
    public override int NeedsAlive(Description description) => description is ProcFileRecord { Target: ProcFileTarget.Inside } record ? record.Process : 0;

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (ProcFileRecord)description;
        if (record.Target == ProcFileTarget.Inside)
        {
            // By the /proc of its own pid namespace, where it has one: there it has its own id, and tells the others' as it should.
            int task = context.TaskOf(record.Process);
            SysResult own = Files.Open($"/proc/{task}/root/proc/{record.Process}/{record.Name}", record.Flags | OpenFlags.O_NOCTTY);
            return own.Failed ? Opened(Files.Open($"/proc/{task}/{record.Name}", record.Flags | OpenFlags.O_NOCTTY), record) : own.Descriptor;
        }
        if (record.Target == ProcFileTarget.Outside && new ProcessIdentity(record.StartTime, record.BootId) == ProcessIdentity.Of(record.Process))
            return Opened(Files.Open($"/proc/{record.Process}/{record.Name}", record.Flags | OpenFlags.O_NOCTTY), record);
        SysResult opened = SysResult.Error(Errno.ESRCH);
        context.EndedProcess(record.Process, 0, pid => opened = Files.Open($"/proc/{pid}/{OfItsOnlyThread(record.Name, pid)}", record.Flags | OpenFlags.O_NOCTTY));
        return Opened(opened, record);
    }

    private static int Opened(SysResult opened, ProcFileRecord record) => opened.OrThrowDescriptor($"open of /proc/{record.Process}/{record.Name}");

    public override bool NeedsSettling(Description description) => description is ProcFileRecord { Target: ProcFileTarget.Inside, Position: not 0 } && (description.Flags & OpenFlags.O_PATH) == 0;

    // The kernel writes the text down as far as the position, and keeps what is behind it for the next read: late, when the process is as it was.
    public override void Settle(Description description, int descriptor, SettleContext context)
    {
        var record = (ProcFileRecord)description;
        Files.Seek(descriptor, record.Position, 0).OrThrow($"lseek in /proc/{record.Process}/{record.Name}");
    }

    private static string OfItsOnlyThread(string name, int pid)
    {
        string[] parts = name.Split('/');
        if (parts.Length >= 2 && parts[0] == "task") parts[1] = pid.ToString(CultureInfo.InvariantCulture);
        return string.Join('/', parts);
    }
}
