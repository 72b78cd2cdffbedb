import { describe, expect, it } from 'vitest';
import { dataRemoval, type Found, installSteps, type Step, stepText, unitRemoval } from '../../cli/service-plan.ts';
import { type Service, sliceText, unitText } from '../../cli/service-unit.ts';

describe('what an installation changes', () => {
  it('is everything on a new machine: account, folder, unit, and its start at boot', () => {
    expect(stepsFor(anAgent(), nothing).map((step) => stepText(step).split('\n')[0])).toEqual([
      "useradd --system --user-group --home-dir /var/lib/labrun-agent --no-create-home --shell /usr/sbin/nologin --comment 'labrun agent service' labrun-agent",
      'install -d -m 0700 -o labrun-agent -g labrun-agent /var/lib/labrun-agent',
      "cat > /etc/systemd/system/labrun.slice <<'END'",
      "cat > /etc/systemd/system/labrun-agent.service <<'END'",
      'systemctl daemon-reload',
      'systemctl enable labrun-agent.service',
    ]);
  });

  it('is nothing where all of it is there', () => {
    expect(installSteps(anAgent(), installed())).toEqual([]);
  });

  it('is the mode alone where a data folder stands open', () => {
    const open = installed({ folder: { uid: 990, gid: 980, mode: 0o755, isEmpty: false } });
    expect(stepsFor(anAgent(), open).map(({ kind }) => kind)).toEqual(['folder']);
  });

  it('is the unit alone where its text is of another release', () => {
    const old = installed({ unit: '[Service]\n' });
    expect(stepsFor(anAgent(), old).map(({ kind }) => kind)).toEqual(['write', 'run']);
  });

  it('lets a group come to the desk, whose sessions tell the agent of them', () => {
    const found = { ...nothing, deskGroupExists: true };
    const steps = stepsFor(anAgent({ deskGroup: 'lab' }), found).map(stepText);
    expect(steps[1]).toContain('-m 0711');
    expect(steps.join('\n')).toContain('SupplementaryGroups=lab');
    expect(steps.slice(-3).map((text) => text.split('\n')[0])).toEqual([
      "cat > /var/lib/labrun-agent/agent.yaml <<'END'",
      "cat > /etc/systemd/user/labrun-desk.service <<'END'",
      'systemctl --global enable labrun-desk.service',
    ]);
    expect(installSteps(anAgent({ deskGroup: 'lab' }), nothing)).toMatchObject({ code: 'invalid' });
    // The agent goes by its settings: a unit that says another thing would close the desk to everybody.
    const other = { ...found, hasSettings: true, settingsGroup: 'office' };
    expect(installSteps(anAgent({ deskGroup: 'lab' }), other)).toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('names the group "office"'),
    });
    expect(
      stepsFor(anAgent({ deskGroup: 'office' }), other)
        .map(stepText)
        .join('\n'),
    ).not.toContain('agent.yaml');
  });

  it('lets the agent keep its machine awake, where polkit decides about that', () => {
    const found = installed({ hasPolkit: true });
    const [step, ...more] = stepsFor(anAgent(), found);
    expect(more).toEqual([]);
    expect(step).toMatchObject({ kind: 'write', path: '/etc/polkit-1/rules.d/50-labrun.rules' });
    const polkitRule = step?.kind === 'write' ? step.text : '';
    expect(polkitRule).toContain('subject.user === "labrun-agent"');
    expect(stepsFor(anAgent(), installed({ hasPolkit: true, polkitRule }))).toEqual([]);
    expect(unitRemoval(anAgent(), installed({ polkitRule })).map(stepText)).toContain(
      'rm -rf /etc/polkit-1/rules.d/50-labrun.rules',
    );
    expect(
      stepsFor({ ...anAgent(), kind: 'head' }, { ...nothing, hasPolkit: true })
        .map(stepText)
        .join(),
    ).not.toContain('polkit');
  });

  it('makes the account in a group of its name that is there already', () => {
    const [first] = stepsFor(anAgent(), { ...nothing, groupExists: true });
    expect(first && stepText(first)).toContain('--gid labrun-agent');
  });
});

describe('what is not installed', () => {
  it.each([
    ['a service that is root', anAgent({ account: 'root' }), nothing, 'never runs as root'],
    [
      'a service whose account has the number of root',
      anAgent({ account: 'toor' }),
      { ...nothing, account: { uid: 0, gid: 0, ours: false } },
      'never runs as root',
    ],
    ['an account whose name is an option', anAgent({ account: '-o' }), nothing, 'is no name of an account'],
    [
      'a line break smuggled into the unit',
      anAgent({ dataFolder: '/srv/a\nExecStartPre=/bin/true' }),
      nothing,
      'control character',
    ],
    [
      "a folder with somebody else's files",
      anAgent({ dataFolder: '/home' }),
      { ...nothing, folder: { uid: 0, gid: 0, mode: 0o755, isEmpty: false } },
      'is in use and does not belong to "labrun-agent"',
    ],
    [
      'a program that the account could not read',
      anAgent(),
      { ...nothing, unreachable: { path: '/root/labrun.js', closed: '/root' } },
      '"/root" is closed to others',
    ],
  ] as const)('%s', (_, service, found, why) => {
    expect(installSteps(service, found)).toMatchObject({ kind: 'refused', message: expect.stringContaining(why) });
  });
});

describe('what an uninstallation changes', () => {
  it('stops the service and removes its unit, and nothing where there is none', () => {
    expect(unitRemoval(anAgent(), installed()).map(stepText)).toEqual([
      'systemctl disable --now labrun-agent.service',
      'rm -rf /etc/systemd/system/labrun-agent.service',
      'rm -rf /etc/systemd/system/labrun.slice',
      'systemctl daemon-reload',
    ]);
    expect(unitRemoval(anAgent(), nothing)).toEqual([]);
  });

  it('keeps data, and the account with it, until it is told to purge', () => {
    expect(dataRemoval(anAgent(), installed(), false)).toEqual([]);
    const purged = dataRemoval(anAgent(), installed(), true);
    expect('code' in purged ? purged : purged.map(stepText)).toEqual([
      'rm -rf /var/lib/labrun-agent',
      'userdel labrun-agent',
    ]);
  });

  it('never removes an account that was not made for it', () => {
    const found = installed({ account: { uid: 990, gid: 980, ours: false } });
    expect(dataRemoval(anAgent(), found, true)).toEqual([{ kind: 'remove', path: '/var/lib/labrun-agent' }]);
  });

  it('removes no data under a running job', () => {
    expect(dataRemoval(anAgent(), installed({ processes: 3 }), true)).toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('3 of its processes still run'),
    });
  });

  it("removes nobody else's folder", () => {
    const found = installed({ folder: { uid: 0, gid: 0, mode: 0o755, isEmpty: false } });
    expect(dataRemoval(anAgent(), found, true)).toMatchObject({ kind: 'refused', code: 'conflict' });
  });
});

const nothing: Found = {
  account: undefined,
  groupExists: false,
  deskGroupExists: false,
  slice: undefined,
  hasPolkit: false,
  polkitRule: undefined,
  deskUnit: undefined,
  deskEnabled: false,
  hasSettings: false,
  settingsGroup: undefined,
  folder: undefined,
  unit: undefined,
  enabled: false,
  unreachable: undefined,
  processes: 0,
};

function installed(change: Partial<Found> = {}): Found {
  return {
    ...nothing,
    account: { uid: 990, gid: 980, ours: true },
    groupExists: true,
    folder: { uid: 990, gid: 980, mode: 0o700, isEmpty: false },
    slice: sliceText,
    unit: unitText(anAgent()),
    enabled: true,
    ...change,
  };
}

function anAgent(change: Partial<Service> = {}): Service {
  return {
    kind: 'agent',
    account: 'labrun-agent',
    dataFolder: '/var/lib/labrun-agent',
    writable: [],
    command: ['/usr/bin/node', '/opt/labrun/dist/labrun.js'],
    head: undefined,
    deviceGroups: [],
    allowSetuid: false,
    deskGroup: undefined,
    ...change,
  };
}

function stepsFor(service: Service, found: Found): readonly Step[] {
  const steps = installSteps(service, found);
  if ('code' in steps) throw new Error(steps.message);
  return steps;
}
