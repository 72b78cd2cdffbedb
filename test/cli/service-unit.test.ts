import { describe, expect, it } from 'vitest';
import { type Service, unitText } from '../../cli/service-unit.ts';

describe("the agent's unit", () => {
  it('leaves jobs alone when the agent ends, is started again, or one of them has used all memory', () => {
    const lines = linesOf({});
    for (const line of ['KillMode=process', 'Delegate=yes', 'OOMPolicy=continue', 'Restart=always']) {
      expect(lines).toContain(line);
    }
  });

  it('has none of the options that would take from jobs what they need', () => {
    // docs/services.md says of each what it breaks.
    const harmful =
      /^(PrivateTmp|PrivateDevices|ProtectClock|ProtectControlGroups|ProtectKernelTunables|ProtectKernelLogs|ProtectProc|ProtectHostname|RestrictNamespaces|RestrictSUIDSGID|LockPersonality|MemoryDenyWriteExecute|RemoveIPC|DevicePolicy|UMask)=/;
    expect(linesOf({}).filter((line) => harmful.test(line))).toEqual([]);
  });

  it('has nothing that keeps set-user-id programs from working, where those are allowed', () => {
    const lines = linesOf({ allowSetuid: true });
    expect(
      lines.filter((line) => /^(NoNewPrivileges|Capability|SystemCall|Restrict|ProtectKernel)/.test(line)),
    ).toEqual([]);
    expect(lines).toContain('ProtectSystem=strict');
  });

  it('hides homes, unless the program or the data lies in one', () => {
    expect(linesOf({})).toContain('ProtectHome=yes');
    expect(linesOf({ dataFolder: '/home/lab/agent' })).toContain('ProtectHome=read-only');
    expect(linesOf({ command: ['/usr/bin/node', '/root/labrun/dist/labrun.js'] })).toContain('ProtectHome=read-only');
    expect(linesOf({ dataFolder: '/homeless/agent' })).toContain('ProtectHome=yes');
  });

  it('writes odd paths as systemd reads them', () => {
    const lines = linesOf({ dataFolder: '/srv/the lab\'s 100% "$HOME"\\x' });
    expect(lines).toContain(
      'ExecStart=/usr/bin/node /opt/labrun/dist/labrun.js agent start --data "/srv/the lab\'s 100%% \\"$$HOME\\"\\\\x"',
    );
    expect(lines).toContain('ReadWritePaths=/tmp /var/tmp "/srv/the lab\'s 100%% \\"$HOME\\"\\\\x"');
  });

  it('names the head only where that was asked for, and device groups that are there', () => {
    expect(linesOf({ head: 'store:7420' })).toContain(
      'ExecStart=/usr/bin/node /opt/labrun/dist/labrun.js agent start --data /var/lib/labrun-agent --head store:7420',
    );
    expect(linesOf({ deviceGroups: ['render'] })).toContain('SupplementaryGroups=render');
    expect(unitText(service({}))).not.toContain('SupplementaryGroups');
  });
});

describe("the head's unit", () => {
  it('lets it write its data and its archive, and nothing else', () => {
    const lines = linesOf({ kind: 'head', dataFolder: '/var/lib/labrun-head', writable: ['/big disk/archive'] });
    expect(lines.filter((line) => line.startsWith('ReadWritePaths='))).toEqual([
      'ReadWritePaths=/var/lib/labrun-head "/big disk/archive"',
    ]);
    for (const line of [
      'ProtectSystem=strict',
      'NoNewPrivileges=yes',
      'RestrictNamespaces=yes',
      'PrivateDevices=yes',
    ]) {
      expect(lines).toContain(line);
    }
  });
});

function service(change: Partial<Service>): Service {
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

function linesOf(change: Partial<Service>): readonly string[] {
  return unitText(service(change)).split('\n');
}
