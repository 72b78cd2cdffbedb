import { call } from '../base/channel/client.ts';
import { readStream } from '../base/channel/streams.ts';
import { systemClock } from '../base/clock.ts';
import { nameProblem } from '../base/names.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { type Head, type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';

/** How long someone who has pressed Tab is kept waiting, in milliseconds. */
const patienceMs = 1_000;
/** Most words offered: nobody reads more. */
const offersMax = 500;

/**
 * Prints what a selector that begins like this may become, one a line: for completion scripts. Silent when the head does
 * not answer in time, whatever the reason, since nobody asked a question.
 */
export async function complete([word = '']: readonly string[], options: HeadOptions, print: Printer): Promise<number> {
  // A name that is looked up, or a connection that hangs, would hold the process: it has no other work to finish.
  const leave = () => process.exit(exitCodes.done);
  const timer = systemClock.setTimer(patienceMs, leave);
  try {
    const found = await withHead({ ...options, renews: false }, (head) => offersFor(head, word.split('/')));
    const offered = found.filter((one) => one.startsWith(word) && one.split('/').every((part) => !nameProblem(part)));
    await print.lines([...new Set(offered)].slice(0, offersMax));
    timer.cancel();
    return exitCodes.done;
  } catch {
    return leave(); // the shell would print an error into the line that is being typed
  }
}

/** Reads `a/b` as `readSelector` does, in both ways. What one of them does not find hides nothing of the other. */
async function offersFor(head: Head, parts: readonly string[]): Promise<string[]> {
  const [first = '', second = '', third = ''] = parts;
  const readings =
    parts.length === 1
      ? [batchesOf(head, '', first, ''), everyones(head)]
      : parts.length === 2
        ? [batchesOf(head, first, second, `${first}/`), jobsOf(head, '', first, second, `${first}/`)]
        : [jobsOf(head, first, second, third, `${first}/${second}/`)];
  const answers = await Promise.allSettled(readings);
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
}

async function batchesOf(head: Head, namespace: string, batch: string, before: string): Promise<string[]> {
  const request = { selector: chosen(namespace, batch, ''), all: namespace !== '', pageToken: '' };
  const { batches } = await call(head.batches, head.batches.list, request, about(head));
  return batches.map(({ name }) => before + name);
}

async function everyones(head: Head): Promise<string[]> {
  const request = { selector: chosen('', '', ''), all: true, pageToken: '' };
  const { batches } = await call(head.batches, head.batches.list, request, about(head));
  return batches.map(({ namespace, name }) => `${namespace}/${name}`);
}

async function jobsOf(head: Head, namespace: string, batch: string, job: string, before: string): Promise<string[]> {
  const selector = chosen(namespace, batch, `${job}*`);
  const names: string[] = [];
  const deadline = systemClock.nowMs() + patienceMs;
  for await (const { jobs } of readStream(head.batches.jobs({ selector }, head.metadata, { deadline }))) {
    names.push(...jobs.map(({ name }) => before + name));
    if (names.length >= offersMax) break;
  }
  return names;
}

function about({ metadata }: Head) {
  return { metadata, deadlineMs: patienceMs };
}

function chosen(namespace: string, batch: string, job: string): Selector {
  return { namespace, batch, job, states: [], reasons: [], where: [] };
}
