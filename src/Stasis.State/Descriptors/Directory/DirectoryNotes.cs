using Stasis.Linux;

namespace Stasis.State.Descriptors.Directory;

/// <summary>Of what a directory's descriptor is told by a signal (fcntl F_NOTIFY), which the kernel shows nobody (fs/notify/dnotify/dnotify.c).</summary>
internal static class DirectoryNotes
{
    private const uint DN_ACCESS = 1, DN_MODIFY = 2, DN_CREATE = 4, DN_DELETE = 8, DN_RENAME = 0x10, DN_ATTRIB = 0x20, DN_MULTISHOT = 0x80000000;
    public const uint All = DN_ACCESS | DN_MODIFY | DN_CREATE | DN_DELETE | DN_RENAME | DN_ATTRIB | DN_MULTISHOT;
    private const int MaxMarks = 4096;

    // include/linux/fsnotify_backend.h; the way back from convert_arg
    private static readonly (uint Asked, uint Kept)[] s_events =
        [(DN_ACCESS, 0x1), (DN_MODIFY, 0x2), (DN_ATTRIB, 0x4), (DN_CREATE, 0x100), (DN_DELETE, 0x200), (DN_RENAME, 0x10000000), (DN_MULTISHOT, 0x20000000)];

    /// <summary>DN_* flags; 0 when it is told of nothing, or the descriptor is gone.</summary>
    public static uint Of(int pid, int number)
    {
        if (!KernelSight.Has("dnotify_mark", "dn") || !KernelSight.Has("inode", "i_fsnotify_marks")) return 0;
        if (!KernelSight.FilesOf(pid).TryGetValue(number, out KernelObject file) || file.Pointed("f_inode", "inode") is not { } inode || inode.Pointed("i_fsnotify_marks", "fsnotify_mark_connector") is not { } marks) return 0;
        uint asked = 0;
        int seen = 0;
        for (ulong at = marks["list.first"]; at != 0 && seen++ < MaxMarks;)
        {
            KernelObject mark = KernelObject.Around("fsnotify_mark", "obj_list", at);
            asked |= Notes(KernelObject.Around("dnotify_mark", "fsn_mark", mark.Address), file.Address);
            at = mark["obj_list.next"];
        }
        return asked;
    }

    // Marks are of several kinds, and only of this one points behind its mark to notes of open files: one of our file is no other.
    private static uint Notes(KernelObject mark, ulong file)
    {
        uint asked = 0;
        byte[] pointer = new byte[8];
        if (!KernelSight.Read(mark.At("dn"), pointer)) return 0;
        int seen = 0;
        for (ulong at = BitConverter.ToUInt64(pointer); at != 0 && seen++ < MaxMarks;)
        {
            var note = new KernelObject("dnotify_struct", at);
            byte[] whole = new byte[KernelSight.SizeOf("dnotify_struct")];
            if (!KernelSight.Read(at, whole)) return asked;
            if (note["dn_filp"] == file)
                foreach ((uint flag, uint kept) in s_events)
                    if (((uint)note["dn_mask"] & kept) != 0) asked |= flag;
            at = note["dn_next"];
        }
        return asked;
    }
}
