import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemRandom } from '../base/random.ts';
import { Cluster } from './cluster.ts';
import { readOptions } from './options.ts';
import { RsyncDaemon } from './rsync-daemon.ts';
import { median, printTable } from './table.ts';

/** What the design asks for: labrun's rate over that of rsync. */
const limits = { design: 0.7, aim: 1 };
const smallBytes = 4_096;

/**
 * Results on their way home: one large file, and many small ones, from the end of a job to its batch's, against `rsync -a` of
 * the same files to a daemon on the loopback. labrun hashes at both ends and syncs before it says that they are safe.
 */
export async function benchArchive(options: readonly string[]): Promise<boolean> {
  const { mib, files, rounds } = readOptions(options, { mib: 2_048, files: 10_000, rounds: 3 });
  console.log(`One file of ${mib} MiB, and ${files} files of 4 KiB, ${rounds} rounds in turn\n`);
  const cluster = new Cluster();
  const rsync = new RsyncDaemon(join(cluster.folder, 'rsync'));
  try {
    await rsync.start();
    await cluster.startHead();
    await cluster.startAgent('n1', 1);
    await timeLabrun(cluster, 'warm', writeFiles(cluster, 'warm', 1, smallBytes)); // what any first batch needs
    const loads = [
      { name: 'large', folder: writeFiles(cluster, 'large', 1, mib * 2 ** 20), mb: (mib * 2 ** 20) / 1e6 },
      { name: 'small', folder: writeFiles(cluster, 'small', files, smallBytes), mb: (files * smallBytes) / 1e6 },
    ];
    const readings: Reading[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const { name, folder, mb } of loads) {
        const rsyncS = rsync.time(folder);
        readings.push({ round, name, mb, rsyncS, labrunS: await timeLabrun(cluster, `${name}-${round}`, folder) });
      }
    }
    report(readings);
    return true;
  } finally {
    await rsync.close();
    await cluster.close();
  }
}

interface Reading {
  readonly round: number;
  readonly name: string;
  readonly mb: number;
  readonly rsyncS: number;
  readonly labrunS: number;
}

function report(readings: readonly Reading[]): void {
  printTable(
    ['round', 'files', 'rsync', 'labrun', 'rsync', 'labrun', 'rate'],
    readings.map(({ round, name, mb, rsyncS, labrunS }) => [
      ...[String(round), name, `${rsyncS.toFixed(2)} s`, `${labrunS.toFixed(2)} s`],
      ...[`${(mb / rsyncS).toFixed(0)} MB/s`, `${(mb / labrunS).toFixed(0)} MB/s`],
      `${(rsyncS / labrunS).toFixed(2)}×`,
    ]),
  );
  const rates = (name: string) => readings.filter((one) => one.name === name).map((one) => one.rsyncS / one.labrunS);
  printTable(
    ['limit', 'files', 'at least', 'measured', ''],
    Object.entries(limits).flatMap(([limit, least]) =>
      ['large', 'small'].map((name) => {
        const rate = median(rates(name));
        return [limit, name, `${least}×`, `${rate.toFixed(2)}×`, rate >= least ? 'kept' : 'MISSED'];
      }),
    ),
  );
}

/** Random content, so that nothing on the way can make it smaller. */
function writeFiles(cluster: Cluster, name: string, count: number, bytes: number): string {
  const folder = join(cluster.folder, 'loads', name);
  mkdirSync(folder, { recursive: true });
  const pieceBytes = Math.min(bytes, 2 ** 20);
  for (let at = 0; at < count; at++) {
    for (let written = 0; written < bytes; written += pieceBytes) {
      writeFileSync(join(folder, `f${at}`), systemRandom.bytes(pieceBytes), { flag: 'a' });
    }
  }
  return folder;
}

/** A job that has the files at once, for they are linked, and says when it ended; all that follows is the archive's way. */
async function timeLabrun(cluster: Cluster, name: string, folder: string): Promise<number> {
  const stamp = join(cluster.folder, `${name}.ended`);
  const run = `cp -al ${folder}/. $LABRUN_ARCHIVE/ && date +%s.%N >${stamp}`;
  const file = cluster.write(name, {
    'labrun.yaml': JSON.stringify({ name, namespace: 'bench', jobs: [{ name: 'j', needs: { cpus: 1 }, run }] }),
  });
  await cluster.labrun('submit', file, '--wait');
  const seconds = (performance.timeOrigin + performance.now()) / 1000 - Number(readFileSync(stamp, 'utf8'));
  const kept = join(cluster.folder, 'head/archive/bench', name);
  const { status } = spawnSync('diff', ['-r', '-x', '.labrun', folder, join(kept, 'j')]);
  if (status !== 0) throw new Error(`The archive in ${kept} differs from ${folder}`);
  rmSync(join(kept, 'j'), { recursive: true });
  return seconds;
}
