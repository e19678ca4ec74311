namespace Stasis.State;

/// <summary>
/// One thing that will not be after a restart as it was, because the user accepted that with an option, or because nobody could carry it and
/// most programs never miss it: whose it is, which object,
/// and what the program will find instead. The image's faithfulness report (losses.json) has all of them.
/// </summary>
public sealed record Loss(int Pid, string Command, string Object, string What);

/// <summary>losses.json.</summary>
public sealed record LossesRecord(Loss[] Losses);
