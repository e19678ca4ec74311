using System.Globalization;
using Stasis.Linux;
using Stasis.State.Threads;

namespace Stasis.State.Memory;

/// <summary>Whether this host has the nodes that a memory policy names.</summary>
public static class NumaNodes
{
    // include/uapi/linux/mempolicy.h
    private const int MPOL_F_STATIC_NODES = 1 << 15, MPOL_F_RELATIVE_NODES = 1 << 14, ModeFlags = 7 << 13;

    private static readonly string[] s_modes = ["the default", "preferred", "bind", "interleave", "local", "preferred (many)", "weighted interleave"];

    public static string Words(MemoryPolicyRecord policy)
    {
        int mode = policy.Mode & ~ModeFlags;
        string nodes = string.Join(',', Nodes(policy));
        return $"{(mode < s_modes.Length ? s_modes[mode] : $"policy {mode}")}{(nodes.Length > 0 ? $" node {nodes}" : "")}";
    }

    private static IEnumerable<int> Nodes(MemoryPolicyRecord policy) =>
        Enumerable.Range(0, policy.Nodes.Length * 8).Where(node => (policy.Nodes[node / 8] >> node % 8 & 1) != 0);

    /// <summary>The address of a line of numa_maps (man 5 proc_pid_numa_maps) whose policy is not the default.</summary>
    public static ulong? WithPolicy(ReadOnlySpan<byte> line)
    {
        int space = line.IndexOf((byte)' ');
        if (space < 0 || line[(space + 1)..].StartsWith("default"u8)) return null;
        return System.Buffers.Text.Utf8Parser.TryParse(line[..space], out ulong start, out int digits, 'x') && digits == space ? start : null;
    }

    /// <summary>The nodes with memory here (/sys/devices/system/node/has_memory); null when this kernel does not tell.</summary>
    public static HashSet<int>? Here()
    {
        (SysResult result, string text) = Files.ReadText("/sys/devices/system/node/has_memory");
        return result.Failed ? null : Parse(text);
    }

    /// <summary>A list as in "0-3,8".</summary>
    public static HashSet<int> Parse(string text)
    {
        const int Most = ThreadSettingsRecord.MaxNodes;
        HashSet<int> nodes = [];
        foreach (string part in text.Trim().Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = part.Split('-');
            if (!int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first) || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last)) continue;
            for (int node = first; node <= last && node < Most; node++) nodes.Add(node);
        }
        return nodes;
    }

    /// <summary>
    /// The nodes that a policy can't do without and that are not among those of this host. Relative nodes are any host's; of static ones one must be
    /// there, as the policy may name those to come (Documentation/admin-guide/mm/numa_memory_policy.rst).
    /// </summary>
    public static int[] Missing(MemoryPolicyRecord policy, IReadOnlySet<int> here)
    {
        if ((policy.Mode & MPOL_F_RELATIVE_NODES) != 0) return [];
        int[] missing = [.. Nodes(policy).Where(node => !here.Contains(node))];
        return (policy.Mode & MPOL_F_STATIC_NODES) != 0 && missing.Length < Nodes(policy).Count() ? [] : missing;
    }
}
