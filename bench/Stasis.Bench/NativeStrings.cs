using System.Runtime.InteropServices;

namespace Stasis.Bench;

/// <summary>Strings for libc, freed together.</summary>
internal sealed unsafe class NativeStrings : IDisposable
{
    private readonly List<nint> allocated = [];

    public byte* Add(string text)
    {
        var copy = Marshal.StringToCoTaskMemUTF8(text);
        allocated.Add(copy);
        return (byte*)copy;
    }

    /// <summary>An array of pointers that ends with a null pointer, as argv and envp.</summary>
    public byte** AddArray(IReadOnlyList<string> texts)
    {
        var array = (byte**)Marshal.AllocCoTaskMem((texts.Count + 1) * sizeof(byte*));
        allocated.Add((nint)array);
        for (var i = 0; i < texts.Count; i++) array[i] = Add(texts[i]);
        array[texts.Count] = null;
        return array;
    }

    public void Dispose()
    {
        foreach (var pointer in allocated) Marshal.FreeCoTaskMem(pointer);
        allocated.Clear();
    }
}
