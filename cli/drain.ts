import { call } from '../base/channel/client.ts';
import type { DrainResponse } from '../proto/gen/labrun/v1/nodes.ts';
import type { AdminOptions } from './admin.ts';
import { type Head, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { counted, type Printer } from './print.ts';

/** Keeps new jobs from a node, until it is undrained; what runs there goes on. */
export async function drain(
  [node = '']: readonly string[],
  options: AdminOptions & { readonly reason?: string },
  print: Printer,
): Promise<number> {
  const reason = options.reason ?? '';
  return await changed(
    options,
    print,
    ({ nodes, metadata }) => call(nodes, nodes.drain, { node, reason }, { metadata }),
    (answer) => `${answer.node} gets no new jobs${answer.running === 0 ? '' : `; ${stays(answer.running)} there`}`,
  );
}

/** Lets a node have jobs again, whatever has kept them from it. */
export async function undrain([node = '']: readonly string[], options: AdminOptions, print: Printer): Promise<number> {
  return await changed(
    options,
    print,
    ({ nodes, metadata }) => call(nodes, nodes.undrain, { node }, { metadata }),
    (answer) => `${answer.node} gets jobs again`,
  );
}

async function changed(
  options: AdminOptions,
  print: Printer,
  ask: (head: Head) => Promise<DrainResponse>,
  say: (answer: DrainResponse) => string,
): Promise<number> {
  return await withHead(options, async (head) => {
    const answer = await ask(head);
    if (options.json) print.json(answer);
    else print.line(answer.changed ? say(answer) : 'It was so already');
    return exitCodes.done;
  });
}

function stays(running: number): string {
  return running === 1 ? 'one job goes on' : `${counted(running, 'job')} go on`;
}
