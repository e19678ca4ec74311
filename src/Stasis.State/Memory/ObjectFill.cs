using Stasis.Image;
using Stasis.Linux;

namespace Stasis.State.Memory;

/// <summary>Brings saved pages to where they belong: into a file of ours, or the memory that a shared object is mapped at.</summary>
public static class ObjectFill
{
    public delegate void Put(ulong offset, ReadOnlySpan<byte> bytes);

    /// <param name="length">Of the object, in bytes: its last page may be a part of one.</param>
    public static void Run(PageReader pages, SavedPages content, ulong length, Put put)
    {
        using var source = new DescriptorHandle(Files.Open(pages.Path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor("open of pages.bin"));
        byte[] buffer = new byte[256 * 1024];
        foreach (SavedRun run in pages.Of(content))
        {
            for (ulong done = 0; done < run.Length && run.Address + done < length;)
            {
                int wanted = (int)Math.Min((ulong)buffer.Length, Math.Min(run.Length - done, length - (run.Address + done)));
                long read = Files.ReadAt(source.Number, buffer.AsSpan(0, wanted), (long)(run.FileOffset + done)).OrThrow("read of pages.bin");
                if (read == 0) throw new BadImage("pages.bin was cut");
                put(run.Address + done, buffer.AsSpan(0, (int)read));
                done += (ulong)read;
            }
        }
    }
}
