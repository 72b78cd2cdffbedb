import { existsSync } from 'node:fs';
import { Fault, messageOf } from '../../base/errors.ts';
import { type CommandResult, runCommand } from '../machine/run-command.ts';
import { argvCommand } from './shell-text.ts';

/** Options and variables with which containers start on this node. */
export interface WaysToRun {
  readonly options: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What this node's Apptainer can do, found out by trying it, after the setups of the capabilities a job needs. */
export interface ApptainerNode {
  /** Throws `Fault` (`invalid-image`) when an image lacks the app, saying which it has. */
  checkApp(image: string, app: string, setups: readonly string[], signal: AbortSignal): Promise<void>;
  /** How an image starts here; tried once. Throws `Fault` (`apptainer-failed`) with what Apptainer said each time. */
  waysToRun(image: string, setups: readonly string[], signal: AbortSignal): Promise<WaysToRun>;
}

/**
 * What is tried, in this order. On an ordinary workstation the first works; root without all capabilities (in a
 * container) needs a user namespace, and a user who may not open /dev/fuse needs the image unpacked.
 */
const candidates: readonly WaysToRun[] = [
  { options: [], env: {} },
  { options: ['--userns'], env: {} },
  { options: [], env: { APPTAINER_UNSQUASH: '1' } },
  { options: ['--userns'], env: { APPTAINER_UNSQUASH: '1' } },
];
/** A container starts in a fraction of a second; unpacking a large image takes minutes. */
const tryTimeoutMs = 300_000;
const inspectTimeoutMs = 30_000;
/** Images whose app was checked; the oldest is forgotten. */
const checkedMax = 1000;

/** `env`: what every command gets, `PATH` and `HOME` at least. */
export function apptainerNode(env: () => Readonly<Record<string, string>>): ApptainerNode {
  const checked = new Set<string>();
  let ways: Promise<WaysToRun> | undefined;
  // Its kernel module, not its programs, makes `--nv` work.
  const nvidia = existsSync('/proc/driver/nvidia') ? ['--nv'] : [];
  return {
    async checkApp(image, app, setups, signal) {
      if (checked.has(`${app} ${image}`)) return;
      const argv = argvCommand(['apptainer', 'inspect', '--list-apps', image], setups);
      const result = await runCommand(argv, { env: env(), timeoutMs: inspectTimeoutMs, signal });
      if (result.exitCode !== 0) throw new Fault('invalid-image', `Cannot read the image: ${said(result)}`);
      const apps = result.stdout.split('\n').filter(Boolean);
      if (!apps.includes(app)) {
        const found = apps.length === 0 ? 'it has none' : `it has ${apps.join(', ')}`;
        throw new Fault(
          'invalid-image',
          `The image has no app "${app}" (${found}); add "%apprun ${app}" to its definition`,
        );
      }
      checked.add(`${app} ${image}`);
      const [oldest] = checked;
      if (checked.size > checkedMax && oldest !== undefined) checked.delete(oldest);
    },
    async waysToRun(image, setups, signal) {
      ways ??= findWay(image, nvidia, setups, env());
      try {
        return await abortable(ways, signal);
      } catch (error) {
        ways = undefined; // the next job tries again: someone may have mended the node
        throw error;
      }
    },
  };
}

async function findWay(
  image: string,
  nvidia: readonly string[],
  setups: readonly string[],
  base: Readonly<Record<string, string>>,
): Promise<WaysToRun> {
  const complaints: string[] = [];
  for (const way of candidates) {
    const options = [...nvidia, ...way.options];
    // Every app is run by /bin/sh, so an image that can run one has it.
    const argv = argvCommand(['apptainer', 'exec', ...options, image, '/bin/sh', '-c', ':'], setups);
    try {
      const result = await runCommand(argv, { env: { ...base, ...way.env }, timeoutMs: tryTimeoutMs });
      if (result.exitCode === 0) return { options, env: way.env };
      complaints.push(`${[...options, ...Object.keys(way.env)].join(' ') || 'no options'}: ${said(result)}`);
    } catch (error) {
      complaints.push(messageOf(error));
    }
  }
  throw new Fault('apptainer-failed', `Apptainer cannot start a container on this node. ${complaints.join('; ')}`);
}

function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function said(result: CommandResult): string {
  return result.stderr.trim().split('\n').slice(-2).join(' ') || `exit code ${result.exitCode}`;
}
