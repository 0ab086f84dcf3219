// A .NET program that shares lock files with Holdfast, told line by line what to do:
//   try      prints "got" or "busy"; what it got it keeps
//   release  prints "released"
//   hold     waits for the lock as the package does, and prints "held"
// Arguments: directory, name, and the path that the name is mapped to.
//
// With the package DistributedLock.FileSystem where that can be had (WITH_PACKAGE). Without it, with the runtime's own
// FileStream opened as the package opens it: the system calls are the runtime's either way.
using System;
using System.IO;
using System.Threading;

IDisposable? held = null;
Console.WriteLine($"ready {Locker.Kind} {Environment.Version}");
for (string? line; (line = Console.ReadLine()) != null;) {
    switch (line) {
        case "try":
            held = Locker.Try(args);
            Console.WriteLine(held == null ? "busy" : "got");
            break;
        case "hold":
            var random = new Random();
            while ((held = Locker.Try(args)) == null) Thread.Sleep(50 + random.Next(950));
            Console.WriteLine("held");
            break;
        case "release":
            held?.Dispose();
            held = null;
            Console.WriteLine("released");
            break;
    }
}

static class Locker {
#if WITH_PACKAGE
    public const string Kind = "package";

    public static IDisposable? Try(string[] args) =>
        new Medallion.Threading.FileSystem.FileDistributedLock(new DirectoryInfo(args[0]), args[1]).TryAcquire();
#else
    public const string Kind = "FileStream";

    public static IDisposable? Try(string[] args) {
        Directory.CreateDirectory(args[0]);
        try {
            return new FileStream(args[2], FileMode.OpenOrCreate, FileAccess.Read, FileShare.None, 1,
                                  FileOptions.DeleteOnClose);
        } catch (IOException failed) when (failed.GetType() == typeof(IOException)) {
            return null;
        }
    }
#endif
}
