import picomatch from 'picomatch';
import { type Refusal, refused } from '../base/errors.ts';
import { asBatchId } from '../base/ids.ts';
import { nameKey, nameMax, nameProblem } from '../base/names.ts';
import { jobStates } from '../config/job-states.ts';
import type { JobFacts, JobState } from './job-view.ts';
import { knownBatch } from './scheduler/retired.ts';
import type { Batch, ClusterState, Retired } from './scheduler/state.ts';
import { failureReasons } from './scheduler/state.ts';
import type { NamedJob } from './specs.ts';

/** A selector, checked: `[namespace/]batch[/job-or-glob]` and its filters. */
export interface Selection {
  readonly namespace: string;
  /** Empty: every batch. */
  readonly batch: string;
  /** Empty: every job. */
  readonly job: string;
  readonly states: ReadonlySet<JobState>;
  readonly reasons: ReadonlySet<string>;
  readonly where: readonly { readonly axis: string; readonly value: string }[];
}

/** A selector as it crosses the wire. */
export interface SelectorText {
  readonly namespace: string;
  readonly batch: string;
  readonly job: string;
  readonly states: readonly string[];
  readonly reasons: readonly string[];
  readonly where: readonly { readonly axis: string; readonly value: string }[];
}

/** Candidates named when a prefix fits several. */
const candidatesMax = 10;
/** Stars in a glob: each more makes a match slower. */
const starsMax = 10;
/** Stars beside brackets, braces and `!`: those are matched by trying. */
const mixedStarsMax = 3;
const filtersMax = 64;

/** Reads a selector; a missing namespace is the caller's own. */
export function readSelection(text: SelectorText | undefined, callerName: string): Selection | Refusal {
  const { namespace = '', batch = '', job = '', states = [], reasons = [], where = [] } = text ?? {};
  const problem = (namespace && nameProblem(namespace)) || (batch && nameProblem(batch));
  if (problem) return refused('invalid', `Cannot select "${namespace}/${batch}": a name in it ${problem}`);
  if (job.length > 2 * nameMax || job.split('*').length > starsMax || job.includes('/')) {
    return refused('invalid', `Cannot select the jobs "${job}": write a job's name, or a glob with few stars`);
  }
  if (/[^*?A-Za-z0-9._+=,@-]/.test(job) && job.split('*').length > mixedStarsMax + 1) {
    return refused(
      'invalid',
      `Cannot select the jobs "${job}": beside brackets or braces a glob has ${mixedStarsMax} stars`,
    );
  }
  if (states.length + reasons.length + where.length > filtersMax) {
    return refused('limit', `Cannot select: over ${filtersMax} filters`);
  }
  const state = states.find((name) => !jobStates.includes(name as JobState)); // only compared
  if (state !== undefined) {
    return refused('invalid', `Cannot select by the state "${state}": the states are ${jobStates.join(', ')}`);
  }
  const reason = reasons.find((name) => !failureReasons.some((known) => known === name));
  if (reason !== undefined) {
    return refused('invalid', `Cannot select by the reason "${reason}": the reasons are ${failureReasons.join(', ')}`);
  }
  const checkedStates = new Set(states as JobState[]); // each was found among them
  return { namespace: namespace || callerName, batch, job, states: checkedStates, reasons: new Set(reasons), where };
}

/** The one batch a selection names: by id, by name, or by a prefix that fits one only. */
export function resolveBatch(state: ClusterState, selection: Selection): Batch | Retired | Refusal {
  const { namespace, batch: text } = selection;
  if (text === '') return refused('invalid', 'Cannot select a batch: none is named; write [namespace/]batch');
  const id = asBatchId(text.toUpperCase());
  const byId = id && knownBatch(state, id);
  if (byId) return byId;
  const fitting: (Batch | Retired)[] = [];
  for (const batchId of state.batchByName.values()) {
    const batch = knownBatch(state, batchId);
    if (!batch || nameKey(batch.namespace) !== nameKey(namespace)) continue;
    if (nameKey(batch.name) === nameKey(text)) return batch;
    if (nameKey(batch.name).startsWith(nameKey(text))) fitting.push(batch);
  }
  const [only, another] = fitting;
  if (only && !another) return only;
  if (!only) {
    return refused('not-found', `Cannot find the batch "${namespace}/${text}": see them with "labrun status --all"`);
  }
  const names = fitting.slice(0, candidatesMax).map(({ name }) => name);
  const more = fitting.length > names.length ? `, and ${fitting.length - names.length} more` : '';
  return refused('conflict', `Cannot tell which batch "${namespace}/${text}" is: ${names.join(', ')}${more}`);
}

/** Whether a selection names jobs by a pattern, so that finding none is no mistake in a name. */
export function isGlob(job: string): boolean {
  return /[*?[{!]/.test(job);
}

/** What a selection wants of a job, but for its name. */
export function matchesFilters(selection: Selection, job: JobFacts & NamedJob): boolean {
  const { states, reasons, where } = selection;
  if (states.size > 0 && !states.has(job.state)) return false;
  if (reasons.size > 0 && !(job.reason && reasons.has(job.reason))) return false;
  return where.every(({ axis, value }) => job.params[axis] === value);
}

/** A test for the names of jobs. */
export function nameMatcher(job: string): (name: string) => boolean {
  if (job === '') return () => true;
  if (!isGlob(job)) return (name) => nameKey(name) === nameKey(job);
  if (!/[^*?A-Za-z0-9._+=,@-]/.test(job)) return (name) => fitsGlob(name, job);
  return picomatch(job, { dot: true, noextglob: true });
}

/**
 * Whether a name fits a glob of `*` and `?` alone. Only the last star is ever tried again, so that no glob takes long: as
 * a regular expression, nine stars against a name of 120 characters take years.
 */
function fitsGlob(name: string, glob: string): boolean {
  let [at, inGlob, star, resumeAt] = [0, 0, -1, 0];
  while (at < name.length) {
    if (glob[inGlob] === '*') {
      star = inGlob++;
      resumeAt = at;
    } else if (glob[inGlob] === '?' || (inGlob < glob.length && glob[inGlob] === name[at])) {
      at++;
      inGlob++;
    } else if (star >= 0) {
      inGlob = star + 1;
      at = ++resumeAt;
    } else return false;
  }
  while (glob[inGlob] === '*') inGlob++;
  return inGlob === glob.length;
}
