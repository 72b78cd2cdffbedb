import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { asNodeId, ulid } from '../../base/ids.ts';
import { openLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { openExecutor } from '../../node-agent/executor/executor.ts';
import { type OpenAgent, openAgent } from '../../node-agent/open-agent.ts';
import { openRecord } from '../../node-agent/store/record.ts';
import { Identity } from '../../node-agent/uplink/identity.ts';
import { plainBuildFolders, plainWorkspace } from './plain-workspace.ts';
import { wellDisk } from './well-disk.ts';

/**
 * A whole agent in this process, with real processes, over plain working folders. `close` leaves its jobs running.
 * `begins`: whether it starts what waits and dials the head, or leaves that to the test.
 */
export async function aTestAgent(folder: string, socketPath: string, cpus = 2, bootId = 'boot', begins = true) {
  mkdirSync(folder, { recursive: true });
  const lines: string[] = [];
  const events: string[] = [];
  const builds: string[] = [];
  /** Cores in use at each change of attempts. */
  const coresInUse: number[] = [];
  const executor = await openExecutor({
    folder: join(folder, 'supervisors'),
    clock: systemClock,
    architecture: process.arch,
  });
  const record = await openRecord(
    join(folder, 'record'),
    () => {
      const id = asNodeId(ulid(1, systemRandom.bytes(10)));
      if (!id) throw new Error('ulid makes ids');
      return id;
    },
    systemClock,
  );
  let opened: OpenAgent | undefined;
  const agent = await openAgent({
    clock: systemClock,
    random: systemRandom,
    log: openLog('agent', 'silent'),
    identity: new Identity({
      address: { kind: 'unix', path: socketPath },
      credentials: undefined,
      file: '',
      clock: systemClock,
      random: systemRandom,
      log: openLog('agent', 'silent'),
    }),
    nodeName: 'n1',
    version: '0',
    bootId,
    record,
    executor,
    cacheFolder: join(folder, 'blobs'),
    cacheQuotaBytes: 2 ** 30,
    buildsLimitBytes: 2 ** 30,
    processesMax: () => 256,
    diskReserveBytes: () => 0,
    freeBytes: async () => 2 ** 40,
    ownDisk: wellDisk,
    killGraceMs: 1_000,
    makeWorkspace: async () => ({
      workspace: plainWorkspace(join(folder, 'attempts'), events),
      buildFolders: plainBuildFolders(join(folder, 'builds'), builds),
    }),
    inventory: {
      capabilities: { python3: '3.11' },
      cpus,
      memoryBytes: 1,
      diskBytes: 1,
      gpus: 0,
      os: 'linux',
      architecture: 'x64',
      tracking: executor.tracking,
      dedicated: false,
      jobsAccount: 'tester',
      agentIsRoot: false,
      freezing: 'stop',
    },
    // While it is opened it takes up what runs, and nobody has it to ask.
    attemptsChanged: () => opened && void coresInUse.push(opened.coresInUse),
    shellsChanged: () => undefined,
    say: (line) => lines.push(line),
  });
  opened = agent;
  if (begins) agent.begin();
  return { agent, lines, events, builds, coresInUse, executor, record };
}
