import { attemptId } from '../../base/ids.ts';
import type { Attempt } from '../../head/scheduler/attempt.ts';
import type { Command } from '../../head/scheduler/command.ts';
import type { Event } from '../../head/scheduler/event.ts';
import { explain } from '../../head/scheduler/explain.ts';
import { violations } from '../../head/scheduler/invariants.ts';
import { someNeeds } from './spec.ts';
import { aConnect, aSubmit, aYield, batchNumber, nodeNumber, PureHead, returned, someGroup, staged } from './state.ts';

/**
 * Plays a script to a head without a disk and answers its transcript: each line of the script, and under it what came
 * of it. The verbs are those of `commandOf`; `#` starts a comment, `wait 10m` lets time pass, `why 1/0` explains a job.
 */
export function transcriptOf(script: string): string {
  const head = new PureHead();
  const lines = script.split('\n').map((line) => line.trimEnd());
  return lines
    .flatMap((line) => (line === '' || line.startsWith('#') ? [line] : [line, ...play(head, line)]))
    .join('\n');
}

function play(head: PureHead, line: string): string[] {
  const [verb = '', subject = '', ...rest] = line.split(/\s+/);
  if (verb === 'why') return [`  ${whyOf(head, subject)}`];
  if (verb === 'wait') head.nowMs += minutes(subject) * 60_000;
  const words = new Map(rest.map((word) => split(word, '=')));
  const by = { kind: 'user', name: words.get('by') ?? 'ada' } as const;
  const { verdict, events } = head.take(commandOf(head, verb, subject, words), by);
  const broken = violations(head.state).map((what) => `  BROKEN ${what}`);
  const refusal = verdict.kind === 'refused' ? [`  refused ${verdict.code}: ${verdict.message}`] : [];
  return [...refusal, ...events.map((event) => `  ${tell(head, event)}`), ...broken];
}

function commandOf(head: PureHead, verb: string, subject: string, words: ReadonlyMap<string, string>): Command {
  const number = (name: string, otherwise: number) => Number(words.get(name) ?? otherwise);
  switch (verb) {
    case 'connect': {
      const names = words.get('has')?.split(',') ?? [];
      const facts = { cpus: number('cpus', 4), gpus: number('gpus', 0) };
      return aConnect(Number(subject), {
        ...facts,
        capabilities: Object.fromEntries(names.map((has) => split(has, ':'))),
      });
    }
    case 'disconnect':
      return { kind: 'disconnect-node', nodeId: nodeNumber(Number(subject)) };
    case 'submit': {
      const needs = someNeeds({
        cpus: number('cpus', 1),
        capabilities: (words.get('needs')?.split(',') ?? []).map((name) => ({ name })),
      });
      const group = someGroup({ count: number('jobs', 1), retries: number('retries', 0), needs });
      const submit = aSubmit(
        Number(subject),
        { groups: [group], buildDigest: words.get('build') ?? '' },
        words.get('name'),
      );
      if (submit.kind !== 'submit') throw new Error('a submission is a submission');
      const maxFailures = words.has('failures') ? number('failures', 0) : undefined;
      return { ...submit, maxRunning: number('max', 0), maxFailures, replace: words.has('replace') };
    }
    case 'cancel':
    case 'hold':
    case 'release':
    case 'retry':
      return {
        kind: verb,
        batchId: batchNumber(Number(subject)),
        jobs: [
          number('first', 0),
          number('count', head.state.batches.get(batchNumber(Number(subject)))?.rows.count ?? 0),
        ],
      };
    case 'requeue': {
      const [batch = 0, index = 0] = subject.split('/').map(Number);
      const notOn = words.has('not-on') ? nodeNumber(number('not-on', 0)) : undefined;
      return { kind: 'requeue', batchId: batchNumber(batch), jobs: [index, 1], notOn };
    }
    case 'staging':
    case 'building':
    case 'paused':
    case 'running': {
      const { nodeId, ref } = attemptOf(head, subject);
      const startedMsAgo = verb === 'running' || verb === 'paused' ? 0 : undefined;
      return { kind: 'progress-attempt', nodeId, attempt: ref, phase: verb, startedMsAgo };
    }
    case 'succeeded':
    case 'cancelled':
      return staged(attemptOf(head, subject), { state: verb });
    case 'failed':
      return staged(attemptOf(head, subject), { state: 'failed', reason: 'exit', message: 'exit 3' });
    case 'returned':
      return returned(attemptOf(head, subject), words.get('reason') ?? 'recalled');
    case 'lost': {
      const { nodeId, ref } = attemptOf(head, subject);
      return { kind: 'lose-attempt', nodeId, attempt: ref, message: 'rebooted' };
    }
    case 'build-ready':
    case 'build-failed': {
      const state = verb === 'build-ready' ? 'ready' : 'failed';
      const digest = words.get('build') ?? '';
      return { kind: 'report-build', nodeId: nodeNumber(Number(subject)), digest, state, message: 'make: error 1' };
    }
    case 'yields': {
      const told = aYield({
        step: words.get('step') === 'none' ? 'none' : words.get('step') === 'throttle' ? 'throttle' : 'pause',
        takesJobs: words.has('takes-jobs'),
        cause: words.has('by') ? 'asked' : words.has('asleep') ? 'asleep' : 'activity',
        by: words.get('by') ?? '',
        reason: (words.get('reason') ?? '').replaceAll('-', ' '),
        endsInMs: words.has('for') ? minutes(words.get('for') ?? '') * 60_000 : undefined,
        condition: (words.get('when') ?? '').replaceAll('-', ' '),
        usuallyFreeFromMinute: words.has('from') ? number('from', 0) : undefined,
      });
      return { kind: 'note-yield', nodeId: nodeNumber(Number(subject)), told };
    }
    case 'yields-to-nobody':
      return { kind: 'note-yield', nodeId: nodeNumber(Number(subject)), told: aYield({}) };
    case 'wishes-away': {
      const { nodeId, ref } = attemptOf(head, subject);
      return { kind: 'wish-requeue', nodeId, attempt: ref, reason: 'its owner needs the memory' };
    }
    case 'drain':
      return { kind: 'drain-node', nodeId: nodeNumber(Number(subject)), reason: words.get('reason') ?? '' };
    case 'undrain':
      return { kind: 'undrain-node', nodeId: nodeNumber(Number(subject)) };
    case 'wait':
      return { kind: 'tick' };
    default:
      throw new Error(`A scenario has no verb "${verb}"`);
  }
}

/** An attempt as `batch/index`, or `batch/index.attempt on node` for one that is no longer the current. */
function attemptOf(head: PureHead, subject: string): Attempt {
  const [job = '', news = ''] = subject.split('@');
  const [path = '', number] = job.split('.');
  const [batch, index] = path.split('/').map(Number);
  const batchId = batchNumber(batch ?? 0);
  const last = head.state.batches.get(batchId)?.rows.attempts[index ?? 0] ?? 0;
  const ref = { batchId, index: index ?? 0, attempt: Number(number ?? last) };
  const live = head.state.attempts.get(attemptId(ref, ref.attempt));
  if (live && news === '') return live;
  if (news === '') throw new Error(`No attempt of ${subject} lives: say on which node it was, as in ${subject}@1`);
  return {
    ref,
    nodeId: nodeNumber(Number(news)),
    cpus: 1,
    phase: { kind: 'assigned' },
    sinceMs: 0,
    pausedMs: 0,
    recalled: false,
    cancelling: false,
    requeueing: false,
    lapsedSinceMs: undefined,
  };
}

function whyOf(head: PureHead, subject: string): string {
  const [batch, index] = subject.split('/').map(Number);
  const found = head.state.batches.get(batchNumber(batch ?? 0));
  if (!found) throw new Error(`No batch ${batch}`);
  return explain(head.state, found, index ?? 0, head.nowMs).summary;
}

/** An event in a few words: what it is about, and what it says. */
function tell(head: PureHead, event: Event): string {
  const about: string[] = [event.kind];
  if ('attempt' in event) about.push(`${short(event.attempt.batchId)}/${event.attempt.index}.${event.attempt.attempt}`);
  if ('batchId' in event) about.push(short(event.batchId));
  if ('nodeId' in event && event.nodeId !== undefined) about.push(head.state.nodes.get(event.nodeId)?.name ?? '?');
  if ('jobs' in event) about.push(`[${event.jobs.join(' ')}]`);
  if ('yielding' in event) about.push(event.yielding.step, event.yielding.takesJobs ? 'takes-jobs' : 'takes-none');
  if ('phase' in event) about.push(event.phase);
  if ('state' in event) about.push(event.state);
  if ('outcome' in event) about.push(event.outcome.state);
  if ('reason' in event && event.reason !== '') about.push(event.reason);
  if ('requeued' in event && event.requeued) about.push('requeued');
  return about.join(' ');
}

function short(id: string): string {
  return String(Number(id.slice(2)));
}

function minutes(text: string): number {
  const found = /^(\d+)m$/.exec(text);
  if (!found) throw new Error(`Cannot wait "${text}": say minutes, as in 10m`);
  return Number(found[1]);
}

function split(word: string, at: string): [string, string] {
  const [name = '', ...rest] = word.split(at);
  return [name, rest.join(at)];
}
