import { Fault } from '../../base/errors.ts';
import type { ProcessRequest } from '../ports.ts';

/**
 * The supervisor: a POSIX shell that reads this script, and then one job after another, from its standard input.
 *
 * It is the parent of what it starts, so a start costs one small fork and the job's own exec. When the agent dies its
 * input ends: it finishes the job it has, writes how that ended, and is gone. Only as a subreaper it stays while it has
 * orphans, until told through `again` (open before `alive` is let go, so that no word is missed). Arguments: its folder, the name of the
 * tracking, the folder of its control group (or nothing).
 *
 * It says on standard output: `r` ready, `s` the identity is written, `x` it could not be, `e N` ended with status N.
 * Any other line is the shell's own complaint.
 *
 * Signals are caught, not ignored, because what is ignored stays ignored in the job, and a job's `kill 0` reaches its
 * supervisor. Identity and exit status are written under `set -C` (O_EXCL): whoever comes second is told.
 */
export const supervisorScript = `
exec 2>&1
folder=$1 tracking=$2 group=$3
set -C
trap : HUP INT QUIT TERM PIPE USR1 USR2 ALRM
[ -z "$group" ] || echo 0 >|"$group/cgroup.procs" || exit 71
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
  printf '%s\\n' "$boot" "$$" "$born" "$up" "$tracking" "$group" "$folder" "$2" . >"$home/identity" &&
    printf '%s\\n' "$home" >|"$folder/home" && : >>"$home/log" && echo s && return
  echo x
  return 1
}
finish() {
  read -r up _ </proc/uptime
  echo "$1 $up ." >"$home/exit"
  echo "e $1"
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
echo r
`;

/**
 * The text that starts one process tree. It is one compound command, so that a half of it, left by an agent that died
 * while writing, is a syntax error and starts nothing. Throws `Fault` (`invalid-request`) for what no program can be given.
 */
export function startText(request: ProcessRequest): string {
  const entries = Object.entries({ ...request.env, [markName]: request.id });
  const exported = entries.filter(([name]) => isShellName(name)).map(([name, value]) => `${name}=${quote(value)}`);
  // A name the shell cannot hold is handed over by env(1), which costs a second exec.
  const others = entries.filter(([name]) => !isShellName(name)).map(([name, value]) => quote(`${name}=${value}`));
  const argv = request.argv.map(quote);
  const command = others.length === 0 ? argv : ['/usr/bin/env', ...others, ...argv];
  const setup = `cd ${quote(request.cwd)} && unset OLDPWD && export ${exported.join(' ')} && exec ${command.join(' ')}`;
  const files = `</dev/null >>${quote(`${request.home}/log`)} 2>&1 9>&-`;
  return `if begin ${quote(request.home)} ${quote(request.id)}; then\n(${setup}) ${files}\nfinish $?\nfi\n`;
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
