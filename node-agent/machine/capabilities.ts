import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, isSystemError } from '../../base/errors.ts';
import type { FoundCapabilities, FoundCapability } from './capability.ts';
import { findGpus } from './gpu.ts';
import { runCommand } from './run-command.ts';

/** A capability as the agent's configuration declares it. One of a name labrun knows changes how that is probed. */
export interface ConfiguredCapability {
  /** Shell text; exit code 0 means it is there, and the first number it prints is its version. Absent: it is there. */
  readonly probe?: string | undefined;
  readonly setup?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** A way to use a program, and the question that tells its version. */
interface Candidate {
  readonly setup?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** What labrun looks for by itself. */
interface KnownCapability {
  /** Shell text that succeeds where the program works. */
  readonly probe: string;
  /** Finds the version in what it prints. */
  readonly version: RegExp;
  candidates(): readonly Candidate[];
}

/** Longest time a probe may take, in milliseconds. One that hangs is killed, and its capability is not there. */
const probeTimeoutMs = 15_000;

const plain = (): readonly Candidate[] => [{}];
const known: Readonly<Record<string, KnownCapability>> = {
  python3: { probe: 'python3 --version', version: /Python (\d[\w.]*)/, candidates: plain },
  gfortran: { probe: 'gfortran -dumpfullversion', version: /(\d[\d.]*)/, candidates: plain },
  apptainer: { probe: 'apptainer --version', version: /version (\d[\w.]*)/, candidates: plain },
  // Only a try tells whether the kernel lets this user make namespaces.
  bubblewrap: {
    probe: 'bwrap --ro-bind / / --unshare-pid --proc /proc --dev /dev --tmpfs /tmp --cap-drop ALL bwrap --version',
    version: /bubblewrap (\d[\d.]*)/,
    candidates: plain,
  },
  // OpenFOAM's programs name their release at the end of their help: "Using: OpenFOAM-v2312 (2312)", "OpenFOAM- (1912)" in
  // Debian's package (the number in parentheses is the API, which is the release), or "OpenFOAM-11" of the Foundation.
  openfoam: {
    probe: 'blockMesh -help',
    version: /Using: OpenFOAM-\S*(?: \(|(?<=-))v?(\d+)/,
    candidates: openfoamCandidates,
  },
};

/**
 * Finds out by running them which capabilities this machine has. All are asked at the same time; one that fails or
 * hangs is left out. `path`: where programs are looked for.
 */
export async function findCapabilities(
  configured: Readonly<Record<string, ConfiguredCapability>>,
  path: string,
): Promise<FoundCapabilities> {
  const names = [...new Set([...Object.keys(known), ...Object.keys(configured)])].filter((name) => name !== 'gpu');
  const found = await Promise.all(names.map(async (name) => [name, await find(name, configured[name], path)] as const));
  const there = found.flatMap(([name, capability]) => (capability ? [[name, capability] as const] : []));
  return Object.fromEntries([...there, ...(await gpu(configured['gpu'], path))]);
}

async function find(
  name: string,
  declared: ConfiguredCapability | undefined,
  path: string,
): Promise<FoundCapability | undefined> {
  const builtIn = known[name];
  const probe = declared?.probe ?? builtIn?.probe;
  const version = declared?.probe === undefined && builtIn ? builtIn.version : /(\d[\w.]*)/;
  const candidates = declared && isSetUp(declared) ? [declared] : (builtIn?.candidates() ?? [{}]);
  for (const candidate of candidates) {
    const { setup, env = {} } = candidate;
    if (probe === undefined) return { version: '', setup, env };
    const said = await ask(probe, setup, { PATH: path, HOME: '/', LANG: 'C.UTF-8', ...env });
    if (said !== undefined) return { version: version.exec(said)?.[1] ?? '', setup, env };
  }
  return undefined;
}

/** Whether an admin said how to make it usable; else the ways that packagers install it are tried. */
function isSetUp({ setup, env }: ConfiguredCapability): boolean {
  return setup !== undefined || Object.keys(env ?? {}).length > 0;
}

/** What a probe prints; nothing when it fails. The setup may end as it likes, as in jobs. */
async function ask(
  probe: string,
  setup: string | undefined,
  env: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const text = setup === undefined ? probe : `${setup}\n${probe}`;
  try {
    const { exitCode, stdout, stderr } = await runCommand(['bash', '-c', text], { env, timeoutMs: probeTimeoutMs });
    return exitCode === 0 ? `${stdout}\n${stderr}` : undefined;
  } catch (error) {
    if (error instanceof Fault) return undefined; // it hung, or there is no bash: either way it cannot be used
    throw error;
  }
}

async function gpu(declared: ConfiguredCapability | undefined, path: string): Promise<[string, FoundCapability][]> {
  if (declared?.probe !== undefined) {
    const found = await find('gpu', declared, path);
    return found ? [['gpu', found]] : [];
  }
  const gpus = await findGpus(path);
  if (gpus.count === 0) return [];
  return [['gpu', { version: gpus.driver, setup: declared?.setup, env: declared?.env ?? {} }]];
}

/**
 * Where OpenFOAM is installed by its packagers: Debian's needs one variable, those of OpenCFD and of the Foundation
 * their bashrc. The newest by name is asked first.
 */
function openfoamCandidates(): readonly Candidate[] {
  const folders = [...foldersIn('/usr/lib/openfoam', /^openfoam/), ...foldersIn('/opt', /^openfoam/i)];
  return [
    {},
    { env: { WM_PROJECT_DIR: '/usr/share/openfoam' } },
    ...folders.map((folder) => ({ setup: `source '${join(folder, 'etc/bashrc').replaceAll("'", "'\\''")}'` })),
  ];
}

function foldersIn(parent: string, name: RegExp): readonly string[] {
  try {
    const names = readdirSync(parent).filter((entry) => name.test(entry));
    return names
      .sort()
      .reverse()
      .map((entry) => join(parent, entry));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return [];
    throw error;
  }
}
