import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { LimitName, ProcessEnd } from '../ports.ts';
import { readWords } from './small-file.ts';

/**
 * How everything a job started is found, best first. The first three find also a child that cleared its environment,
 * left its session and forked twice; `session` does not.
 */
export type TrackingName = 'cgroup-v2' | 'cgroup-v1' | 'subreaper' | 'session';

/** Who runs in a home, as its supervisor wrote it before it started anything. */
export interface Identity {
  readonly bootId: string;
  readonly pid: number;
  /** Of the supervisor, in clock ticks since boot: with the pid, it is this process and no later one. */
  readonly startTicks: number;
  /** Seconds since boot when the job was started. */
  readonly uptimeS: number;
  readonly tracking: TrackingName;
  /** The control group's folder; empty when tracking uses none. */
  readonly group: string;
  /** The supervisor's own folder. */
  readonly folder: string;
  /** The mark in the environment of all its processes. */
  readonly id: string;
  /** When it was written, in wall time. */
  readonly writtenAtMs: number;
}

/** Reads `identity` of a home or of a supervisor's folder; nothing when none was written to its end. */
export function readIdentity(folder: string): Identity | undefined {
  const path = join(folder, 'identity');
  const lines = readWords(path)?.split('\n');
  if (lines?.length !== 10 || lines[8] !== '.') return undefined;
  const [bootId = '', pid, startTicks, uptimeS, tracking = '', group = '', itsFolder = '', id = ''] = lines;
  if (!isTrackingName(tracking)) return undefined;
  const writtenAtMs = statSync(path).mtimeMs;
  const numbers = { pid: Number(pid), startTicks: Number(startTicks), uptimeS: Number(uptimeS) };
  return { bootId, ...numbers, tracking, group, folder: itsFolder, id, writtenAtMs };
}

/** How the tree of this home ended; `lost` when nobody wrote it. Call it when the supervisor has let go. */
export function readEnd(home: string, identity: Identity): ProcessEnd {
  const match = /^(\d+) (\d+\.\d+) (?:(memory|processes) )?\.$/.exec(readWords(join(home, 'exit'))?.trim() ?? '');
  if (!match) return { kind: 'lost', message: 'its supervisor was killed before the job ended' };
  const ranMs = Math.max(0, Math.round((Number(match[2]) - identity.uptimeS) * 1000));
  return endOf(Number(match[1]), ranMs, readLimit(match[3]));
}

/**
 * What a shell's exit status means. 129 to 192 are reported as signals; a program that chooses such a status itself
 * cannot be told apart, and shells do choose it to pass a child's signal on.
 */
export function endOf(status: number, ranMs: number, refused: LimitName | undefined): ProcessEnd {
  const more = refused === undefined ? {} : { refused };
  if (status > 128 && status <= 192) return { kind: 'signalled', signal: status - 128, ranMs, ...more };
  return { kind: 'exited', exitCode: status, ranMs, ...more };
}

/** The limit that a supervisor names in its words about an end. */
export function readLimit(word: string | undefined): LimitName | undefined {
  return word === 'memory' || word === 'processes' ? word : undefined;
}

function isTrackingName(text: string): text is TrackingName {
  return text === 'cgroup-v2' || text === 'cgroup-v1' || text === 'subreaper' || text === 'session';
}
