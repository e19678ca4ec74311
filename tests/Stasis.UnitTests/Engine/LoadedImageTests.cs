using System.Text.Json.Nodes;
using Stasis.Engine;
using Stasis.Image;
using Stasis.Linux;
using Stasis.State.Descriptors.EventFd;
using Stasis.State.Descriptors.UserFaultFd;
using Stasis.State.Memory;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.Threads;

namespace Stasis.UnitTests.Engine;

/// <summary>One broken thing each, in an image whose lengths and hashes are right: it is refused as a bad image before anything is made of it.</summary>
public sealed class LoadedImageTests
{
    private static readonly SampleImage Good = SampleImage.Good;
    private static MemoryPolicyRecord Policy(int mode) => new(mode, new byte[ThreadSettingsRecord.MaxNodes / 8]);
    private static SampleImage WithPlaces(params ExtendedPlace[] places) => Good with { Manifest = Good.Manifest with { ExtendedPlaces = places } };
    private static byte[] Area(int offset, byte value) { byte[] area = new byte[832]; area[offset] = value; return area; }
    private static UserFaultFdRecord Watching(int process, params WatchedRange[] ranges) => new() { Id = 77, Process = process, Features = 0, Ranges = ranges };
    private static readonly Dictionary<string, SampleImage> Broken = new()
    {
        ["extended state too short"] = Good with { Manifest = Good.Manifest with { ExtendedStateLength = 575 } },
        ["extended state too long"] = Good with { Manifest = Good.Manifest with { ExtendedStateLength = 65537 } },
        ["extended state without end"] = WithPlaces(new ExtendedPlace(2, 576, 257)),
        ["extended state of a length that overflows"] = WithPlaces(new ExtendedPlace(2, 576, int.MaxValue)),
        ["extended state in the header"] = WithPlaces(new ExtendedPlace(2, 512, 64)),
        ["extended state of no length"] = WithPlaces(new ExtendedPlace(2, 576, 0)),
        ["extended state twice"] = WithPlaces(new ExtendedPlace(2, 576, 64), new ExtendedPlace(2, 640, 64)),
        ["extended state of no component"] = WithPlaces(new ExtendedPlace(64, 576, 64)),
        ["extended state shorter than it says"] = Good.WithThread(t => t with { ExtendedState = new byte[831] }),
        ["extended state in use that lies nowhere"] = Good.WithThread(t => t with { ExtendedState = Area(512, 1 << 3) }),
        ["extended state in another format"] = Good.WithThread(t => t with { ExtendedState = Area(527, 0x80) }),
        ["no processes"] = Good with { Tree = Good.Tree with { Processes = [] } },
        ["root ended"] = Good.WithProcess(p => p with { ZombieStatus = 0 }, 0),
        ["ended with threads"] = Good.WithProcess(p => p with { Threads = [SampleImage.Thread(102)] }, 2),
        ["ended with memory"] = Good.WithProcess(p => p with { Mappings = Good.Tree.Processes[1].Mappings }, 2),
        ["pid 0"] = Good.WithProcess(p => p with { Pid = 0 }),
        ["pid negative"] = Good.WithProcess(p => p with { Pid = -5 }),
        ["pid too large"] = Good.WithProcess(p => p with { Pid = (1 << 22) + 1, Threads = [SampleImage.Thread((1 << 22) + 1)] }),
        ["pid twice"] = Good.WithProcess(p => p with { Pid = 100, Threads = [SampleImage.Thread(100)] }),
        ["parent unknown"] = Good.WithProcess(p => p with { Parent = 999 }),
        ["parent comes later"] = Good.WithProcess(p => p with { Parent = 102 }),
        ["parent is itself"] = Good.WithProcess(p => p with { Parent = p.Pid }),
        ["second root"] = Good.WithProcess(p => p with { Parent = 0 }),
        ["root with a parent"] = Good.WithProcess(p => p with { Parent = 101 }, 0),
        ["session negative"] = Good.WithProcess(p => p with { Session = -1 }),
        ["group too large"] = Good.WithProcess(p => p with { Group = int.MaxValue }),
        ["exit signal 65"] = Good.WithProcess(p => p with { ExitSignal = 65 }),
        ["exit signal negative"] = Good.WithProcess(p => p with { ExitSignal = -1 }),
        ["stop signal 65"] = Good.WithProcess(p => p with { StopSignal = 65 }),
        ["no threads"] = Good.WithProcess(p => p with { Threads = [] }),
        ["first thread is not the leader"] = Good.WithProcess(p => p with { Threads = [p.Threads[1], p.Threads[0]] }),
        ["descriptor table unknown"] = Good.WithProcess(p => p with { DescriptorTable = 9 }),
        ["no working directory"] = Good.WithProcess(p => p with { WorkingDirectory = null }),
        ["no root directory"] = Good.WithProcess(p => p with { Root = null }),
        ["no memory fields"] = Good.WithProcess(p => p with { MemoryFields = null }),
        ["auxiliary vector too long"] = Good.WithProcess(p => p with { MemoryFields = p.MemoryFields! with { Auxv = new byte[4097] } }),
        ["executable unknown"] = Good.WithProcess(p => p with { Executable = 9 }),
        ["shared signal too short"] = Good.WithProcess(p => p with { SharedPendingSignals = [new byte[127]] }),
        ["action of no signal"] = Good.WithProcess(p => p with { SignalActions = [new SignalActionRecord(0, 1, 0, 0, 0)] }),
        ["action of SIGKILL"] = Good.WithProcess(p => p with { SignalActions = [new SignalActionRecord(9, 1, 0, 0, 0)] }),
        ["action of SIGSTOP"] = Good.WithProcess(p => p with { SignalActions = [new SignalActionRecord(19, 1, 0, 0, 0)] }),
        ["action of signal 65"] = Good.WithProcess(p => p with { SignalActions = [new SignalActionRecord(65, 1, 0, 0, 0)] }),
        ["interval timer 3"] = Good.WithProcess(p => p with { IntervalTimers = [new IntervalTimerRecord(3, 0, 1)] }),
        ["interval negative"] = Good.WithProcess(p => p with { IntervalTimers = [new IntervalTimerRecord(0, -1, 1)] }),
        ["remaining time negative"] = Good.WithProcess(p => p with { IntervalTimers = [new IntervalTimerRecord(0, 0, -1)] }),
        ["timer id negative"] = Good.WithProcess(p => p with { PosixTimers = [new PosixTimerRecord(-1, 0, 0, 0, 0, 0, 0, 0, 0)] }),
        ["limit of no resource"] = Good.WithProcess(p => p with { Limits = [new LimitRecord(16, 0, 0)] }),
        ["soft limit above the hard one"] = Good.WithProcess(p => p with { Limits = [new LimitRecord(7, 2, 1)] }),
        ["path with a zero byte"] = Good.WithProcess(p => p with { WorkingDirectory = new PlaceRecord("/a\0b", false) }),
        ["path too long"] = Good.WithProcess(p => p with { Root = new PlaceRecord(new string('/', 4096), false) }),
        ["no memory at all"] = Good.WithProcess(p => p with { Mappings = [] }),
        ["memory of its own and another's"] = Good.WithProcess(p => p with { SharesMemoryWith = 100 }),
        ["memory of nobody"] = Good.WithProcess(p => p with { SharesMemoryWith = 77, Mappings = [] }),
        ["memory of a later process"] = Good.WithProcess(p => p with { SharesMemoryWith = 101, Mappings = [] }, 0),
        ["memory of its own, another's handlers"] = Good.WithProcess(p => p with { SharesHandlersWith = 100 }),
        ["directories of nobody"] = Good.WithProcess(p => p with { SharesPlacesWith = 77 }),
        ["directories of itself"] = Good.WithProcess(p => p with { SharesPlacesWith = 101 }),
        ["main thread ended and there"] = Good.WithProcess(p => p with { LeaderStatus = 0 }),
        ["main thread ended by a signal"] = Good.WithProcess(p => p with { LeaderStatus = 9, Threads = [p.Threads[1]] }),
        ["protection key 0 allocated"] = Good.WithProcess(p => p with { ProtectionKeys = 1 }),
        ["protection key 16 allocated"] = Good.WithProcess(p => p with { ProtectionKeys = 1 << 16 }),
        ["protection keys negative"] = Good.WithProcess(p => p with { ProtectionKeys = -2 }),
        ["mapping with protection key 16"] = Good.WithMapping(0, m => m with { Key = 16 }),
        ["mapping with protection key -1"] = Good.WithMapping(0, m => m with { Key = -1 }),
        ["vdso with a protection key"] = Good.WithMapping(2, m => m with { Key = 1 }),
        ["huge pages disabled by 99"] = Good.WithProcess(p => p with { TransparentHugePagesDisabled = 99 }),
        ["autogroup nicer than possible"] = Good.WithProcess(p => p with { AutogroupNice = -21 }),
        ["filter that does not exist"] = Good.WithThread(t => t with { Seccomp = new SeccompRecord(SeccompRecord.Filter, [0]) }),
        ["filters without their mode"] = (Good with { Tree = Good.Tree with { SeccompFilters = [new SeccompFilterRecord(0, new byte[8])] } }).WithThread(t => t with { Seccomp = new SeccompRecord(SeccompRecord.Strict, [0]) }),
        ["seccomp mode 3"] = Good.WithThread(t => t with { Seccomp = new SeccompRecord(3, []) }),
        ["filter of half an instruction"] = Good with { Tree = Good.Tree with { SeccompFilters = [new SeccompFilterRecord(0, new byte[12])] } },
        ["filter without an instruction"] = Good with { Tree = Good.Tree with { SeccompFilters = [new SeccompFilterRecord(0, [])] } },
        ["filter too long"] = Good with { Tree = Good.Tree with { SeccompFilters = [new SeccompFilterRecord(0, new byte[4097 * 8])] } },
        ["filter with a listener"] = Good with { Tree = Good.Tree with { SeccompFilters = [new SeccompFilterRecord(8, new byte[8])] } },
        ["machine-check policy 3"] = Good.WithThread(t => t with { Settings = t.Settings with { MachineCheckKill = 3 } }),
        ["two kinds of speculation"] = Good.WithThread(t => t with { Settings = t.Settings with { Speculation = [0, 0] } }),
        ["memory policy of a few nodes"] = Good.WithThread(t => t with { Settings = t.Settings with { MemoryPolicy = new MemoryPolicyRecord(2, new byte[8]) } }),
        ["directories of the first thread's own"] = Good.WithProcess(p => p with { Threads = [p.Threads[0] with { OwnPlaces = new PlacesRecord(new PlaceRecord("/", false), new PlaceRecord("/", false), 0) }, p.Threads[1]] }),

        ["a table of the first thread's own"] = Good.WithProcess(p => p with { Threads = [p.Threads[0] with { OwnTable = p.DescriptorTable }, p.Threads[1]] }),
        ["a thread's table that is a process's"] = Good.WithProcess(p => p with { Threads = [p.Threads[0], p.Threads[1] with { OwnTable = p.DescriptorTable }] }),
        ["a thread's table that does not exist"] = Good.WithProcess(p => p with { Threads = [p.Threads[0], p.Threads[1] with { OwnTable = 77 }] }),
        ["a thread in the directories of none"] = Good.WithProcess(p => p with { Threads = [p.Threads[0], p.Threads[1] with { SharesPlacesWith = 77 }] }),
        ["a thread in its own and another's directories"] = Good.WithProcess(p => p with { Threads = [p.Threads[0], p.Threads[1] with { SharesPlacesWith = p.Threads[1].Tid, OwnPlaces = new PlacesRecord(new PlaceRecord("/", false), new PlaceRecord("/", false), 0) }] }),
        ["a 32-bit program with a mapping far up"] = Good.WithProcess(p => p with { ThirtyTwoBit = true }),
        ["a 32-bit program that shares the memory of one of 64 bits"] = Good.WithProcess(p => p with { SharesMemoryWith = 100, Mappings = [], ThirtyTwoBit = true }),
        ["a 32-bit program that shares the descriptors of one of 64 bits"] = Good.WithProcess(p => p with { DescriptorTable = 1, Mappings = p.Mappings[..2], ThirtyTwoBit = true }) with { Tree = Good.Tree with { Processes = Good.WithProcess(p => p with { DescriptorTable = 1, Mappings = p.Mappings[..2], ThirtyTwoBit = true }).Tree.Processes, DescriptorTables = Good.Tree.DescriptorTables[..1] } },
        ["a 32-bit program with a waiting SIGTRAP"] = Good.WithProcess(p => p with { ThirtyTwoBit = true, Mappings = p.Mappings[..2], SharedPendingSignals = [[5, .. new byte[127]]] }),
        ["a segment of the kernel's"] = Good.WithThread(t => t with { Segments = [new ThreadAreaRecord(3, 0, 0, 0)] }),
        ["three futex slots"] = Good.WithProcess(p => p with { FutexHashSlots = 3 }),

        ["thread id 0"] = Good.WithThread(t => t with { Tid = 0 }),
        ["thread id twice"] = Good.WithThread(t => t with { Tid = 101 }),
        ["thread id of another process"] = Good.WithThread(t => t with { Tid = 1100 }),
        ["a register too few"] = Good.WithThread(t => t with { Registers = new RegistersRecord(new ulong[26]) }),
        ["a register too many"] = Good.WithThread(t => t with { Registers = new RegistersRecord(new ulong[28]) }),
        ["xsave area too short"] = Good.WithThread(t => t with { ExtendedState = new byte[575] }),
        ["xsave area too long"] = Good.WithThread(t => t with { ExtendedState = new byte[65537] }),
        ["signal too long"] = Good.WithThread(t => t with { PendingSignals = [new byte[129]] }),
        ["no affinity"] = Good.WithThread(t => t with { Affinity = [] }),
        ["affinity too long"] = Good.WithThread(t => t with { Affinity = new byte[1025] }),
        ["thread name too long"] = Good.WithThread(t => t with { Comm = new string('x', 65) }),
        ["three uids"] = Good.WithThread(t => t with { Credentials = t.Credentials with { Uids = [0, 0, 0] } }),
        ["five gids"] = Good.WithThread(t => t with { Credentials = t.Credentials with { Gids = [0, 0, 0, 0, 0] } }),
        ["too many groups"] = Good.WithThread(t => t with { Credentials = t.Credentials with { Groups = new uint[65537] } }),

        ["mapping at 0"] = Good.WithMapping(0, m => m with { Start = 0 }),
        ["mapping not of pages"] = Good.WithMapping(0, m => m with { Start = 0x400001 }),
        ["mapping ends within a page"] = Good.WithMapping(0, m => m with { End = 0x401fff }),
        ["mapping with an offset within a page"] = Good.WithMapping(0, m => m with { Offset = 1 }),
        ["mapping empty"] = Good.WithMapping(0, m => m with { End = m.Start }),
        ["mapping backwards"] = Good.WithMapping(0, m => m with { End = 0x3ff000 }),
        ["mapping into the next"] = Good.WithMapping(0, m => m with { End = 0x501000 }),
        ["mapping in the kernel's half"] = Good.WithMapping(2, m => m with { End = 0xffff800000000000 }),
        ["mapping to the end of everything"] = Good.WithMapping(2, m => m with { End = ulong.MaxValue & ~4095ul }),
        ["mapping of no object"] = Good.WithMapping(0, m => m with { Object = 9 }),
        ["mapping of no kind"] = Good.WithMapping(0, m => m with { Kind = (MappingKind)7 }),
        ["protection 8"] = Good.WithMapping(0, m => m with { Protection = 8 }),
        ["protection negative"] = Good.WithMapping(0, m => m with { Protection = -1 }),
        ["mapping's name too long"] = Good.WithMapping(1, m => m with { Name = new string('x', 256) }),
        ["policy before its mapping"] = Good.WithMapping(1, m => m with { Policies = [new PolicyRun(0x4ff000, 0x501000, Policy(2))] }),
        ["policies that overlap"] = Good.WithMapping(1, m => m with { Policies = [new PolicyRun(0x500000, 0x502000, Policy(2)), new PolicyRun(0x501000, 0x503000, Policy(3))] }),
        ["policy within a page"] = Good.WithMapping(1, m => m with { Policies = [new PolicyRun(0x500000, 0x500800, Policy(2))] }),
        ["policy with too few nodes"] = Good.WithMapping(1, m => m with { Policies = [new PolicyRun(0x500000, 0x501000, new MemoryPolicyRecord(2, new byte[8]))] }),
        ["policy of no mode"] = Good.WithMapping(1, m => m with { Policies = [new PolicyRun(0x500000, 0x501000, Policy(1 << 16))] }),
        ["huge pages of an odd size"] = Good.WithObject(0, o => o with { HugePage = 3 << 20 }),
        ["huge pages that are small"] = Good.WithObject(0, o => o with { HugePage = 4096 }),
        ["huge pages that do not fit the file"] = Good.WithObject(0, o => o with { HugePage = 2 << 20, Size = 4096 }),
        ["huge pages that do not fit the mapping"] = Good.WithObject(0, o => o with { HugePage = 1 << 30, Size = 1 << 30 }),
        ["watched memory of nobody"] = Good with { Descriptions = [.. Good.Descriptions, Watching(9999)] },
        ["watched memory that is not mapped"] = Good with { Descriptions = [.. Good.Descriptions, Watching(101, new WatchedRange(0x10000, 0x20000, 1, 3, [], []))] },
        ["guard before its mapping"] = Good.WithMapping(1, m => m with { Guards = [new GuardRun(0x4ff000, 0x501000)] }),
        ["guard behind its mapping"] = Good.WithMapping(1, m => m with { Guards = [new GuardRun(0x503000, 0x505000)] }),
        ["guard backwards"] = Good.WithMapping(1, m => m with { Guards = [new GuardRun(0x502000, 0x501000)] }),
        ["pages of a shared mapping"] = Good.WithMapping(1, m => m with { Shared = true }),
        ["pages of another mapping"] = Good.WithMapping(0, m => m with { Pages = new SavedPages(0, 2, 0x2000) }),
        ["pages outside of the index"] = Good.WithMapping(1, m => m with { Pages = new SavedPages(0, 4, 0x2000) }),
        ["pages that are not as many as it says"] = Good.WithMapping(1, m => m with { Pages = new SavedPages(0, 2, ulong.MaxValue) }),
        ["pages out of order"] = Good with { Index = [Good.Index[1], Good.Index[0], Good.Index[2]] },
        ["pages twice"] = Good with { Index = [Good.Index[0], Good.Index[0], Good.Index[2]] },
        ["pages behind the mapping"] = Good with { Index = [Good.Index[0], new SavedRun(0x503000, 0x2000, 0), Good.Index[2]] },

        ["descriptor table twice"] = Good.WithTable(t => t with { Id = 2 }),
        ["descriptor table of nobody"] = Good with { Tree = Good.Tree with { DescriptorTables = [.. Good.Tree.DescriptorTables, new DescriptorTable(3, [])] } },
        ["descriptor negative"] = Good.WithTable(t => t with { Entries = [new DescriptorEntry(-1, 1, false)], Locks = [] }),
        ["descriptor too large"] = Good.WithTable(t => t with { Entries = [new DescriptorEntry(1 << 24, 1, false)], Locks = [] }),
        ["descriptor twice"] = Good.WithTable(t => t with { Entries = [t.Entries[0], t.Entries[0]], Locks = [] }),
        ["descriptor of no description"] = Good.WithTable(t => t with { Entries = [new DescriptorEntry(0, 9, false)], Locks = [] }),
        ["lock of no descriptor"] = Good.WithTable(t => t with { Locks = [new Stasis.State.Descriptors.PosixLock(3, true, 0, -1)] }),
        ["lock from before the file"] = Good.WithTable(t => t with { Locks = [new Stasis.State.Descriptors.PosixLock(5, true, -1, -1)] }),
        ["description twice"] = Good with { Descriptions = [.. Good.Descriptions, new EventFdRecord { Id = 1 }] },

        ["object twice"] = Good.WithObject(1, o => o with { Id = 1 }),
        ["object of no kind"] = Good.WithObject(0, o => o with { Kind = (ObjectKind)9 }),
        ["object's path relative"] = Good.WithObject(0, o => o with { Path = "bin/sample" }),
        ["object's path empty"] = Good.WithObject(0, o => o with { Path = "" }),
        ["object's path with a zero byte"] = Good.WithObject(0, o => o with { Path = "/bin/a\0b" }),
        ["object's path too long"] = Good.WithObject(0, o => o with { Path = new string('/', 4096) }),
        ["object's size negative"] = Good.WithObject(0, o => o with { Size = -1 }),
        ["object's pages behind its end"] = Good.WithObject(1, o => o with { Size = 4096 }),
        ["object's pages outside of the index"] = Good.WithObject(1, o => o with { Pages = new SavedPages(3, 1, 0) }),
    };

    public static TheoryData<string> Names => [.. Broken.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_broken_image_is_refused(string name) => Assert.Throws<BadImage>(() => Broken[name].Load());

    [Fact]
    public void A_whole_image_is_read_as_it_was_written()
    {
        LoadedImage image = Good.Load();
        Assert.Equal((3, 2, 4), (image.Tree.Processes.Length, image.Living.Count(), image.ThreadCount));
        Assert.Equal(3 * 0x2000ul, image.MemoryBytes);
        Assert.Equal(7u, Assert.IsType<EventFdRecord>(image.Descriptions[1]).Value);
        Assert.Equal(Good.Objects, image.Objects.Values);
        Assert.Equal(Good.Tree.Processes[0].Limits, image.Root.Limits);
    }

    [Fact]
    public void More_than_one_top_is_for_a_namespace_of_their_own() =>
        Assert.Equal(2, (Good.WithProcess(p => p with { Parent = 0 }) is var image ? image with { Tree = image.Tree with { OwnPidNamespace = true } } : image).Load().Living.Count());

    /// <summary>A null, an object, a list or a text in the place of every value of every record: read, or refused as a bad image, and nothing else.</summary>
    [Theory]
    [InlineData("tree.json", "null")]
    [InlineData("tree.json", "{}")]
    [InlineData("tree.json", "[]")]
    [InlineData("tree.json", "[null]")]
    [InlineData("tree.json", "-9223372036854775808")]
    [InlineData("tree.json", "18446744073709551615")]
    [InlineData("objects.json", "null")]
    [InlineData("objects.json", "[null]")]
    [InlineData("objects.json", "18446744073709551615")]
    [InlineData("descriptors.json", "null")]
    [InlineData("descriptors.json", "[null]")]
    [InlineData("descriptors.json", "{\"kind\":\"nonsense\"}")]
    public void Any_value_in_any_place_is_read_or_refused(string file, string value)
    {
        List<string> places = [];
        Good.Load(file, root => Collect(root, "", places));
        Assert.NotEmpty(places);
        // The second process and the list ends suffice: the first has the same fields.
        foreach (string place in places.Where(place => !place.StartsWith("/processes/0", StringComparison.Ordinal)))
        {
            try
            {
                LoadedImage image = Good.Load(file, root => Replace(root, place, value));
                _ = image.MemoryBytes;
                if (value is "null" or "[null]") Assert.False(HasMissing(image), $"{file}{place}: a null came through");
            }
            catch (BadImage) { }
            catch (Exception error) when (error is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"{file}{place} = {value}: {error.GetType().Name}: {error.Message}");
            }
        }
    }

    // What a restart follows without asking.
    private static bool HasMissing(LoadedImage image) => image.Living.Any(process => process.Comm is null || process.WorkingDirectory!.Path is null || process.Root!.Path is null
        || process.Mappings.Any(mapping => mapping.Flags is null)
        || process.Threads.Any(thread => thread.AlternateStack is null || thread.Rseq is null || thread.Scheduling is null))
        || image.Objects.Values.Any(file => file.Stored is null || file.ContentHash is null);

    private static void Collect(JsonNode? node, string path, List<string> places)
    {
        if (path.Length > 0) places.Add(path);
        if (node is JsonObject fields) foreach ((string name, JsonNode? child) in fields) Collect(child, $"{path}/{name}", places);
        if (node is JsonArray items) for (int i = 0; i < Math.Min(items.Count, 3); i++) Collect(items[i], $"{path}/{i}", places);
    }

    private static void Replace(JsonNode root, string path, string value)
    {
        string[] steps = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        JsonNode node = root;
        foreach (string step in steps[..^1]) node = (node is JsonArray array ? array[int.Parse(step)] : node[step])!;
        if (node is JsonArray last) last[int.Parse(steps[^1])] = JsonNode.Parse(value);
        else node[steps[^1]] = JsonNode.Parse(value);
    }
}
