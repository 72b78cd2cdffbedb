import { resolve } from 'node:path';
import type { Printer } from './print.ts';
import { startHint } from './start-hint.ts';

/** Makes a new cluster: the head's folder, its archive, its settings. Says what to type next. */
export async function initHead(
  _: readonly string[],
  options: { readonly data: string; readonly archive?: string; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const { initHead: init } = await import('../head/main.ts');
  const dataFolder = resolve(options.data);
  const made = await init({
    dataFolder,
    archiveFolder: options.archive === undefined ? undefined : resolve(options.archive),
  });
  if (options.json) print.json({ cluster: made.clusterId, data: dataFolder, config: made.configFile });
  else {
    print.line(`Made cluster ${made.clusterId} in ${dataFolder} (settings: ${made.configFile})`);
    print.note(`Next: ${await startHint('head', options.data)}`);
    print.note(`Then, for each workstation: labrun token create --data ${options.data} --node`);
    print.note(`And for each person:        labrun token create --data ${options.data} --user NAME`);
  }
  return 0;
}

/** Runs the head in this process until it is told to stop. */
export async function startHead(
  _: readonly string[],
  options: {
    readonly data: string;
    readonly grpc?: string;
    readonly plain?: boolean;
    readonly acceptLoss?: boolean;
    readonly logLevel: string;
  },
  print: Printer,
): Promise<number> {
  const { runHead } = await import('../head/main.ts');
  return runHead({
    dataFolder: resolve(options.data),
    grpc: options.grpc,
    plain: options.plain ?? false,
    acceptLoss: options.acceptLoss ?? false,
    logLevel: options.logLevel,
    say: print.line,
  });
}
