using System.Text.Json;
using Stasis.State;

namespace Stasis.Cli.Show;

/// <summary>What `stasis show` tells of an image, for people and as JSON. Filled from the records by <see cref="ImageReading"/>.</summary>
/// <param name="Taken">When the checkpoint was taken: ISO 8601.</param>
/// <param name="OwnPidNamespace">The tree lived in a pid namespace of its own; its ids are those inside.</param>
/// <param name="Losses">The faithfulness report: what a restart will not bring back as it was.</param>
/// <param name="NeverCarried">Its other part, which is the same for all images: what no restart brings back.</param>
/// <param name="MemoryBytes">Memory content in the image, all processes together; shared memory counts once.</param>
internal sealed record ImageView(string Image, int FormatVersion, string Tool, string Kernel, string Taken, int RootPid, bool OwnPidNamespace,
    long MemoryBytes, long ImageBytes, IReadOnlyList<ProcessView> Processes, IReadOnlyList<SharedMemoryView> SharedMemory, IReadOnlyList<StoredFileView> Files, IReadOnlyList<Loss> Losses, IReadOnlyList<string> NeverCarried);

/// <param name="State">running, stopped, or ended and not waited for.</param>
/// <param name="StoredBytes">Memory of this process alone in the image.</param>
internal sealed record ProcessView(int Pid, int ParentPid, int Group, int Session, string Command, string State,
    string Executable, string WorkingDirectory, uint? Uid, uint? Gid, long StoredBytes,
    IReadOnlyList<ThreadView> Threads, IReadOnlyList<MappingView> Mappings, IReadOnlyList<DescriptorView> Descriptors);

/// <param name="Call">The system call that it was in; null when it ran.</param>
/// <param name="Descriptors">Those of a thread with a descriptor table of its own; null where it has its process's.</param>
internal sealed record ThreadView(int Tid, string Name, string? Call, IReadOnlyList<DescriptorView>? Descriptors);

/// <param name="Start">Address, hexadecimal with 0x.</param>
/// <param name="Access">As /proc/PID/maps has it: rwxp.</param>
/// <param name="What">The file, or [heap], [stack], anonymous …</param>
/// <param name="StoredBytes">Pages of it in the image.</param>
internal sealed record MappingView(string Start, string End, string Access, long Bytes, long StoredBytes, string What);

/// <param name="Description">The id of the open file description; descriptors with the same one share offset and flags.</param>
/// <param name="Record">The description as the image has it.</param>
internal sealed record DescriptorView(int Number, int Description, string Kind, string What, string Access, bool CloseOnExec, JsonElement? Record);

/// <summary>Memory that processes share, a memfd, or a file without a name: saved once.</summary>
internal sealed record SharedMemoryView(int Id, string What, long Bytes, long StoredBytes);

/// <summary>One file of the image directory.</summary>
internal sealed record StoredFileView(string Name, long Bytes);
