import { existsSync } from 'node:fs';
import { groupMembers } from './cgroup.ts';
import type { Identity, TrackingName } from './identity.ts';
import {
  descendants,
  hasInEnvironment,
  isAlive,
  isLiving,
  type ProcessFacts,
  readBootId,
  readProcess,
  readProcesses,
} from './process-table.ts';
import { markName } from './supervisor-script.ts';

/** All living processes of a tree, without its supervisor. */
export function findProcesses(identity: Identity): readonly number[] {
  if (identity.group !== '') return groupMembers(identity.group).filter((pid) => pid !== identity.pid);
  return findFacts(identity).map(({ pid }) => pid);
}

/** The same, with what the kernel shows of each. */
export function findFacts(identity: Identity): readonly ProcessFacts[] {
  if (identity.group !== '') return findProcesses(identity).map(readProcess).filter(isLiving);
  // Where the supervisor was killed, its orphans went to init, and only session and mark are left to find them by.
  if (identity.tracking === 'subreaper' && isSupervisorAlive(identity)) return descendants(identity.pid);
  return findMarked(identity);
}

/** Whether the supervisor is the process that wrote this identity, and still runs. */
export function isSupervisorAlive(identity: Identity): boolean {
  if (identity.bootId !== readBootId()) return false;
  return readProcess(identity.pid)?.startTicks === identity.startTicks && isAlive(identity.pid);
}

/** The command that becomes a supervisor's shell, and whether it can be made here. */
export function shellCommand(tracking: TrackingName, architecture: string): readonly string[] | undefined {
  if (tracking !== 'subreaper') return ['/bin/sh'];
  // prctl(PR_SET_CHILD_SUBREAPER = 36, 1); the flag is kept over exec and not passed on to children.
  const number = { x64: 157, arm64: 167 }[architecture];
  if (number !== undefined && existsSync('/usr/bin/perl')) {
    return ['/usr/bin/perl', '-e', `syscall(${number},36,1,0,0,0)==0 or exit 70; exec @ARGV`, '/bin/sh'];
  }
  if (!existsSync('/usr/bin/python3')) return undefined;
  const code =
    'import ctypes,os,sys;ctypes.CDLL(None).prctl(36,1,0,0,0)==0 or sys.exit(70);os.execv(sys.argv[1],sys.argv[1:])';
  return ['/usr/bin/python3', '-c', code, '/bin/sh'];
}

/**
 * By session, and by the mark in the environment: /proc is read once. The kernel gives a number to another process only
 * when nobody is left in the session of that number: from then on it is a session of strangers.
 */
function findMarked(identity: Identity): readonly ProcessFacts[] {
  const mark = `${markName}=${identity.id}`;
  const all = readProcesses();
  const isReused = all.some(({ pid, startTicks }) => pid === identity.pid && startTicks !== identity.startTicks);
  return all
    .filter((facts) => facts.pid !== identity.pid && isLiving(facts))
    .filter(({ pid, session, startTicks }) => {
      if (!isReused && session === identity.pid && startTicks >= identity.startTicks) return true;
      return hasInEnvironment(pid, mark);
    });
}
