import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findCapabilities } from '../../../node-agent/machine/capabilities.ts';
import { findGpus, readGpus } from '../../../node-agent/machine/gpu.ts';
import { readHardware, readMachine } from '../../../node-agent/machine/inventory.ts';
import { standardPath } from '../../../node-agent/scratch/environment.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

describe('capabilities', () => {
  itWith('python3')('has the python that is there, with its version', async () => {
    const found = await findCapabilities({}, standardPath);
    expect(found['python3']?.version).toMatch(/^3\.\d+/);
  });

  itWith('openfoam')('has OpenFOAM by its release number, with what it needs to start', async () => {
    const { openfoam } = await findCapabilities({}, standardPath);
    expect(openfoam?.version).toMatch(/^\d+$/);
  });

  itWith('gfortran')('has gfortran by its full version', async () => {
    expect((await findCapabilities({}, standardPath))['gfortran']?.version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  itWith('apptainer')('has apptainer by its version', async () => {
    expect((await findCapabilities({}, standardPath))['apptainer']?.version).toMatch(/^\d+\.\d+/);
  });

  it('leaves out what is not there or says no', async () => {
    const found = await findCapabilities({ no: { probe: 'exit 1' }, broken: { probe: 'no-such-program' } }, '/nowhere');
    expect(found).toEqual({});
  });

  it('probes a configured one with its setup and variables, and reads its version', async () => {
    const configured = {
      solver: {
        probe: 'echo "$NAME release $FROM_SETUP"',
        setup: 'export FROM_SETUP=7.2; false',
        env: { NAME: 'solver' },
      },
      licence: { env: { LICENCE: '1' } },
    };
    expect(await findCapabilities(configured, standardPath)).toMatchObject({
      solver: { version: '7.2', setup: 'export FROM_SETUP=7.2; false', env: { NAME: 'solver' } },
      licence: { version: '', env: { LICENCE: '1' } },
    });
  });

  it('looks for one it knows as always when the configuration does not say how it is set up', async () => {
    const bin = aProgram('gfortran', 'echo 12.2.0');
    const configured = { gfortran: { probe: undefined, setup: undefined, env: {} } };
    expect(await findCapabilities(configured, `${bin}:${standardPath}`)).toMatchObject({
      gfortran: { version: '12.2.0' },
    });
  });

  it('reads the release of every packaging of OpenFOAM from the help of its programs', async () => {
    for (const [line, version] of [
      ['Using: OpenFOAM- (1912) - visit www.openfoam.com', '1912'],
      ['Using: OpenFOAM-v2312 (2312) - visit www.openfoam.com', '2312'],
      ['Using: OpenFOAM-11 (see https://openfoam.org)', '11'],
    ] as const) {
      const bin = aProgram('blockMesh', `echo "${line}"`);
      const { openfoam } = await findCapabilities({}, `${bin}:${standardPath}`);
      expect(openfoam?.version).toBe(version);
    }
  });
});

describe('gpus', () => {
  it('are counted from the table nvidia-smi prints, and name their driver', () => {
    const text = '0, GPU-aa, NVIDIA RTX A4000, 16376, 535.183.01\n1, GPU-bb, NVIDIA RTX A4000, 16376, 535.183.01\n';
    expect(readGpus(text)).toEqual({ count: 2, driver: '535.183.01' });
    expect(readGpus('No devices were found\n')).toEqual({ count: 0, driver: '' });
  });

  it('are none where the driver does not answer or the program is missing', async () => {
    expect(await findGpus(aProgram('nvidia-smi', 'echo "NVIDIA-SMI has failed"; exit 9'))).toEqual({
      count: 0,
      driver: '',
    });
    expect(await findGpus('/nowhere')).toEqual({ count: 0, driver: '' });
  });

  it('make a capability with the version of the driver', async () => {
    const bin = aProgram('nvidia-smi', 'echo "0, GPU-aa, NVIDIA RTX A4000, 16376, 535.183.01"');
    expect((await findCapabilities({}, `${bin}:${standardPath}`))['gpu']?.version).toBe('535.183.01');
  });
});

describe('the inventory', () => {
  it('says what the machine has, and takes the configured cores instead', async () => {
    const hardware = await readHardware(scratchFolder(), '/nowhere');
    expect(hardware.physicalCores).toBeGreaterThanOrEqual(1);
    expect(hardware.memoryBytes).toBeGreaterThan(2 ** 28);
    expect(hardware.diskBytes).toBeGreaterThan(2 ** 20);
    const configured = { cpus: 7, capabilities: { 'wind-tunnel': {} } };
    const { inventory } = await readMachine(hardware, configured, '/nowhere');
    expect(inventory).toMatchObject({ cpus: 7, gpus: 0, os: 'linux', capabilities: { 'wind-tunnel': '' } });
  });
});

/** A folder with one program, a shell script. */
function aProgram(name: string, text: string): string {
  const bin = join(scratchFolder(), 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(bin, name), 0o755);
  return bin;
}
