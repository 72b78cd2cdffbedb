import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const definition = join(dirname(dirname(fileURLToPath(import.meta.url))), 'fixtures/tiny-image.def');

/**
 * Builds an Apptainer image of about 1 MB at `target`, without a network: busybox and `%apprun distribute`, which
 * squares the number in /input/input.txt. Throws with Apptainer's own words when it cannot.
 */
export function buildTinyImage(target: string): void {
  const work = mkdtempSync(join(tmpdir(), 'labrun-image-'));
  try {
    layOutRoot(join(work, 'rootfs'));
    copyFileSync(definition, join(work, 'image.def'));
    const build = ['apptainer', 'build', '--force', target, 'image.def'];
    // Root of a container lacks capabilities that a build as real root asks for; a user namespace of its own has them.
    const argv = process.getuid?.() === 0 ? ['unshare', '-r', ...build] : build;
    run(argv, work);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The arguments with which `apptainer run` works for this user: root may need a user namespace. */
export function apptainerRunOptions(): readonly string[] {
  return process.getuid?.() === 0 ? ['--userns'] : [];
}

function layOutRoot(root: string): void {
  const folders = 'bin etc proc sys dev tmp var/tmp root home input distribute_save scratch-mount usr/bin'.split(' ');
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  const busybox = run(['sh', '-c', 'command -v busybox'], root).trim();
  copyFileSync(busybox, join(root, 'bin/busybox'));
  for (const applet of run([busybox, '--list'], root).split('\n')) {
    if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  symlinkSync('/bin/env', join(root, 'usr/bin/env'));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\n');
}

function run(argv: readonly string[], cwd: string): string {
  const [command = '', ...args] = argv;
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 60_000 });
  if (result.status !== 0) {
    const said = `${result.error?.message ?? ''}${result.stderr ?? ''}`.trim();
    throw new Error(`"${argv.join(' ')}" ended with ${result.signal ?? result.status}: ${said}`);
  }
  return result.stdout;
}
