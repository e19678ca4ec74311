using Stasis.State.Descriptors;

namespace Stasis.Engine.Restart;

/// <summary>Which open file descriptions can't be made before the tree is there: handles of its processes, and what is made of such.</summary>
internal static class LateDescriptions
{
    public static HashSet<int> Of(IReadOnlyDictionary<int, Description> all)
    {
        HashSet<int> late = [];
        Dictionary<int, List<int>> users = [];
        Queue<int> open = new();
        foreach (Description description in all.Values)
        {
            DescriptorKind kind = DescriptorKinds.Of(description);
            if (kind.NeedsTree(description) && late.Add(description.Id)) open.Enqueue(description.Id);
            foreach (int needed in kind.Needs(description))
            {
                if (!users.TryGetValue(needed, out List<int>? its)) users[needed] = its = [];
                its.Add(description.Id);
            }
        }
        while (open.TryDequeue(out int id))
            foreach (int user in users.GetValueOrDefault(id) ?? [])
                if (late.Add(user)) open.Enqueue(user);
        return late;
    }
}
