using System.Globalization;
using System.Text;
using System.Text.Json;
using Stasis.Image;
using Stasis.Linux;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.Threads;

namespace Stasis.Cli.Show;

/// <summary>From the records of an image to what `show` tells of it. An image is hostile: ids that lead nowhere are shown as such.</summary>
internal sealed class ImageReading
{
    private readonly ImageReader _image;
    private readonly TreeRecord _tree;
    private readonly Dictionary<int, ObjectRecord> _objects;
    private readonly Dictionary<int, JsonElement> _descriptions;
    private readonly Dictionary<int, DescriptorTable> _tables;

    /// <summary>Errors: <see cref="BadImage"/>.</summary>
    public static ImageView Read(string directory)
    {
        var image = new ImageReader(directory);
        try
        {
            return new ImageReading(image).View(directory);
        }
        catch (Exception error) when (error is NullReferenceException or ArgumentException or OverflowException or InvalidOperationException)
        {
            // JSON of the right shape can still hold a null in a list or a number out of range. Nothing here depends on anything
            // but the image, so whatever does not fit is the image's fault.
            throw new BadImage($"the records of {directory} are broken: {error.Message}");
        }
    }

    private ImageReading(ImageReader image)
    {
        _image = image;
        _tree = image.ReadJson("tree.json", ImageJson.Default.TreeRecord);
        if (_tree.Processes.Length == 0) throw new BadImage("tree.json names no process");
        _objects = ById(image.ReadJson("objects.json", ImageJson.Default.ObjectsRecord).Objects, record => record.Id, "objects.json");
        _tables = ById(_tree.DescriptorTables, table => table.Id, "tree.json");
        Description[] descriptions = image.ReadJson("descriptors.json", ImageJson.Default.DescriptionsRecord).Descriptions;
        _descriptions = ById(descriptions, description => description.Id, "descriptors.json")
            .ToDictionary(pair => pair.Key, pair => JsonSerializer.SerializeToElement(pair.Value, ImageJson.Default.Description));
    }

    private static Dictionary<int, T> ById<T>(IEnumerable<T> records, Func<T, int> id, string file)
    {
        var byId = new Dictionary<int, T>();
        foreach (T record in records)
        {
            if (!byId.TryAdd(id(record), record)) throw new BadImage($"{file} has the id {id(record)} twice");
        }
        return byId;
    }

    private ImageView View(string directory)
    {
        Manifest manifest = _image.Manifest;
        ProcessView[] processes = [.. _tree.Processes.Select(Process)];
        long shared = _objects.Values.Sum(record => Bytes(record.Pages));
        return new ImageView(directory, manifest.Format, manifest.Tool, manifest.KernelRelease, manifest.Created, _tree.Processes[0].Pid, _tree.OwnPidNamespace,
            shared + processes.Sum(process => process.StoredBytes), manifest.Files.Sum(file => file.Length),
            processes, [.. _objects.Values.Where(record => record.Kind != ObjectKind.File).Select(Shared)], [.. manifest.Files.Select(file => new StoredFileView(file.Name, file.Length))],
            _image.ReadJson("losses.json", ImageJson.Default.LossesRecord).Losses, [.. NeverCarried.Words, NeverCarried.WithoutSight]);
    }

    private static long Bytes(SavedPages? pages) => pages is null ? 0 : (long)Math.Min(pages.Bytes, long.MaxValue / 1_000_000);

    private ProcessView Process(ProcessRecord process)
    {
        CredentialsRecord? credentials = process.Threads.FirstOrDefault()?.Credentials;
        return new ProcessView(process.Pid, process.Parent, process.Group, process.Session, process.Comm, State(process), ObjectWords(process.Executable),
            process.WorkingDirectory?.Path ?? "", credentials?.Uids.FirstOrDefault(), credentials?.Gids.FirstOrDefault(),
            process.Mappings.Sum(mapping => Bytes(mapping.Pages)),
            [.. process.Threads.Select(Thread)], [.. process.Mappings.Select(mapping => Mapping(process, mapping))], Descriptors(process.DescriptorTable));
    }

    private static string State(ProcessRecord process) => process switch
    {
        { Requester: true } => $"the command that asked for this; ends with {Requester.RestartedStatus} at a restart",
        { ZombieStatus: not null } => "ended, not waited for",
        { StopSignal: not 0 } => "stopped",
        _ => "running",
    };

    private ThreadView Thread(ThreadRecord thread)
    {
        long call = thread.Registers.Values.Length == RegistersRecord.Count ? (long)thread.Registers.ToRegisters().orig_rax : -1;
        return new ThreadView(thread.Tid, thread.Comm, call < 0 ? null : thread.Registers.IsInCompatCode() ? $"system call {call} (32-bit)" : Enum.GetName((Syscall)(int)call) ?? $"system call {call}",
            thread.OwnTable == 0 ? null : Descriptors(thread.OwnTable));
    }

    private MappingView Mapping(ProcessRecord process, MappingRecord mapping) => new(Address(mapping.Start), Address(mapping.End), Access(mapping), (long)Math.Min(mapping.Length, long.MaxValue / 1_000_000),
        Bytes(mapping.Pages), What(process, mapping));

    private static string Address(ulong address) => string.Create(CultureInfo.InvariantCulture, $"0x{address:x}");

    private static string Access(MappingRecord mapping)
    {
        const int PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4; // include/uapi/asm-generic/mman-common.h
        char Letter(int bit, char letter) => (mapping.Protection & bit) != 0 ? letter : '-';
        return new string([Letter(PROT_READ, 'r'), Letter(PROT_WRITE, 'w'), Letter(PROT_EXEC, 'x'), mapping.Shared ? 's' : 'p']);
    }

    private string What(ProcessRecord process, MappingRecord mapping) => mapping.Kind switch
    {
        MappingKind.Object => mapping.Offset == 0 ? ObjectWords(mapping.Object) : $"{ObjectWords(mapping.Object)} from {Address(mapping.Offset)}",
        MappingKind.Anonymous when mapping.Name.Length > 0 => $"[anon:{mapping.Name}]",
        MappingKind.Anonymous => AnonymousWords(process.MemoryFields, mapping),
        _ => mapping.Name,
    };

    // As /proc/PID/maps tells them (fs/proc/task_mmu.c, vma_is_initial_heap and vma_is_initial_stack).
    private static string AnonymousWords(MemoryFields? fields, MappingRecord mapping)
    {
        if (fields is null) return "anonymous";
        if (mapping.Start < fields.Brk && mapping.End > fields.StartBrk) return "[heap]";
        return mapping.Start <= fields.StartStack && mapping.End >= fields.StartStack ? "[stack]" : "anonymous";
    }

    private string ObjectWords(int id)
    {
        if (!_objects.TryGetValue(id, out ObjectRecord? found)) return id == 0 ? "" : $"object {id}, which the image does not have";
        return found.Kind switch
        {
            ObjectKind.File => found.Path,
            ObjectKind.Deleted => $"{found.Path} (deleted)",
            ObjectKind.SharedAnonymous => $"shared memory #{id}",
            _ => $"memfd {found.Path} #{id}",
        };
    }

    private SharedMemoryView Shared(ObjectRecord record) => new(record.Id, ObjectWords(record.Id), record.Size, Bytes(record.Pages));

    private DescriptorView[] Descriptors(int id) =>
        _tables.TryGetValue(id, out DescriptorTable? table) ? [.. table.Entries.Select(Descriptor)] : [];

    private DescriptorView Descriptor(DescriptorEntry entry)
    {
        if (!_descriptions.TryGetValue(entry.Description, out JsonElement record))
            return new DescriptorView(entry.Number, entry.Description, "unknown", "not in the image", "", entry.CloseOnExec, null);
        int flags = record.TryGetProperty("flags", out JsonElement value) ? value.GetInt32() : 0;
        string kind = record.TryGetProperty("kind", out JsonElement name) ? name.GetString() ?? "" : "";
        return new DescriptorView(entry.Number, entry.Description, kind, DescriptionWords(record), Access(flags), entry.CloseOnExec, record);
    }

    private static string Access(int flags) => (flags & OpenFlags.O_PATH) != 0 ? "path" : (flags & OpenFlags.O_ACCMODE) switch
    {
        OpenFlags.O_RDONLY => "read",
        OpenFlags.O_WRONLY => "write",
        _ => "read and write",
    };

    // A kind is told by the fields of its record, so that a new kind needs nothing here.
    private string DescriptionWords(JsonElement record)
    {
        var words = new List<string>();
        foreach (JsonProperty field in record.EnumerateObject())
        {
            if (field.Name is "kind" or "id" or "flags" or "ownerType" or "owner" or "ownerSignal") continue;
            if (field.Name is "path" or "was" && field.Value.ValueKind == JsonValueKind.String) words.Insert(0, field.Value.GetString()!);
            else if (field.Name == "object" && field.Value.TryGetInt32(out int id)) words.Insert(0, ObjectWords(id));
            else if (FieldWords(field) is { } told) words.Add(told);
        }
        return string.Join(", ", words);
    }

    /// <summary>null for what is as it mostly is: nothing, none.</summary>
    private static string? FieldWords(JsonProperty field) => field.Value.ValueKind switch
    {
        JsonValueKind.Number when field.Value.GetRawText() != "0" => $"{InWords(field.Name)} {field.Value.GetRawText()}",
        JsonValueKind.String when field.Value.GetString() is { Length: > 0 } text => $"{InWords(field.Name)} {text}",
        JsonValueKind.True => InWords(field.Name),
        JsonValueKind.Array when field.Value.GetArrayLength() > 0 => $"{InWords(field.Name)}: {field.Value.GetArrayLength()}",
        _ => null,
    };

    /// <summary>"signalMask" as "signal mask".</summary>
    private static string InWords(string name)
    {
        var words = new StringBuilder();
        foreach (char c in name)
        {
            if (char.IsAsciiLetterUpper(c)) words.Append(' ');
            words.Append(char.ToLowerInvariant(c));
        }
        return words.ToString();
    }
}
