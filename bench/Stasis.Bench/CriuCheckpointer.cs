namespace Stasis.Bench;

/// <summary>
/// CRIU as the commands of its manual page: `criu dump --leave-running` and `criu restore --restore-detached`. It names the
/// freeze only in its statistics file, in a format of its own, so that figure is left out.
/// </summary>
internal sealed class CriuCheckpointer(string scratch) : IProgramCheckpointer
{
    public string Name => "criu";

    /// <summary>Null if criu can be used here, else why it can't.</summary>
    public string? WhyNot()
    {
        try
        {
            var said = Child.Run(["criu", "check"], scratch);
            if (said.Status == 0) return null;
            var version = Child.Run(["criu", "--version"], scratch).Output.Trim().Replace('\n', ' ');
            return $"criu ({version}) does not work on this kernel, `criu check` says: {Errors(said.Error.Split('\n'))}";
        }
        catch (BenchException)
        {
            return "criu is not installed";
        }
    }

    public CheckpointFigures Checkpoint(int pid, string image)
    {
        Directory.CreateDirectory(image);
        var said = Child.Run(["criu", "dump", "--tree", $"{pid}", "--images-dir", image, "--leave-running", "--log-file", "dump.log"], scratch);
        if (said.Status != 0) throw new BenchException($"criu dump ended with status {said.Status}: {Log(image, "dump.log")}");
        return new CheckpointFigures(said.Elapsed, null);
    }

    public TimeSpan Restart(string image)
    {
        var said = Child.Run(["criu", "restore", "--images-dir", image, "--restore-detached", "--log-file", "restore.log"], scratch);
        if (said.Status != 0) throw new BenchException($"criu restore ended with status {said.Status}: {Log(image, "restore.log")}");
        return said.Elapsed;
    }

    private static string Log(string image, string name)
    {
        var path = Path.Combine(image, name);
        return Errors(File.Exists(path) ? File.ReadAllLines(path) : []);
    }

    /// <summary>All errors: the first is the cause, but often the last one is the sentence that explains it.</summary>
    private static string Errors(string[] lines)
    {
        var errors = lines.Where(line => line.Contains("Error", StringComparison.Ordinal)).Select(line => line.Trim()).ToArray();
        return errors.Length > 0 ? string.Join("; ", errors) : lines.LastOrDefault(line => line.Length > 0) ?? "nothing";
    }
}
