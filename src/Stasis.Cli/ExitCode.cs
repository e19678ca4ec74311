namespace Stasis.Cli;

/// <summary>
/// How stasis itself ends. Usage, bad data, unavailable and no permission carry the numbers of sysexits.h. A foreground restart
/// and <c>run</c> end with the program's own code instead, as a shell tells it. 10 is <see cref="State.Processes.Requester.RestartedStatus"/>.
/// </summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Usage = 64;
    public const int BadImage = 65;
    public const int Refused = 69;
    public const int Failed = 70;
    public const int NotPermitted = 77;

    /// <summary>For the help: the code and what it says.</summary>
    public static readonly IReadOnlyList<(string Code, string Meaning)> Meanings =
    [
        ("0", "done"),
        ("10", "`checkpoint` of the program that has started it: this is a life that a restart has begun"),
        ("64", "usage: the command line is not understood; nothing was touched"),
        ("65", "the image is broken, incomplete, of an unknown version, or not an image"),
        ("69", "refused: something can't be carried or rebuilt; every problem is listed and nothing was touched"),
        ("70", "failed on the way; the target is unharmed and nothing half-made is left"),
        ("77", "not permitted: rights are missing; the message says which"),
        ("other", "`run` and a foreground `restart`: how the program itself ended (128 + signal if one ended it)"),
    ];
}
