#include "run_options.hpp"

namespace holdfast::cli {

const char* run_help() noexcept {
    return R"(Runs a command while holding a lock, and passes its exit status on.

Usage: holdfast run [OPTIONS] {NAME | --lock NAME | --read NAME | --write NAME | --semaphore N NAME}... -- COMMAND...

Examples:
  One backup at a time on this machine; a second one waits:
    holdfast run backup -- ./backup.sh
  From cron: do nothing if the last one still runs:
    holdfast run --try backup -- ./backup.sh || [ $? -eq 75 ]
  Wait ten seconds at most, then exit with 1, as flock(1) does:
    holdfast run --timeout 10s -E 1 backup -- ./backup.sh
  One deployment at a time among all machines; the URL with its password is read from a file:
    holdfast run --url @/etc/holdfast.url deploy/web -- ./deploy.sh
  At most three conversions at once:
    holdfast run --url redis://db --semaphore 3 convert -- ffmpeg in.mov out.mp4
  Two locks, taken in this order:
    holdfast run accounts reports -- ./close-month
  The file that flock(1) users of the same program have agreed on:
    holdfast run --exact /run/app.lock -- ./app
  Say whom we wait for:
    holdfast run -v backup -- ./backup.sh
  See every step as a line of JSON:
    holdfast run --json-fd 3 backup -- ./backup.sh 3>events

Locks (each may be repeated; they are acquired in the order given):
  NAME, --lock NAME       a lock
  --read NAME             a reader-writer lock, for reading
  --write NAME            a reader-writer lock, for writing
  --semaphore N NAME      one of N tickets
  --exact PATH            the lock on exactly that file, which is never deleted

Options:
  --url URL               the backend; @FILE reads it from FILE. Default: $HOLDFAST_URL, else lock files in
                          /run/lock/holdfast-<uid>
  -w, --timeout TIME      wait that long at most: 500ms, 10s, 1.5m, infinite (the default)
  -n, --try               do not wait: --timeout 0s
  -E, --conflict-exit-code N
                          the exit code when the lock was not to be had in time (default 75)
  --kill-after TIME       when the lock is lost, or holdfast killed: the time between SIGTERM and SIGKILL (default 5s)
  --keep-until-children-exit
                          the command's background children keep the lock too, as with flock(1); lock files only
  -o, --close             do not let the command inherit the lock file's descriptor
  --keep-files            leave lock files behind
  -v, --verbose           tell what happens, on standard error
  --json-fd N             write events to descriptor N, a JSON object a line
  -h, --help              this text

The command finds HOLDFAST_NAME and, where the backend has one, HOLDFAST_FENCING_TOKEN in its environment; with several
locks also HOLDFAST_NAME_1, HOLDFAST_NAME_2, ... HOLDFAST_URL is removed.

Exit status: the command's own; if a signal killed the command, holdfast dies of the same signal. Else:
  64 usage   69 backend unavailable   70 internal fault, or guardian killed   71 out of processes or descriptors
  73 no lock directory   75 lock held elsewhere (-E)   76 protocol   77 permission   78 bad URL   79 lock lost
  126 command not executable   127 command not found
)";
}

}  // namespace holdfast::cli
