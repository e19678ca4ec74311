using Stasis.Linux;
using Stasis.State.Descriptors;
using Stasis.State.Memory;

namespace Stasis.Engine.Restart;

/// <summary>Files that the tree writes to, put back as they were at the checkpoint (`--changed-files rewind`).</summary>
internal sealed partial class RestartJourney
{
    // What descriptors are about to be opened on; the content comes when nothing can fail any more.
    private void CreateMissingFiles()
    {
        if (request.ChangedFiles != ChangedFilesPolicy.Rewind) return;
        foreach (ObjectRecord file in _image.Objects.Values.Where(file => file is { Kind: ObjectKind.File, OpenForWriting: true, Volatile: false, Stored.Length: > 0 }))
        {
            SysResult made = Files.Open(file.Path, OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_CLOEXEC, file.Permissions & 0x1FF);
            if (made.Errno == Errno.EEXIST) continue;
            using var handle = new DescriptorHandle(made.OrThrowDescriptor($"creation of {file.Path}"));
            _undo.Add(() => Files.Unlink(file.Path));
            // Its owner may open it again by name. Without its owner it must not have its owner's rights (set-user-id, set-group-id).
            bool owned = !Kernel.Call(Syscall.fchown, handle.Number, (nint)file.Uid, (nint)file.Gid).Failed;
            Kernel.Call(Syscall.fchmod, handle.Number, owned ? file.Permissions : file.Permissions & 0x1FF).OrThrow($"fchmod of {file.Path}");
        }
    }

    /// <summary>Puts files that the tree writes to back as they were: their saved content, or, where they only grew, their length.</summary>
    private void RewindFiles()
    {
        if (request.ChangedFiles != ChangedFilesPolicy.Rewind) return;
        foreach (ObjectRecord file in _image.Objects.Values.Where(file => file is { Kind: ObjectKind.File, OpenForWriting: true, Volatile: false } && FileChange.Of(file).Any))
        {
            int descriptor = Files.Open(file.Path, OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {file.Path}");
            using var handle = new DescriptorHandle(descriptor);
            if (file.Stored.Length > 0)
            {
                Files.Truncate(descriptor, 0).OrThrow($"truncation of {file.Path}");
                _image.Reader.CopyTo($"content/{file.Stored}", descriptor);
            }
            else Files.Truncate(descriptor, file.Size).OrThrow($"truncation of {file.Path}");
        }
    }
}
