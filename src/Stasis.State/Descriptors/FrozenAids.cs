namespace Stasis.State.Descriptors;

/// <summary>What a kind keeps while the tree is frozen (a packet filter, say). Disposed of before the tree goes on, or after its end.</summary>
public interface IFrozenAid : IDisposable
{
    /// <summary>
    /// The image is on disk, and the tree will go on as it tells: kills these processes, in one go with what must be done at that moment
    /// even if we die in it.
    /// </summary>
    void Kill(IReadOnlyList<int> processes);
}

/// <summary>The aids of all kinds, each made when it is first asked for.</summary>
public sealed class FrozenAids : IDisposable
{
    private readonly Dictionary<Type, IFrozenAid> _aids = [];

    public T Get<T>(Func<T> make) where T : IFrozenAid
    {
        if (!_aids.TryGetValue(typeof(T), out IFrozenAid? aid)) _aids[typeof(T)] = aid = make();
        return (T)aid;
    }

    public void Kill(IReadOnlyList<int> processes)
    {
        foreach (IFrozenAid aid in _aids.Values) aid.Kill(processes);
    }

    public void Dispose()
    {
        foreach (IFrozenAid aid in _aids.Values) aid.Dispose();
        _aids.Clear();
    }
}
