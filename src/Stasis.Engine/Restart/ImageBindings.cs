using System.Globalization;
using Stasis.State;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.External;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.OuterStream;
using Stasis.State.Descriptors.TcpConnection;
using Stasis.State.Memory;
using Stasis.State.Processes;

namespace Stasis.Engine.Restart;

/// <summary>Puts bindings into the records of an image, before it is planned: from then on nobody needs to know of them.</summary>
internal sealed class ImageBindings(LoadedImage image, IReadOnlyList<Binding> bindings, ProblemList problems)
{
    /// <summary>A binding that fits nothing is a problem: the user meant something by it.</summary>
    public void Apply()
    {
        foreach (Binding binding in bindings)
        {
            bool used = binding switch
            {
                PathBinding path => MovePaths(path),
                TerminalBinding terminal => BindTerminal(terminal),
                DescriptorBinding descriptor => BindDescriptor(descriptor),
                AddressBinding address => MoveAddress(address),
                _ => false,
            };
            if (!used) problems.Add(0, "", $"--bind {Words(binding)}", "nothing in the image is that", "look with `stasis show`");
        }
    }

    private static string Words(Binding binding) => binding switch
    {
        PathBinding path => $"file:{path.Old}",
        TerminalBinding terminal => $"pty:{terminal.Old}",
        DescriptorBinding descriptor => $"fd:{descriptor.Process}/{descriptor.Number}",
        AddressBinding address => $"address:{address.Old}",
        _ => "",
    };

    private bool MovePaths(PathBinding binding)
    {
        bool used = false;
        string? Move(string path)
        {
            string? moved = binding.Move(path);
            used |= moved is not null;
            return moved;
        }
        foreach (ObjectRecord record in image.Objects.Values.Where(record => record.Kind is ObjectKind.File or ObjectKind.Deleted))
            if (Move(record.Path) is { } path) image.Replace(record with { Path = path, Bound = true });
        foreach (Description description in image.Descriptions.Values)
            if (description.At(Move) is { } moved) image.Replace(moved);
        foreach (ProcessRecord process in image.Living)
        {
            PlaceRecord root = process.Root!, directory = process.WorkingDirectory!;
            if ((Move(root.Path), Move(directory.Path)) is (var newRoot, var newDirectory) && (newRoot ?? newDirectory) is not null)
                image.Replace(process with { Root = root with { Path = newRoot ?? root.Path }, WorkingDirectory = directory with { Path = newDirectory ?? directory.Path } });
        }
        return used;
    }

    // Of a connection both ends may be in the image: then each is the other's peer, and moves there too.
    private bool MoveAddress(AddressBinding binding)
    {
        byte[]? Move(byte[] address) => InternetAddress.Move(address, binding.Old, binding.New);
        List<TcpConnectionRecord> connections = [.. image.Descriptions.Values.OfType<TcpConnectionRecord>()];
        List<UnacceptedClient> clients = [.. image.Descriptions.Values.OfType<InternetSocketRecord>().SelectMany(listener => listener.Clients)];
        UnacceptedClient AtAddress(UnacceptedClient client) => connections.Exists(client.Meets)
            ? client with { Address = Move(client.Address) ?? client.Address, Peer = Move(client.Peer) ?? client.Peer }
            : Move(client.Address) is { } address ? client with { Address = address, Moved = true } : client;
        bool used = false;
        foreach (Description description in image.Descriptions.Values.ToList())
        {
            Description? moved = description.AtAddress(Move);
            if (description is TcpConnectionRecord end && (connections.Any(end.Meets) || clients.Exists(client => client.Meets(end))) && Move(end.Peer) is { } peer) moved = (TcpConnectionRecord)(moved ?? end) with { Peer = peer };
            if (description is InternetSocketRecord listener && listener.Clients.Any(client => (Move(client.Address) ?? Move(client.Peer)) is not null)) moved = (InternetSocketRecord)(moved ?? listener) with { Clients = [.. listener.Clients.Select(AtAddress)] };
            if (moved is null) continue;
            image.Replace(moved);
            used = true;
        }
        return used;
    }

    /// <summary>`--tcp close`: connections whose other end is not in the image come back ended.</summary>
    public void CloseConnections()
    {
        List<TcpConnectionRecord> connections = [.. image.Descriptions.Values.OfType<TcpConnectionRecord>()];
        foreach (TcpConnectionRecord connection in connections)
            if (connection.Phase != TcpPhase.Ended && !connections.Any(connection.Meets) && !image.Descriptions.Values.OfType<InternetSocketRecord>().Any(listener => listener.Clients.Any(client => client.Meets(connection)))) image.Replace(connection.Closed());
        foreach (InternetSocketRecord listener in image.Descriptions.Values.OfType<InternetSocketRecord>().Where(listener => listener.Clients.Length > 0).ToList())
            image.Replace(listener with { Clients = [.. listener.Clients.Select(client => connections.Exists(client.Meets) ? client : client with { Closed = true })] });
    }

    private bool BindTerminal(TerminalBinding binding)
    {
        List<OuterStreamRecord> terminals = [.. image.Descriptions.Values.OfType<OuterStreamRecord>().Where(stream => stream.Terminal && stream.Was == binding.Old)];
        foreach (OuterStreamRecord terminal in terminals) image.Replace(terminal with { BindTo = binding.New });
        return terminals.Count > 0;
    }

    private bool BindDescriptor(DescriptorBinding binding)
    {
        bool byId = int.TryParse(binding.Process, NumberStyles.None, CultureInfo.InvariantCulture, out int pid);
        List<ProcessRecord> processes = [.. image.Living.Where(process => byId ? process.Pid == pid : process.Comm == binding.Process)];
        if (processes.Count > 1)
        {
            problems.Add(0, "", $"--bind {Words(binding)}", $"{processes.Count} processes have that name", $"name one by its id ({string.Join(", ", processes.Select(process => process.Pid).Take(5))})");
            return true;
        }
        if (processes.Count == 0) return false;
        if (image.Tree.TablesOf(processes[0]).SelectMany(table => table.Entries).FirstOrDefault(entry => entry.Number == binding.Number) is not { } found) return false;
        Description was = image.Descriptions[found.Description];
        image.Replace(new ExternalRecord
        {
            Id = was.Id,
            Flags = was.Flags,
            Was = (was as ExternalRecord)?.Was ?? DescriptorKinds.Of(was).Name,
            OwnerType = was.OwnerType,
            Owner = was.Owner,
            OwnerSignal = was.OwnerSignal,
            Target = new ExternalTarget(binding.Path, binding.Inherited),
        });
        return true;
    }
}
