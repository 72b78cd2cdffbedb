import { resolve } from 'node:path';
import { formatToken } from '../base/pki/token.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';
import { startHint } from './start-hint.ts';
import { givenToken } from './token-text.ts';

/** Runs the agent in this process until it is told to stop. */
export async function startAgent(
  _: readonly string[],
  options: {
    readonly head?: string;
    readonly data: string;
    readonly name?: string;
    readonly config?: string;
    readonly dedicated?: boolean;
    readonly logLevel: string;
  },
  print: Printer,
): Promise<number> {
  const { runAgent } = await import('../node-agent/main.ts');
  return runAgent({
    dataFolder: resolve(options.data),
    head: options.head ?? process.env['LABRUN_HEAD'],
    name: options.name,
    configFile: options.config === undefined ? undefined : resolve(options.config),
    dedicated: options.dedicated ?? false,
    logLevel: options.logLevel,
    say: print.line,
  });
}

/** Gets this machine a certificate for a token; the agent then knows its head. */
export async function joinAgent(
  [head = '']: readonly string[],
  options: {
    readonly data: string;
    readonly token?: string;
    readonly name?: string;
    readonly owner?: string;
    readonly dedicated?: boolean;
    readonly json?: boolean;
  },
  print: Printer,
): Promise<number> {
  const token = formatToken(await givenToken(options.token));
  const { joinAgent: joinCluster } = await import('../node-agent/main.ts');
  const dataFolder = resolve(options.data);
  const { name, owner = '', dedicated = false } = options;
  const { clusterId, nodeName, expiresAtMs } = await joinCluster({ dataFolder, head, token, name, owner, dedicated });
  if (options.json) {
    print.json({ node: nodeName, cluster: clusterId, head, expiresAt: new Date(expiresAtMs).toISOString() });
  } else {
    print.line(`"${nodeName}" has joined ${head}`);
    print.note(`Next: ${await startHint('agent', options.data)}`);
  }
  return exitCodes.done;
}
