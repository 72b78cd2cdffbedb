import { resolve } from 'node:path';

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
): Promise<number> {
  const { runAgent } = await import('../node-agent/main.ts');
  return runAgent({
    dataFolder: resolve(options.data),
    head: options.head ?? process.env['LABRUN_HEAD'],
    name: options.name,
    configFile: options.config === undefined ? undefined : resolve(options.config),
    dedicated: options.dedicated ?? false,
    logLevel: options.logLevel,
  });
}
