using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Stasis.Engine;
using Stasis.Image;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.EventFd;
using Stasis.State.Descriptors.RegularFile;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.SystemV;
using Stasis.State.Threads;
using Stasis.UnitTests.Image;

namespace Stasis.UnitTests.Engine;

/// <summary>A whole image of two processes and a zombie, made of records; a test breaks one thing in it.</summary>
internal sealed record SampleImage
{
    public static readonly SampleImage Good = new();

    public Manifest Manifest { get; init; } = ImageSeal.Manifest;
    public TreeRecord Tree { get; init; } = new()
    {
        Processes = [Process(100, 0, 1), Process(101, 100, 2), Process(102, 100, 0) with { ZombieStatus = 0, Threads = [], Mappings = [] }],
        OutsideSession = 0,
        OutsideGroup = 0,
        OwnPidNamespace = false,
        DescriptorTables = [new DescriptorTable(1, [new DescriptorEntry(0, 1, false), new DescriptorEntry(5, 2, true)]) { Locks = [new PosixLock(5, true, 0, -1)] }, new DescriptorTable(2, [new DescriptorEntry(0, 1, false)])],
    };
    public ObjectRecord[] Objects { get; init; } =
    [
        new ObjectRecord { Id = 1, Kind = ObjectKind.File, DeviceMajor = 1, DeviceMinor = 2, Inode = 3, Path = "/bin/sample", Size = 5000, ModifiedNanoseconds = 1 },
        new ObjectRecord { Id = 2, Kind = ObjectKind.MemoryFile, DeviceMajor = 0, DeviceMinor = 1, Inode = 4, Path = "memory", Size = 5000, ModifiedNanoseconds = 1, Pages = new SavedPages(2, 1, 0x2000) },
    ];
    public Description[] Descriptions { get; init; } = [new EventFdRecord { Id = 1, Value = 7 }, new RegularFileRecord { Id = 2, Object = 2, Position = 0 }];
    public SavedRun[] Index { get; init; } = [new(0x500000, 0x1000, 0), new(0x502000, 0x1000, 0x1000), new(0, 0x2000, 0x2000)];

    public static ProcessRecord Process(int pid, int parent, int table) => new()
    {
        Pid = pid,
        Parent = parent,
        Session = 0,
        Group = 0,
        Comm = "sample",
        ExitSignal = 17,
        Threads = [Thread(pid), Thread(pid + 1000)],
        DescriptorTable = table,
        Executable = 1,
        SharedPendingSignals = [new byte[128]],
        SignalActions = [new SignalActionRecord(15, 0x401000, 0, 0, 0)],
        IntervalTimers = [new IntervalTimerRecord(0, 0, 5)],
        PosixTimers = [new PosixTimerRecord(0, 1, 0, 14, 0, 0, 0, 5, 0)],
        Limits = [new LimitRecord(7, 1024, 4096)],
        WorkingDirectory = new PlaceRecord("/", false),
        Root = new PlaceRecord("/", false),
        MemoryFields = new MemoryFields(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, new byte[16]),
        Mappings =
        [
            new MappingRecord { Start = 0x400000, End = 0x402000, Protection = 5, Shared = false, Kind = MappingKind.Object, Object = 1 },
            new MappingRecord { Start = 0x500000, End = 0x504000, Protection = 3, Shared = false, Kind = MappingKind.Anonymous, Name = "heap", Flags = ["nr"], Pages = new SavedPages(0, 2, 0x2000), Guards = [new GuardRun(0x501000, 0x502000)] },
            new MappingRecord { Start = 0x7fff00000000, End = 0x7fff00002000, Protection = 5, Shared = false, Kind = MappingKind.Kernel, Name = "[vdso]" },
        ],
    };

    public static ThreadRecord Thread(int tid) => new()
    {
        Tid = tid,
        Comm = "sample",
        Registers = new RegistersRecord(new ulong[RegistersRecord.Count]),
        ExtendedState = new byte[832],
        SignalMask = 0,
        PendingSignals = [new byte[128]],
        AlternateStack = new AlternateStack(0, 2, 0),
        Rseq = new RseqRecord(0, 0, 0),
        RobustList = 0,
        RobustListLength = 24,
        ClearTidAddress = 0,
        Scheduling = new SchedulingRecord(0, 0, 0, 0, 0, 0, 0, 0, 0),
        Affinity = [3],
        IoPriority = 0,
        TimerSlackNanoseconds = 50_000,
        Credentials = new CredentialsRecord([0, 0, 0, 0], [0, 0, 0, 0], [], 0, 0, 0, 0, 0, 0, false),
        ParentDeathSignal = 0,
    };

    public SampleImage WithProcess(Func<ProcessRecord, ProcessRecord> change, int index = 1) =>
        this with { Tree = Tree with { Processes = [.. Tree.Processes.Select((process, i) => i == index ? change(process) : process)] } };
    public SampleImage WithThread(Func<ThreadRecord, ThreadRecord> change) => WithProcess(process => process with { Threads = [process.Threads[0], change(process.Threads[1])] });
    public SampleImage WithMapping(int index, Func<MappingRecord, MappingRecord> change) => WithProcess(process => process with { Mappings = [.. process.Mappings.Select((mapping, i) => i == index ? change(mapping) : mapping)] });
    public SampleImage WithObject(int index, Func<ObjectRecord, ObjectRecord> change) => this with { Objects = [.. Objects.Select((file, i) => i == index ? change(file) : file)] };
    public SampleImage WithTable(Func<DescriptorTable, DescriptorTable> change) => this with { Tree = Tree with { DescriptorTables = [change(Tree.DescriptorTables[0]), .. Tree.DescriptorTables[1..]] } };
    public SampleImage WithLayout(params (ulong Start, ulong End)[] mappings) => WithProcess(process => process with
    {
        Mappings = [.. mappings.Select(m => new MappingRecord { Start = m.Start, End = m.End, Protection = 3, Shared = false, Kind = MappingKind.Anonymous })],
    });

    /// <summary>Writes it, with changes to the text of one record where a value has no place in the types, and reads it as a restart does.</summary>
    public LoadedImage Load(string file = "", Action<JsonNode>? edit = null)
    {
        using var directory = new TemporaryDirectory();
        byte[] Text(string name, byte[] json)
        {
            if (name != file) return json;
            JsonNode root = JsonNode.Parse(json)!;
            edit!(root);
            return Encoding.UTF8.GetBytes(root.ToJsonString());
        }
        byte[] pages = new byte[0x4000];
        ImageSeal.Write(directory.Path, new Dictionary<string, byte[]>
        {
            ["tree.json"] = Text("tree.json", JsonSerializer.SerializeToUtf8Bytes(Tree, ImageJson.Default.TreeRecord)),
            ["losses.json"] = Text("losses.json", JsonSerializer.SerializeToUtf8Bytes(new LossesRecord([]), ImageJson.Default.LossesRecord)),
            ["objects.json"] = Text("objects.json", JsonSerializer.SerializeToUtf8Bytes(new ObjectsRecord(Objects), ImageJson.Default.ObjectsRecord)),
            ["ipc.json"] = Text("ipc.json", JsonSerializer.SerializeToUtf8Bytes(new IpcRecord(), ImageJson.Default.IpcRecord)),
            ["descriptors.json"] = Text("descriptors.json", JsonSerializer.SerializeToUtf8Bytes(new DescriptionsRecord(Descriptions), ImageJson.Default.DescriptionsRecord)),
            ["pages.idx"] = MemoryMarshal.AsBytes(Index.AsSpan()).ToArray(),
            ["pages.sum"] = new byte[8],
            ["pages.bin"] = pages,
        });
        ImageSeal.EditManifest(directory.Path, manifest =>
        {
            manifest["extendedStateLength"] = Manifest.ExtendedStateLength;
            manifest["extendedPlaces"] = JsonSerializer.SerializeToNode(Manifest.ExtendedPlaces, ManifestJson.Default.ExtendedPlaceArray);
        });
        return LoadedImage.Open(directory.Path);
    }
}
