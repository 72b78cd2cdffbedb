import { Fault } from '../../base/errors.ts';
import type { ProcessLimits, ProcessRequest } from '../ports.ts';
import type { ControlName } from './controls.ts';

/**
 * The supervisor: a POSIX shell that reads this script, and then one job after another, from its standard input.
 *
 * It is the parent of what it starts, so a start costs one small fork and the job's own exec. When the agent dies its
 * input ends: it finishes the job it has, writes how that ended, and is gone. Only as a subreaper it stays while it has
 * orphans, until told through `again` (open before `alive` is let go, so that no word is missed). Arguments: its folder, the name of the
 * tracking, the folder of its control group, the files that count kills for memory and refused starts (each '' for none), and the
 * folders of more groups to enter.
 *
 * It says on standard output: `r` ready, `s` the identity is written, `x` it could not be, `e N` ended with status N, `e N LIMIT` when
 * the kernel has counted something at that limit meanwhile. Any other line is the shell's own complaint.
 *
 * Signals are caught, not ignored, because what is ignored stays ignored in the job, and a job's `kill 0` reaches its
 * supervisor. Identity and exit status are written under `set -C` (O_EXCL): whoever comes second is told. Room for the status is kept
 * in its folder: on a disk that the job has filled it would be lost, and with it all that the job did, when no agent is there to hear of
 * it. (`true`, where a file is only made: a shell ends when it cannot make one for `:`.)
 */
export const supervisorScript = `
exec 2>&1
folder=$1 tracking=$2 group=$3 kills=$4 refusals=$5
shift 5
set -C
trap : HUP INT QUIT TERM PIPE USR1 USR2 ALRM
for enter in \${group:+"$group"} "$@"; do
  echo 0 >|"$enter/cgroup.procs" || exit 71
done
read -r boot </proc/sys/kernel/random/boot_id
read -r stat </proc/$$/stat
set -- \${stat##*) }
shift 19
born=$1
mkfifo "$folder/alive" "$folder/again" || exit 72
exec 9<>"$folder/alive"
printf '%s\\n' "$boot" "$$" "$born" 0 "$tracking" "$group" "$folder" - . >"$folder/identity" || exit 73
unset PATH OLDPWD
begin() {
  home=$1
  read -r up _ </proc/uptime
  [ -s "$folder/room" ] || printf '%4096s' '' >|"$folder/room"
  printf '%s\\n' "$boot" "$$" "$born" "$up" "$tracking" "$group" "$folder" "$2" . >"$home/identity" &&
    printf '%s\\n' "$home" >|"$folder/home" && true >>"$home/log" && echo s && return
  echo x
  return 1
}
count() {
  while read -r key number; do
    [ "$key" != "$1" ] || return 0
  done
  number=0
}
finish() {
  read -r up _ </proc/uptime
  limit=
  if [ -n "$refusals" ]; then
    count max <"$refusals"
    [ "$number" = 0 ] || limit=processes
  fi
  if [ -n "$kills" ]; then
    count oom_kill <"$kills"
    [ "$number" = 0 ] || limit=memory
  fi
  end="$1 $up \${limit:+$limit }."
  if ! echo "$end" >"$home/exit" && [ ! -s "$home/exit" ]; then
    true >|"$folder/room"
    echo "$end" >>"$home/exit"
  fi
  echo "e $1\${limit:+ $limit}"
}
linger() {
  [ "$tracking" = subreaper ] || exit 0
  exec 8<>"$folder/again"
  exec 9>&-
  kids=
  read -r kids <"/proc/$$/task/$$/children"
  [ -z "$kids" ] || read -r _ <&8
}
trap linger EXIT
# What differs between machines and shells is found out once: some allow no adjustment; dash says -p, bash -u.
adjust=/proc/self/oom_score_adj nproc=-p
(echo 500 >|$adjust) 2>/dev/null || adjust=/dev/null
(ulimit -p 64) 2>/dev/null || nproc=-u
echo r
`;

/**
 * The text that starts one process tree. It is one compound command, so that a half of it, left by an agent that died
 * while writing, is a syntax error and starts nothing. `controlled` is what its control groups limit already. Throws
 * `Fault` (`invalid-request`) for what no program can be given.
 */
export function startText(request: ProcessRequest, controlled: readonly ControlName[]): string {
  const entries = Object.entries({ ...request.env, [markName]: request.id });
  const exported = entries.filter(([name]) => isShellName(name)).map(([name, value]) => `${name}=${quote(value)}`);
  // A name the shell cannot hold is handed over by env(1), which costs a second exec.
  const others = entries.filter(([name]) => !isShellName(name)).map(([name, value]) => quote(`${name}=${value}`));
  const argv = request.argv.map(quote);
  const command = others.length === 0 ? argv : ['/usr/bin/env', ...others, ...argv];
  const setup = `${rlimits(request.limits, controlled)}cd ${quote(request.cwd)} && unset OLDPWD && export ${exported.join(' ')} && exec ${command.join(' ')}`;
  const files = `</dev/null >>${quote(`${request.home}/log`)} 2>&1 9>&-`;
  return `if begin ${quote(request.home)} ${quote(request.id)}; then\n(${setup}) ${files}\nfinish $?\nfi\n`;
}

/**
 * Limits that a process and its children keep by themselves. When the whole machine runs out of memory, the kernel ends
 * jobs before anything else (and never their supervisor). Processes are limited here for the whole account, memory for each process: a
 * stop for what grows faster than it is looked at, where no control group does better.
 */
function rlimits({ memoryBytes, processes, diskBytes }: ProcessLimits, controlled: readonly ControlName[]): string {
  const words = ['echo 500 >|$adjust'];
  // Blocks of 512 bytes; a file never grows past it, and who tries gets SIGXFSZ.
  if (diskBytes > 0) words.push(`ulimit -f ${Math.ceil(diskBytes / 512)}`);
  if (!controlled.includes('processes')) words.push(`ulimit $nproc ${processes}`);
  if (memoryBytes > 0 && !controlled.includes('memory')) words.push(`ulimit -d ${Math.ceil(memoryBytes / 1024)}`);
  return words.map((word) => `${word}; `).join('');
}

/** The variable that marks every process of a tree with its id, for the search by environment. */
export const markName = 'LABRUN_ID';

/** What shells set, check or refuse themselves. */
const shellsOwn = new Set(['UID', 'EUID', 'PPID', 'SHELLOPTS', 'BASHOPTS', 'BASH_VERSINFO', 'OPTIND', 'LINENO']);

function isShellName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !shellsOwn.has(name);
}

function quote(text: string): string {
  if (text.includes('\0')) {
    throw new Fault('invalid-request', `Cannot pass ${JSON.stringify(text.slice(0, 80))} to a program: it holds a NUL`);
  }
  return `'${text.replaceAll("'", "'\\''")}'`;
}
