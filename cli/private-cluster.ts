import { mkdtemp, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { delay, systemClock } from '../base/clock.ts';
import { Fault, isSystemError } from '../base/errors.ts';
import { removeGuarded } from '../base/transfer/remove-guarded.ts';
import { cancelAll } from './cancel-all.ts';
import { ChildService } from './child-service.ts';
import { exitCodes, usageError } from './exit.ts';
import { processesIn } from './leftovers.ts';

/** A head and agents of one's own, reached through a Unix socket. */
export interface PrivateCluster {
  /** Address of the head. */
  readonly head: string;
  /** Aborted when this program is told to stop. */
  readonly stop: AbortSignal;
}

export interface PrivateClusterOptions {
  /** Names of the agents; they share the machine's cores. */
  readonly agents: readonly string[];
  /** Settings of the agents, instead of this machine as it is found. */
  readonly configFile?: string | undefined;
}

/** How long what is left of jobs may take to vanish after SIGKILL, and the pause between looks, in milliseconds. */
const goneMaxMs = 5_000;
const lookAgainMs = 20;

/**
 * Starts a head and agents as child processes in a temporary folder, runs `task` with them, and removes everything in
 * any case: when the task fails, and on SIGINT, SIGTERM or SIGHUP, which answer with the status of an interrupt.
 */
export async function withPrivateCluster(
  options: PrivateClusterOptions,
  task: (cluster: PrivateCluster) => Promise<number>,
): Promise<number> {
  if (process.platform !== 'linux') throw usageError('Cannot run jobs on this machine: agents need Linux');
  const stop = new AbortController();
  const onSignal = () => stop.abort(new Error('stopped'));
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  const folder = await mkdtemp(join(tmpdir(), 'labrun-'));
  const services: ChildService[] = [];
  let head: string | undefined;
  try {
    head = await start(folder, options, services, stop.signal);
    return await task({ head, stop: stop.signal });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    if (head) await cancelAll(head).catch(() => undefined); // what could not be cancelled is found and killed below
    return exitCodes.interrupted;
  } finally {
    await Promise.all(services.map((service) => service.stop()));
    await endLeftovers(folder);
    await removeGuarded(folder);
    for (const signal of signals) process.off(signal, onSignal);
  }
}

async function start(
  folder: string,
  options: PrivateClusterOptions,
  services: ChildService[],
  signal: AbortSignal,
): Promise<string> {
  const env = ownEnvironment();
  const data = join(folder, 'head');
  const address = `unix:${folder}/head.sock`;
  const begin = (name: string, ...args: string[]) => {
    const service = new ChildService(args, env, join(folder, `${name}.log`));
    services.push(service);
    return service;
  };
  const init = begin('init', 'head', 'init', '--data', data);
  await init.printed(/^Made cluster /, signal);
  await init.finished();
  await begin('head', 'head', 'start', '--data', data, '--grpc', address).printed(/: listening on /, signal);
  const config = options.configFile ?? (await writeAgentConfig(folder, options.agents.length));
  await Promise.all(
    options.agents.map((name) => {
      const where = [
        '--data',
        join(folder, name),
        '--head',
        address,
        '--name',
        name,
        '--config',
        config,
        '--dedicated',
      ];
      return begin(name, 'agent', 'start', ...where).printed(/: connected to /, signal);
    }),
  );
  return address;
}

/** The capability `node` is this program's own Node: the examples are written for it. */
async function writeAgentConfig(folder: string, agents: number): Promise<string> {
  const path = join(folder, 'agents.json');
  const nodeFolder = dirname(process.execPath).replaceAll("'", "'\\''");
  await writeFile(
    path,
    JSON.stringify({
      ...(agents > 1 ? { cpus: Math.max(1, Math.floor(availableParallelism() / agents)) } : {}),
      capabilities: { node: { version: process.versions.node, setup: `export PATH='${nodeFolder}':"$PATH"` } },
    }),
  );
  return path;
}

/** A private cluster knows nothing of any other. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const { LABRUN_HEAD: _, LABRUN_TOKEN: __, LABRUN_CONFIG: ___, ...rest } = process.env;
  return rest;
}

/** Kills what a stopped job has left, by process id, until nothing is. */
async function endLeftovers(folder: string): Promise<void> {
  const untilMs = systemClock.monotonicMs() + goneMaxMs;
  for (;;) {
    const left = await processesIn(folder);
    if (left.length === 0) return;
    if (systemClock.monotonicMs() > untilMs) {
      throw new Fault('child', `Cannot end the processes ${left.join(', ')}, which use "${folder}"`);
    }
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!isSystemError(error, 'ESRCH')) throw error;
      }
    }
    await delay(systemClock, lookAgainMs);
  }
}
