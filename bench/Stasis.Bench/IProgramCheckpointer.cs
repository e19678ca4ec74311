namespace Stasis.Bench;

/// <summary>A checkpointer as its user starts it: two commands and a directory between them.</summary>
internal interface IProgramCheckpointer
{
    string Name { get; }

    /// <summary>Takes an image and leaves the program running.</summary>
    CheckpointFigures Checkpoint(int pid, string image);

    /// <summary>Brings the program back and returns once it runs. Returns how long that took.</summary>
    TimeSpan Restart(string image);
}

/// <summary>What a checkpoint took. The freeze is null where the tool doesn't say it.</summary>
internal readonly record struct CheckpointFigures(TimeSpan Total, double? FreezeMilliseconds);
