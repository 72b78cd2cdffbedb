import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAgentSettings } from '../../config/agent.ts';
import { readCliSettings } from '../../config/cli.ts';
import { defaultPolicy } from '../../config/desk-policy.ts';
import { headSettingsFile, newHeadSettings, readHeadSettings } from '../../config/head.ts';
import { noQuotas, quotaOf } from '../../config/quotas.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

describe("the agent's settings", () => {
  it('are defaults where there is no file, unless one was asked for', async () => {
    const path = join(scratchFolder(), 'agent.yaml');
    expect(await readAgentSettings(path, { required: false })).toEqual({
      name: undefined,
      cpus: undefined,
      memoryBytes: undefined,
      diskBytes: undefined,
      capabilities: {},
      blobsQuotaBytes: 20 * 2 ** 30,
      buildsQuotaBytes: 20 * 2 ** 30,
      runAs: undefined,
      freezing: 'auto',
      readable: ['/opt'],
      processesMax: 4_096,
      diskReserveBytes: undefined,
      holesMaxBytes: 16 * 2 ** 30,
      shell: true,
      killGraceMs: 10_000,
      desk: {
        group: undefined,
        owner: undefined,
        pauseMaxMs: 14_400_000,
        policy: defaultPolicy,
        policyIsFixed: false,
      },
    });
    await expect(readAgentSettings(path, { required: true })).rejects.toThrow('Cannot read the settings: ENOENT');
  });

  it('keep versions and variables as written, and take a capability that says nothing about itself', async () => {
    const path = fileOf(
      'cpus: 6\nmemory: 8G\nkillGrace: 1m\nfreezing: cgroup-v1\nblobs: {quota: 1G}\ncapabilities:\n  scanner:\n' +
        '  fluent: {version: 1.10, setup: source /opt/fluent/env, probe: fluent -v, env: {LICENCE: 0123}}\n',
    );
    expect(await readAgentSettings(path, { required: true })).toMatchObject({
      cpus: 6,
      memoryBytes: 8 * 2 ** 30,
      killGraceMs: 60_000,
      freezing: 'cgroup-v1',
      blobsQuotaBytes: 2 ** 30,
      capabilities: {
        scanner: { version: undefined, env: {} },
        fluent: { version: '1.10', setup: 'source /opt/fluent/env', probe: 'fluent -v', env: { LICENCE: '0123' } },
      },
    });
  });

  it('tell everything that is wrong, with its place', async () => {
    const path = fileOf(
      'cpu: 4\nmemory: 1M\nkillGrace: 2h\ncapabilities: {"a b": {}, c: {setups: x}}\nname: ../x\nfreezing: sigstop\n',
    );
    const message = await readAgentSettings(path, { required: true }).then(
      () => 'nothing was wrong',
      (error: Error) => error.message.replaceAll(path, 'agent.yaml'),
    );
    expect(message.split('\n')).toEqual([
      'agent.yaml:1:1: cpu: unknown key "cpu"; did you mean "cpus"?',
      'agent.yaml:2:9: memory: expected an amount like "512M" or "20G", at least 64M, found the text "1M"',
      'agent.yaml:3:12: killGrace: expected a time between 0s and 1h, found the text "2h"',
      'agent.yaml:4:16: capabilities.a b: expected the name of a capability: letters, digits and . _ + -',
      'agent.yaml:4:31: capabilities.c.setups: unknown key "setups"; did you mean "setup"?',
      'agent.yaml:5:7: name: expected a name: letters, digits and . _ + = , @ -, found the text "../x"',
      'agent.yaml:6:11: freezing: expected auto, cgroup-v2, cgroup-v1 or stop, found the text "sigstop"',
    ]);
  });
});

describe("the head's settings", () => {
  it('are defaults without a file, with folders beside the data', async () => {
    const folder = scratchFolder();
    expect(await readHeadSettings(folder)).toEqual({
      archiveFolder: join(folder, 'archive'),
      grpc: '0.0.0.0:7420',
      heartbeatMs: 5_000,
      leaseMs: 600_000,
      diskReserveBytes: 2 ** 30,
      cancelGraceMs: 10_000,
      quotas: noQuotas,
    });
  });

  it('have quotas by namespace, each amount that is not named from "default"', async () => {
    const folder = scratchFolder();
    writeFileSync(
      headSettingsFile(folder),
      'quotas:\n  CFD: {archive: 2T}\n  default: {archive: 500G, staging: 100G}\n',
    );
    const { quotas } = await readHeadSettings(folder);
    expect(quotaOf(quotas, 'cfd')).toEqual({
      archiveBytes: 2 * 2 ** 40,
      stagingBytes: 100 * 2 ** 30,
      inputsBytes: Number.POSITIVE_INFINITY,
    });
    expect(quotaOf(quotas, 'ada')).toMatchObject({ archiveBytes: 500 * 2 ** 30 });
    const complaint = (text: string) => {
      writeFileSync(headSettingsFile(folder), text);
      return readHeadSettings(folder).then(
        () => 'nothing was wrong',
        (error: Error) => error.message,
      );
    };
    expect(await complaint('quotas: {"../x": {archive: 1G}}\n')).toContain(
      'no namespace can have this name: it must start with a letter or a digit',
    );
    const both = await complaint('quotas: {x: {archive: 1K, arhcive: 1G}}\n');
    expect(both).toContain('at least 1M, found the text "1K"');
    expect(both).toContain('did you mean "archive"?');
  });

  it('are written for a new head so that they read back', async () => {
    const folder = scratchFolder();
    const defaults = await readHeadSettings(folder);
    writeFileSync(headSettingsFile(folder), newHeadSettings(undefined));
    expect(await readHeadSettings(folder)).toEqual(defaults);
    writeFileSync(headSettingsFile(folder), newHeadSettings('/big disk/results'));
    expect(await readHeadSettings(folder)).toEqual({ ...defaults, archiveFolder: '/big disk/results' });
    // Each default that the file shows is the one that holds.
    writeFileSync(headSettingsFile(folder), newHeadSettings(undefined).replace(/^# (?=[a-zA-Z]+: )/gm, ''));
    expect(await readHeadSettings(folder)).toEqual(defaults);
  });
});

describe("the command line's settings", () => {
  it('come from variables first, then the file, then defaults', async () => {
    const home = scratchFolder();
    expect(await readCliSettings({}, home)).toEqual({ head: undefined, token: undefined, colour: 'auto' });
    mkdirSync(join(home, '.config/labrun'), { recursive: true });
    writeFileSync(join(home, '.config/labrun/config.yaml'), 'head: unix:/run/labrun.sock\ntoken: t\ncolour: never\n');
    expect(await readCliSettings({}, home)).toEqual({ head: 'unix:/run/labrun.sock', token: 't', colour: 'never' });
    const env = { LABRUN_HEAD: '127.0.0.1:1', LABRUN_TOKEN: 'u' };
    expect(await readCliSettings(env, home)).toEqual({ head: '127.0.0.1:1', token: 'u', colour: 'never' });
  });

  it('come from the file that LABRUN_CONFIG names, which must be there', async () => {
    const home = scratchFolder();
    const path = join(home, 'mine.yaml');
    await expect(readCliSettings({ LABRUN_CONFIG: path }, home)).rejects.toThrow('Cannot read the settings');
    writeFileSync(path, '# only a comment\n');
    expect(await readCliSettings({ LABRUN_CONFIG: path }, home)).toMatchObject({ head: undefined });
    writeFileSync(path, 'color: never\n');
    await expect(readCliSettings({ LABRUN_CONFIG: path }, home)).rejects.toThrow('did you mean "colour"?');
  });

  it('have no colours where NO_COLOR is set', async () => {
    expect(await readCliSettings({ NO_COLOR: '1' }, scratchFolder())).toMatchObject({ colour: 'never' });
  });
});

function fileOf(text: string): string {
  const path = join(scratchFolder(), 'agent.yaml');
  writeFileSync(path, text);
  return path;
}
