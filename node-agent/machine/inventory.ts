import { statfs } from 'node:fs/promises';
import { arch, availableParallelism, platform } from 'node:os';
import si from 'systeminformation';
import type { MachineInventory } from '../ports.ts';
import { type ConfiguredCapability, findCapabilities } from './capabilities.ts';
import type { FoundCapabilities } from './capability.ts';
import { findGpus } from './gpu.ts';

/** What the agent's configuration says about the machine. */
export interface ConfiguredMachine {
  /** Cores for jobs, instead of all. */
  readonly cpus?: number | undefined;
  readonly capabilities: Readonly<Record<string, ConfiguredCapability>>;
}

/** What a machine has and offers. */
export interface Machine {
  readonly inventory: MachineInventory;
  /** With what makes each usable. */
  readonly capabilities: FoundCapabilities;
}

/** What does not change while the agent runs. */
export interface Hardware {
  readonly physicalCores: number;
  readonly memoryBytes: number;
  /** Size of the filesystem that holds the agent's data folder. */
  readonly diskBytes: number;
  readonly gpus: number;
}

/** Looks at the machine once, at start; it takes about a tenth of a second. `root`: the agent's data folder. */
export async function readHardware(root: string, path: string): Promise<Hardware> {
  const [cpu, memory, disk, gpus] = await Promise.all([si.cpu(), si.mem(), statfs(root), findGpus(path)]);
  return {
    // A container or an affinity mask may leave this agent fewer than the machine has.
    physicalCores: Math.max(1, Math.min(cpu.physicalCores || cpu.cores, availableParallelism())),
    memoryBytes: memory.total,
    diskBytes: disk.blocks * disk.bsize,
    gpus: gpus.count,
  };
}

/** Asks for the capabilities, at start and again when the configuration has changed. */
export async function readMachine(hardware: Hardware, configured: ConfiguredMachine, path: string): Promise<Machine> {
  const capabilities = await findCapabilities(configured.capabilities, path);
  const versions = Object.entries(capabilities).map(([name, { version }]) => [name, version] as const);
  const inventory: MachineInventory = {
    capabilities: Object.fromEntries(versions),
    cpus: configured.cpus ?? hardware.physicalCores,
    memoryBytes: hardware.memoryBytes,
    diskBytes: hardware.diskBytes,
    gpus: hardware.gpus,
    os: platform(),
    architecture: arch(),
  };
  return { inventory, capabilities };
}
