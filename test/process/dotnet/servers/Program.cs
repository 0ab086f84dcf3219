// A .NET program that shares locks of servers with Holdfast: the counterpart of test/process/peer.cpp, where the lines that
// it hears and its answers are described. URLs are Holdfast's, with the parameters that both sides have.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Medallion.Threading;
using Medallion.Threading.Postgres;
using Medallion.Threading.Redis;
using StackExchange.Redis;
using StackExchange.Redis.KeyspaceIsolation;

// Many calls block, and the packages' own work must not wait for the pool to grow.
ThreadPool.SetMinThreads(16, 16);
string version(Type of) => of.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
    .InformationalVersion.Split('+')[0];
Console.WriteLine($"ready .NET {Environment.Version}, DistributedLock.Redis {version(typeof(RedisDistributedLock))}, " +
                  $"StackExchange.Redis {version(typeof(IDatabase))}, " +
                  $"DistributedLock.Postgres {version(typeof(PostgresDistributedLock))}, " +
                  $"Npgsql {version(typeof(Npgsql.NpgsqlConnection))}");
var locks = new Dictionary<string, Entry>();
for (string? line; (line = Console.ReadLine()) != null;) {
    string answer;
    try {
        answer = Answer(line.Split(' ')).Replace('\n', ' ');
    } catch (Exception failed) {
        answer = $"error {failed}".Replace('\n', ' ');
    }
    Console.WriteLine(answer);
}

string Answer(string[] words) {
    if (words[0] == "make") {
        locks[words[1]] = new Entry(Address.Parse(words[3]), words[2].Split(':'), words[4]);
        return "made";
    }
    var entry = locks[words[1]];
    switch (words[0]) {
        case "race": return Race(entry, words);
        case "count": return entry.Count().ToString();
        case "state": return entry.Held.Peek().HandleLostToken.IsCancellationRequested ? "lost" : "held";
        case "release":
            entry.Held.Pop().Dispose();
            return "released";
    }
    var waits = words[0] == "wait";
    var got = entry.Acquire(words.Length > 2, waits ? Timeout.InfiniteTimeSpan : TimeSpan.Zero, false);
    if (got == null) return "busy";
    entry.Held.Push(got);
    return waits ? "held" : "got";
}

// As in peer.cpp. By turns the calls are blocking and asynchronous ones, which take different paths in the packages.
string Race(Entry entry, string[] words) {
    var section = new Section(words[2], words[3]);
    var reading = words.Length > 6;
    var until = Environment.TickCount64 + 1000 * long.Parse(words[5]);
    TimeSpan[] timeouts = { Timeout.InfiniteTimeSpan, TimeSpan.Zero, Timeout.InfiniteTimeSpan,
                            TimeSpan.FromMilliseconds(2) };
    long entries = 0, refusals = 0;
    for (long turn = 0; section.Read().Entries < long.Parse(words[4]) && Environment.TickCount64 < until; ++turn) {
        using var held = entry.Acquire(reading, timeouts[turn % 4], turn / 4 % 2 == 1);
        if (held == null) {
            ++refusals;
            continue;
        }
        if (reading) section.Look(); else section.Write();
        ++entries;
    }
    return $"raced {entries} {refusals} {section.Overlaps}";
}

// scheme://[user@]host:port[,host:port...]/database[?name=value&...]
record Address(string Scheme, string User, string[] Hosts, string Path, Dictionary<string, string> Query) {
    public static Address Parse(string url) {
        var scheme = url.Split("://")[0];
        var rest = url.Split("://")[1].Split('?', 2);
        var query = (rest.Length > 1 ? rest[1] : "").Split('&', StringSplitOptions.RemoveEmptyEntries)
            .Select(each => each.Split('=')).ToDictionary(each => each[0], each => each.Length > 1 ? each[1] : "true");
        var place = rest[0].Split('/');
        var who = place[0].Split('@');
        return new Address(scheme, who.Length > 1 ? who[0] : "", who[^1].Split(','), place.Length > 1 ? place[1] : "",
                           query);
    }

    public TimeSpan? Time(string name) => !Query.TryGetValue(name, out var text) ? null
        : text.EndsWith("ms") ? TimeSpan.FromMilliseconds(int.Parse(text[..^2]))
        : TimeSpan.FromSeconds(int.Parse(text[..^1]));

    public bool? Flag(string name) => Query.TryGetValue(name, out var text) ? bool.Parse(text) : null;
}

class Entry {
    public readonly Stack<IDistributedSynchronizationHandle> Held = new();
    public readonly Func<int> Count = () => throw new InvalidOperationException("no tickets");
    private readonly object made;

    private static readonly Dictionary<string, IConnectionMultiplexer> servers = new();

    public Entry(Address at, string[] kind, string name) {
        made = at.Scheme == "postgres" ? OfPostgres(at, kind[0], name) : OfRedis(at, kind, name);
        if (made is RedisDistributedSemaphore semaphore) Count = semaphore.GetCurrentCount;
    }

    public IDistributedSynchronizationHandle? Acquire(bool reading, TimeSpan timeout, bool asynchronous) {
        return made switch {
            IDistributedReaderWriterLock rw when reading =>
                asynchronous ? Result(rw.TryAcquireReadLockAsync(timeout)) : rw.TryAcquireReadLock(timeout),
            IDistributedReaderWriterLock rw =>
                asynchronous ? Result(rw.TryAcquireWriteLockAsync(timeout)) : rw.TryAcquireWriteLock(timeout),
            IDistributedSemaphore semaphore =>
                asynchronous ? Result(semaphore.TryAcquireAsync(timeout)) : semaphore.TryAcquire(timeout),
            IDistributedLock one => asynchronous ? Result(one.TryAcquireAsync(timeout)) : one.TryAcquire(timeout),
            _ => throw new InvalidOperationException()
        };
    }

    private static IDistributedSynchronizationHandle? Result(ValueTask<IDistributedSynchronizationHandle?> task) =>
        task.AsTask().GetAwaiter().GetResult();

    private static object OfRedis(Address at, string[] kind, string name) {
        // Nodes of a cluster are one server, and so is the master that sentinels tell.
        var hosts = at.Scheme switch {
            "redis+cluster" => new[] { string.Join(',', at.Hosts) },
            "redis+sentinel" => new[] { $"{string.Join(',', at.Hosts)},serviceName={at.Query["master"]}" },
            _ => at.Hosts
        };
        var databases = hosts.Select(host => {
            if (!servers.TryGetValue(host, out var server)) {
                servers[host] = server = ConnectionMultiplexer.Connect($"{host},abortConnect=false,connectTimeout=1000");
            }
            var database = server.GetDatabase(at.Path == "" ? 0 : int.Parse(at.Path));
            return at.Query.TryGetValue("prefix", out var prefix) ? database.WithKeyPrefix(prefix) : database;
        }).ToArray();
        void options(RedisDistributedSynchronizationOptionsBuilder to) {
            if (at.Time("expiry") is {} expiry) to.Expiry(expiry);
            if (at.Time("min_validity") is {} validity) to.MinValidityTime(validity);
            if (at.Time("min_busy_wait") is {} least) to.BusyWaitSleepTime(least, at.Time("max_busy_wait")!.Value);
        }
        var text = Text(name);
        return kind[0] switch {
            "lock" => new RedisDistributedLock(text, databases, options),
            "rw" => new RedisDistributedReaderWriterLock(text, databases, options),
            _ => new RedisDistributedSemaphore(text, int.Parse(kind[1]), databases[0], options)
        };
    }

    private static object OfPostgres(Address at, string kind, string name) {
        var place = at.Hosts[0].Split(':');
        var connection = $"Host={place[0]};Port={place[1]};Username={at.User};Database={at.Path};Maximum Pool Size=20";
        void options(PostgresConnectionOptionsBuilder to) {
            if (at.Flag("multiplexing") is {} multiplexing) to.UseMultiplexing(multiplexing);
            if (at.Flag("transaction_scope") is {} transaction) to.UseTransaction(transaction);
        }
        var key = Key(name.Split(':')[0], name.Split(':')[1]);
        return kind == "lock" ? new PostgresDistributedLock(key, connection, options)
                              : new PostgresDistributedReaderWriterLock(key, connection, options);
    }

    private static PostgresAdvisoryLockKey Key(string form, string value) => form switch {
        "int8" => new PostgresAdvisoryLockKey(long.Parse(value)),
        "int4" => new PostgresAdvisoryLockKey(int.Parse(value.Split(',')[0]), int.Parse(value.Split(',')[1])),
        _ => new PostgresAdvisoryLockKey(Text("text:" + value), allowHashing: true)
    };

    private static string Text(string name) => Encoding.UTF8.GetString(Convert.FromHexString(name["text:".Length..]));
}

// As in peer.cpp.
class Section {
    private readonly string folder, marker, count, side;
    public long Overlaps;

    public record struct Entered(long Entries, string Last, long Changes);

    public Section(string folder, string side) {
        (this.folder, this.side) = (folder, side);
        marker = Path.Combine(folder, "marker");
        count = Path.Combine(folder, "count");
    }

    public Entered Read() {
        try {
            var words = File.ReadAllText(count).Split(' ');
            return new Entered(long.Parse(words[0]), words[1], long.Parse(words[2]));
        } catch (FormatException) {
            // Half written.
            return new Entered(-1, "", -1);
        }
    }

    public void Write() {
        FileStream? made = null;
        try {
            made = new FileStream(marker, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        } catch (IOException) {
            ++Overlaps;
        }
        var before = Read();
        Linger(before.Entries);
        if (Read() != before) ++Overlaps;
        File.WriteAllText(count, $"{before.Entries + 1} {side} {before.Changes + (before.Last == side ? 0 : 1)}");
        made?.Dispose();
        if (!File.Exists(marker)) ++Overlaps;
        File.Delete(marker);
    }

    public void Look() {
        var before = Read();
        if (File.Exists(marker)) ++Overlaps;
        Linger(before.Entries);
        if (File.Exists(marker) || Read() != before) ++Overlaps;
    }

    private static void Linger(long entries) {
        if (entries % 32 == 0) Thread.Sleep(4);
        Thread.Yield();
    }
}
