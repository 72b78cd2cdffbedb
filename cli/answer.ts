import { call } from '../base/channel/client.ts';
import { withHead } from './connect.ts';
import { batchJson } from './json.ts';
import type { Printer } from './print.ts';

/** A printer for the steps of a command that answers with one JSON object at its end: notes go on, lines do not. */
export function silenced(print: Printer): Printer {
  const nothing = async () => {};
  return { ...print, line: () => {}, json: () => {}, lines: nothing, bytes: nothing, jsonPart: nothing };
}

/** A batch as `status --json` tells it, without its jobs. */
export async function batchOf(address: string, namespace: string, name: string) {
  return withHead({ head: address }, async (head) => {
    const selector = { namespace, batch: name, job: '', states: [], reasons: [], where: [] };
    return batchJson(await call(head.batches, head.batches.get, { selector }, { metadata: head.metadata }));
  });
}
