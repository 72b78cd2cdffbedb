import { hashBytes } from '../../base/transfer/hash.ts';
import { logPath, manifestLine } from '../../base/transfer/manifest.ts';
import type { Finish } from '../../node-agent/attempts/attempt.ts';
import { inlineMaxBytes } from '../../node-agent/attempts/limits.ts';
import { outcomeOf } from '../../node-agent/attempts/outcome.ts';
import type { Sweep } from '../../node-agent/effects/sweep.ts';
import { aLimit } from '../kit/an-executor.ts';
import type { SimMachine } from './sim-machine.ts';
import type { SimRandom } from './sim-random.ts';

/** What the real sweep does, over folders that have no files: everything it decides and sends is the same. */
export async function simSweep(
  { machine, random }: { readonly machine: SimMachine; readonly random: SimRandom },
  { order, ending, started, sender }: Sweep,
  signal: AbortSignal,
): Promise<Finish> {
  const process = machine.processIn(order.id);
  if (started && !process) throw new Error(`${order.id} was wiped before its end was told`);
  const files = started && process ? { result: process.program.output } : {};
  const contents = [...Object.entries(files), ...(started ? [[logPath, `log of ${order.id}`] as const] : [])];
  const entries = contents.map(([path, text]) => {
    const data = Buffer.from(text);
    return { path, data, wire: path === logPath ? 'log' : `archive/${path}`, hash: hashBytes(data) };
  });
  const lines = entries.map(({ path, data, hash }) =>
    manifestLine({ kind: 'file', path, sizeBytes: data.length, mode: 0o644, hash }),
  );
  const manifest = Buffer.from(lines.join(''));
  const manifestHash = hashBytes(manifest);
  const outcome = outcomeOf(ending, {
    ...{ missing: [], lastLine: '', timeLimitMs: 0, limits: aLimit(), archiveProblem: '', diskIsFull: false },
  });
  const bytes = entries.reduce((sum, { data }) => sum + data.length, manifest.length);
  if (bytes <= inlineMaxBytes && random.chance(0.7)) {
    return {
      outcome,
      manifestHash,
      inline: { manifest, files: entries.map(({ wire, data }) => ({ path: wire, data })) },
    };
  }
  const toSend = entries.map(({ wire, data, hash }) => ({ path: wire, source: data, sizeBytes: data.length, hash }));
  await sender.send(toSend, signal);
  await sender.sendOne({ path: 'manifest', source: manifest, sizeBytes: manifest.length, hash: manifestHash }, signal);
  return { outcome, manifestHash, inline: undefined };
}
