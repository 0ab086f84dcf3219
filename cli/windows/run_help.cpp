#include "../run_options.hpp"

namespace holdfast::cli {

const char* run_help() noexcept {
    return R"(Runs a command while holding a lock, and passes its exit status on.

Usage: holdfast run [OPTIONS] {NAME | --lock NAME | --semaphore N NAME}... -- COMMAND...

Examples:
  One backup at a time of this user; a second one waits:
    holdfast run backup -- backup.exe
  One at a time on this machine, of whatever user, also beside programs with DistributedLock for .NET:
    holdfast run --url system: backup -- backup.exe
  From the task scheduler: do nothing if the last one still runs (exit status 75):
    holdfast run --try backup -- backup.exe
  Wait ten seconds at most, then exit with 1:
    holdfast run --timeout 10s -E 1 backup -- backup.exe
  At most three conversions at once:
    holdfast run --url system: --semaphore 3 convert -- ffmpeg in.mov out.mp4
  Two locks, taken in this order:
    holdfast run accounts reports -- close-month.exe
  What cmd.exe is to run:
    holdfast run backup -- cmd /c backup.bat
  Say what happens:
    holdfast run -v backup -- backup.exe
  See every step as a line of JSON:
    holdfast run --json-fd 2 backup -- backup.exe 2>events

Locks (each may be repeated; they are acquired in the order given):
  NAME, --lock NAME       a lock
  --semaphore N NAME      one of N tickets
  --exact PATH            the lock on exactly that file, which is never deleted

Options:
  --url URL               the backend: file:///C:/DIRECTORY or system: (this machine); @FILE reads it from FILE.
                          Default: %HOLDFAST_URL%, else lock files in %LOCALAPPDATA%\holdfast\locks
  -w, --timeout TIME      wait that long at most: 500ms, 10s, 1.5m, infinite (the default)
  -n, --try               do not wait: --timeout 0s
  -E, --conflict-exit-code N
                          the exit code when the lock was not to be had in time (default 75)
  --keep-files            leave lock files behind
  -v, --verbose           tell what happens, on standard error
  --json-fd N             write events to descriptor N of the C runtime, a JSON object a line: 1 is standard output, 2
                          standard error
  --json-handle N         write them to the handle N that holdfast inherits
  -o, --close             give the command no handles of the lock files, which keep a lock until it is gone
  --kill-after TIME       without effect here: no lock is lost
  -h, --help              this text

The command finds HOLDFAST_NAME in its environment; with several locks also HOLDFAST_NAME_1, HOLDFAST_NAME_2, ...
HOLDFAST_URL is removed. What it leaves running when it ends is ended, too.

Exit status: the command's own. Else:
  64 usage   69 backend unavailable   70 internal fault   71 out of processes or handles   73 no lock directory
  75 lock held elsewhere (-E)   77 permission   78 bad URL   126 command not executable   127 command not found
)";
}

}  // namespace holdfast::cli
