import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import type { Running } from './processes.ts';

/**
 * Starts an sshd with keys and settings of its own on a free port of loopback, all below `folder`, and writes
 * `folder/config`, with which `ssh -F` reaches it under the name `host`. It ends with whoever owns what `start` returns.
 */
export async function startSshServer(
  folder: string,
  host: string,
  start: (argv: readonly string[]) => Running,
): Promise<void> {
  mkdirSync(folder, { mode: 0o700 });
  for (const key of ['host', 'user']) makeKey(`${folder}/${key}`);
  writeFileSync(`${folder}/authorized`, readFileSync(`${folder}/user.pub`));
  chmodSync(`${folder}/authorized`, 0o600);
  const port = await freePort();
  writeFileSync(
    `${folder}/sshd_config`,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${folder}/host`,
      `AuthorizedKeysFile ${folder}/authorized`,
      `PidFile ${folder}/sshd.pid`,
      'StrictModes no', // the keys lie below a world-writable /tmp
      'UsePAM no',
      'PasswordAuthentication no',
      '',
    ].join('\n'),
  );
  writeFileSync(
    `${folder}/config`,
    [
      `Host ${host}`,
      '  HostName 127.0.0.1',
      `  Port ${port}`,
      `  User ${userInfo().username}`,
      `  IdentityFile ${folder}/user`,
      '  IdentitiesOnly yes',
      '  StrictHostKeyChecking no',
      `  UserKnownHostsFile ${folder}/known`,
      '  LogLevel ERROR',
      '',
    ].join('\n'),
  );
  await start(['/usr/sbin/sshd', '-D', '-e', '-f', `${folder}/sshd_config`]).line(/Server listening/);
}

function makeKey(path: string): void {
  const made = spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`Cannot make a key: ${made.stderr}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
