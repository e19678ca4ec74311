using System.Globalization;
using Stasis.Cli.Text;
using Stasis.State;

namespace Stasis.Cli.Show;

/// <summary>How much of an image is shown.</summary>
internal enum ImagePart { All, Brief, Losses }

/// <summary>An image for people: a head, the tree, then each process with its threads, memory and descriptors.</summary>
internal static class ImageText
{
    private const int LongestName = 40;

    public static void Write(TextWriter output, ImageView image, ImagePart part)
    {
        if (part == ImagePart.Losses)
        {
            WriteLosses(output, image.Losses);
            output.WriteLine("No restart brings back:");
            foreach (string words in image.NeverCarried) output.WriteLine($"  {words}");
            return;
        }
        WriteHead(output, image);
        if (image.Losses.Count > 0) WriteLosses(output, image.Losses);
        output.WriteLine();
        WriteTree(output, image.Processes);
        if (part == ImagePart.Brief) return;
        foreach ((ProcessView process, _) in InOrder(image.Processes)) WriteProcess(output, process);
        WriteSharedMemory(output, image.SharedMemory);
        WriteFiles(output, image.Files);
    }

    private static void WriteHead(TextWriter output, ImageView image)
    {
        string within = image.OwnPidNamespace ? " (in a pid namespace of its own)" : "";
        output.WriteLine($"{Printable.Of(image.Image)}: process {image.RootPid}{within}, taken {Taken(image.Taken)} on Linux {Printable.Of(image.Kernel)} by {Printable.Of(image.Tool)}, image format {image.FormatVersion}.");
        int threads = image.Processes.Sum(process => process.Threads.Count);
        int descriptors = image.Processes.Sum(process => process.Descriptors.Count + process.Threads.Sum(thread => thread.Descriptors?.Count ?? 0));
        output.WriteLine($"{Quantity.Processes(image.Processes.Count)}, {Quantity.Threads(threads)}, {Quantity.Descriptors(descriptors)}, {Quantity.Bytes(image.MemoryBytes)} of memory; {Quantity.Bytes(image.ImageBytes)} on disk.");
    }

    private static void WriteLosses(TextWriter output, IReadOnlyList<Loss> losses)
    {
        if (losses.Count == 0) output.WriteLine("All that was found comes back as it was.");
        foreach (Loss loss in losses) output.WriteLine($"Not as it was: {Words(loss)}.");
    }

    /// <summary>One loss in a sentence, without its full stop.</summary>
    public static string Words(Loss loss) => $"{Printable.Of(loss.Command)} (pid {loss.Pid}), {Printable.Of(loss.Object)}: {Printable.Of(loss.What)}";

    private static string Taken(string created) => DateTimeOffset.TryParse(created, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset taken)
        ? taken.ToString("yyyy-MM-dd HH:mm:ss zzz", CultureInfo.InvariantCulture)
        : Printable.Of(created);

    private static IReadOnlyList<(ProcessView Item, int Depth)> InOrder(IReadOnlyList<ProcessView> processes) =>
        ProcessTree.InOrder(processes, process => process.Pid, process => process.ParentPid);

    private static void WriteTree(TextWriter output, IReadOnlyList<ProcessView> processes)
    {
        var table = new TextTable("PROCESS", ">PID", ">GROUP", ">SESSION", "STATE", ">THREADS", ">DESCRIPTORS", ">MAPPINGS", ">STORED");
        foreach ((ProcessView process, int depth) in InOrder(processes))
        {
            table.Add(ProcessTree.Indented(Printable.Of(process.Command, LongestName), depth), $"{process.Pid}", $"{process.Group}", $"{process.Session}", Printable.Of(process.State),
                $"{process.Threads.Count}", $"{process.Descriptors.Count}", $"{process.Mappings.Count}", Quantity.Bytes(process.StoredBytes));
        }
        table.Write(output);
    }

    private static void WriteProcess(TextWriter output, ProcessView process)
    {
        output.WriteLine();
        output.WriteLine($"Process {process.Pid}, {Printable.Of(process.Command)}");
        if (process.Executable.Length > 0) output.WriteLine($"  program    {Printable.Of(process.Executable)}");
        if (process.WorkingDirectory.Length > 0) output.WriteLine($"  directory  {Printable.Of(process.WorkingDirectory)}");
        if (process.Uid is not null) output.WriteLine($"  user       {process.Uid}, group {process.Gid}");
        WriteThreads(output, process.Threads);
        WriteMappings(output, process);
        WriteDescriptors(output, process.Descriptors);
        foreach (ThreadView thread in process.Threads)
        {
            if (thread.Descriptors is null) continue;
            output.WriteLine();
            output.WriteLine($"  Thread {thread.Tid} has descriptors of its own:");
            WriteDescriptors(output, thread.Descriptors);
        }
    }

    private static void WriteThreads(TextWriter output, IReadOnlyList<ThreadView> threads)
    {
        if (threads.Count == 0) return;
        output.WriteLine();
        var table = new TextTable(">THREAD", "NAME", "DOING");
        foreach (ThreadView thread in threads) table.Add($"{thread.Tid}", Printable.Of(thread.Name), thread.Call is null ? "running" : $"in {Printable.Of(thread.Call)}");
        table.Write(output, "  ");
    }

    private static void WriteMappings(TextWriter output, ProcessView process)
    {
        if (process.Mappings.Count == 0) return;
        output.WriteLine();
        var table = new TextTable(">FROM", ">TO", "ACCESS", ">SIZE", ">STORED", "WHAT");
        foreach (MappingView mapping in process.Mappings)
        {
            string stored = mapping.StoredBytes == 0 ? "-" : Quantity.Bytes(mapping.StoredBytes);
            table.Add(mapping.Start, mapping.End, mapping.Access, Quantity.Bytes(mapping.Bytes), stored, Printable.Of(mapping.What));
        }
        table.Write(output, "  ");
    }

    private static void WriteDescriptors(TextWriter output, IReadOnlyList<DescriptorView> descriptors)
    {
        if (descriptors.Count == 0) return;
        output.WriteLine();
        var table = new TextTable(">DESCRIPTOR", "KIND", "ACCESS", "WHAT", ">OPEN FILE");
        foreach (DescriptorView descriptor in descriptors)
        {
            table.Add($"{descriptor.Number}", Printable.Of(descriptor.Kind), descriptor.Access + (descriptor.CloseOnExec ? ", cloexec" : ""),
                Printable.Of(descriptor.What), $"#{descriptor.Description}");
        }
        table.Write(output, "  ");
    }

    private static void WriteSharedMemory(TextWriter output, IReadOnlyList<SharedMemoryView> memories)
    {
        if (memories.Count == 0) return;
        output.WriteLine();
        var table = new TextTable("SAVED ONCE FOR ALL", ">SIZE", ">STORED");
        foreach (SharedMemoryView memory in memories) table.Add(Printable.Of(memory.What), Quantity.Bytes(memory.Bytes), Quantity.Bytes(memory.StoredBytes));
        table.Write(output);
    }

    private static void WriteFiles(TextWriter output, IReadOnlyList<StoredFileView> files)
    {
        if (files.Count == 0) return;
        output.WriteLine();
        var table = new TextTable("FILE OF THE IMAGE", ">SIZE");
        foreach (StoredFileView file in files) table.Add(Printable.Of(file.Name), Quantity.Bytes(file.Bytes));
        table.Write(output);
    }
}
