using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Processes;
using Stasis.State.SystemV;
using Stasis.State.Threads;

namespace Stasis.State.Memory;

/// <summary>
/// The NUMA policies of single mappings (man 2 mbind). Only the process itself is told all of one (man 2 get_mempolicy, MPOL_F_ADDR);
/// /proc/PID/numa_maps would also walk through all its pages. Of shared memory the policy is the inode's, by place
/// (Documentation/admin-guide/mm/numa_memory_policy.rst): a mapping is therefore asked at every place where some process of the tree has a
/// mapping of the same inode begin or end, as mbind cuts the mapping that it is called on.
/// The home node of a policy (man 2 set_mempolicy_home_node) is told by no call.
/// </summary>
public sealed class MappingPolicies
{
    private const int MPOL_F_ADDR = 2, QuestionsPerTape = 300;
    private readonly Dictionary<(uint, uint, ulong), SortedSet<ulong>> _cuts = [];
    private readonly Dictionary<(int Pid, ulong Start), List<PolicyRun>> _policies = [];

    public MappingPolicies(TreeSurvey tree)
    {
        foreach (ProcMapping mapping in tree.Processes.SelectMany(process => process.Mappings).Where(IsShared))
        {
            if (!_cuts.TryGetValue(Identity(mapping), out SortedSet<ulong>? cuts)) _cuts[Identity(mapping)] = cuts = [];
            cuts.Add(mapping.Offset);
            cuts.Add(mapping.Offset + mapping.Length);
        }
    }

    private static bool IsShared(ProcMapping mapping) => mapping.Shared && mapping.PageSize == PageScan.PageSize;
    private static (uint, uint, ulong) Identity(ProcMapping mapping) => (mapping.DeviceMajor, mapping.DeviceMinor, mapping.Inode);

    private void AddPieces(ProcMapping mapping, List<Place> places)
    {
        ulong start = mapping.Start;
        if (IsShared(mapping))
        {
            foreach (ulong cut in _cuts[Identity(mapping)].GetViewBetween(mapping.Offset + 1, mapping.Offset + mapping.Length))
            {
                ulong end = mapping.Start + (cut - mapping.Offset);
                places.Add(new Place(mapping, start, end));
                start = end;
            }
        }
        if (start < mapping.End) places.Add(new Place(mapping, start, mapping.End));
    }

    private readonly record struct Place(ProcMapping Mapping, ulong Start, ulong End);

    /// <summary>Asks one process, on a tape of its own; all its mappings were in the survey that this was made with.</summary>
    public void Ask(TapeMachine machine, HeldTask task, ProcessSurvey process)
    {
        List<Place> places = [], special = [];
        HashSet<ulong>? named = Named(process);
        foreach (ProcMapping mapping in process.Mappings)
            if (!KernelMappings.Is(mapping) && (named is null || IsShared(mapping) || named.Contains(mapping.Start))) AddPieces(mapping, places);
        for (int first = 0; first < places.Count; first += QuestionsPerTape)
            if (!AskModes(machine, task, places.GetRange(first, Math.Min(QuestionsPerTape, places.Count - first)), special)) return;
        foreach (Place[] some in special.Chunk(QuestionsPerTape / 4)) AskWhole(machine, task, process.Pid, some);
    }

    /// <summary>
    /// Where there are very many mappings, each tape being two switches to the process, numa_maps tells which ones are worth a question: the
    /// start of each with a policy, of its own or its task's. Where there is very much memory it takes longer than all the tapes. null: ask about all.
    /// </summary>
    private static HashSet<ulong>? Named(ProcessSurvey process)
    {
        const int Many = 1000;
        const long Much = 4L << 20; // KiB
        if (process.Mappings.Count < Many || process.FaceStatus.Number("VmRSS") > Much) return null;
        HashSet<ulong> starts = [];
        SysResult result = Files.ReadLines($"/proc/{process.Face}/numa_maps", line => { if (NumaNodes.WithPolicy(line) is { } start) starts.Add(start); });
        return result.Failed ? null : starts;
    }

    // False on a kernel without NUMA.
    private static bool AskModes(TapeMachine machine, HeldTask task, List<Place> places, List<Place> special)
    {
        var tape = new Tape();
        TapeData modes = tape.Reserve(places.Count * sizeof(int));
        var calls = new TapeCall[places.Count];
        for (int i = 0; i < calls.Length; i++) calls[i] = tape.Try("get_mempolicy", Syscall.get_mempolicy, Tape.At(modes, i * sizeof(int)), 0, 0, places[i].Start, MPOL_F_ADDR);
        machine.Run(task, tape);
        for (int i = 0; i < calls.Length; i++) if (!calls[i].Result.Failed && modes.Read<int>(i * sizeof(int)) != 0) special.Add(places[i]);
        return calls[0].Result.Errno != Errno.ENOSYS;
    }

    private void AskWhole(TapeMachine machine, HeldTask task, int pid, Place[] places)
    {
        var tape = new Tape();
        List<(TapeData Mode, TapeData Nodes)> asked = [];
        foreach (Place place in places)
        {
            (TapeData mode, TapeData nodes) = (tape.Reserve(sizeof(int)), tape.Reserve(ThreadSettingsRecord.MaxNodes / 8));
            tape.Call("get_mempolicy", Syscall.get_mempolicy, mode, nodes, ThreadSettingsRecord.MaxNodes, place.Start, MPOL_F_ADDR);
            asked.Add((mode, nodes));
        }
        machine.Run(task, tape);
        for (int i = 0; i < places.Length; i++) Add((pid, places[i].Mapping.Start), new PolicyRun(places[i].Start, places[i].End, new MemoryPolicyRecord(asked[i].Mode.Read<int>(), asked[i].Nodes.Bytes)));
    }

    private void Add((int, ulong) key, PolicyRun run)
    {
        if (!_policies.TryGetValue(key, out List<PolicyRun>? runs)) _policies[key] = runs = [];
        if (runs.Count > 0 && runs[^1].End == run.Start && runs[^1].Policy.SameAs(run.Policy)) runs[^1] = runs[^1] with { End = run.End };
        else runs.Add(run);
    }

    /// <summary>After <see cref="Ask"/>: the policies of one mapping; null for none.</summary>
    public PolicyRun[]? Of(int pid, ProcMapping mapping)
    {
        if (!_policies.TryGetValue((pid, mapping.Start), out List<PolicyRun>? runs)) return null;
        // A piece of a segment is counted by the kernel (nattch) and must not be cut: whoever cut it has the policies of the parts.
        return SegmentAttach.Is(mapping) && (runs.Count > 1 || runs[0].Start != mapping.Start || runs[0].End != mapping.End) ? null : [.. runs];
    }

    /// <summary>Sets them for a mapping that is there, and empty.</summary>
    public static void AddCalls(TapeBatch batch, MappingRecord mapping)
    {
        foreach (PolicyRun run in mapping.Policies ?? [])
        {
            Tape tape = batch.Tape;
            tape.Call($"mbind of {run.Start:x}-{run.End:x} to {NumaNodes.Words(run.Policy)}", Syscall.mbind, run.Start, run.End - run.Start, run.Policy.Mode, tape.Data(run.Policy.Nodes), ThreadSettingsRecord.MaxNodes, 0);
        }
    }
}
