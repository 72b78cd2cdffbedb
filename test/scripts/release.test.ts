import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { capture } from '../kit/processes.ts';
import { repository } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

const read = (name: string) => readFileSync(join(repository, name), 'utf8');
const node = (script: string, ...args: string[]) =>
  capture([process.execPath, join(repository, 'scripts', script), ...args], { env: nowhere });
// No registry can be asked.
const nowhere = { ...process.env, npm_config_registry: 'http://127.0.0.1:1/' } as Record<string, string>; // an environment holds strings

describe('the SBOM', () => {
  it('lists every package at run time with version, hash and licence, and needs no network', async () => {
    const file = join(scratchFolder(), 'sbom.cdx.json');
    const made = await node('sbom.mjs', file);
    expect(made.code, made.stderr).toBe(0);
    const text = readFileSync(file, 'utf8');
    const bom: Bom = JSON.parse(text);
    expect(bom).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'labrun' } } });
    const listed = bom.components.map(({ name, version }) => `${name} ${version}`).toSorted();

    const atRunTime =
      read('docs/dependencies.md')
        .split('For development')[0]
        ?.matchAll(/^\| `([^`]+)` \|/gm) ?? [];
    const documented = [...atRunTime].map(([, name]) => name);
    expect(documented.length).toBeGreaterThan(10);
    expect(bom.components.map(({ name }) => name)).toEqual(expect.arrayContaining(documented));

    const lock: Lock = JSON.parse(read('package-lock.json'));
    const locked = Object.entries(lock.packages).flatMap(([path, { dev, version }]) =>
      path === '' || dev ? [] : `${path.replace(/^.*node_modules\//, '')} ${version}`,
    );
    expect(listed).toEqual([...new Set(locked)].toSorted());
    for (const { name, hashes, licenses } of bom.components) {
      expect(hashes?.[0]?.content, name).toMatch(/^[0-9a-f]{128}$/);
      expect(licenses?.length, name).toBeGreaterThan(0);
    }
    expect(text).not.toContain(repository);
    expect(text.match(/https?:\/\/[^/"]+/g)).toEqual(['http://cyclonedx.org']);
  });
});

describe('what is signed', () => {
  itWith('ssh-keygen')('is verified by the commands of docs/releasing.md, until one byte is another', async () => {
    const { folder, key, signers } = await aRelease();
    const signed = await node('sign.mjs', folder, key, signers);
    expect(signed.code, signed.stderr).toBe(0);
    expect(readdirSync(folder).toSorted()).toEqual(['SHA256SUMS', 'SHA256SUMS.sig', 'labrun.cdx.json', 'labrun.tgz']);
    const commands = /```bash\n([^`]*ssh-keygen[^`]*)```/.exec(read('docs/releasing.md'))?.[1] ?? 'false';
    const verify = () =>
      capture(['bash', '-ec', commands.replace('-f release-signers', `-f ${signers}`)], { cwd: folder });
    const good = await verify();
    expect(good, good.stderr).toMatchObject({ code: 0 });
    expect(good.stdout).toMatch(/Good "labrun-release" signature[\s\S]*labrun\.cdx\.json: OK\nlabrun\.tgz: OK/);
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const before = readFileSync(path);
      const changed = Buffer.from(before);
      changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
      writeFileSync(path, changed);
      expect((await verify()).code, name).not.toBe(0);
      writeFileSync(path, before);
    }
    expect((await verify()).code).toBe(0);
  });

  itWith('ssh-keygen')('is not published when users would refuse its key', async () => {
    const { folder, key } = await aRelease();
    const refused = await node('sign.mjs', folder, key, join(repository, 'docs/release-signers'));
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/Cannot publish: users would refuse the signature/);
    expect(readdirSync(folder)).not.toContain('SHA256SUMS.sig');
  });
});

it('releases nothing but a tag, from a folder without changes', async () => {
  const folder = scratchFolder();
  const git = async (...args: string[]) => {
    const who = ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-c', 'commit.gpgsign=false'];
    const said = await capture(['git', ...who, ...args], { cwd: folder });
    expect(said.code, said.stderr).toBe(0);
  };
  mkdirSync(join(folder, 'scripts'));
  cpSync(join(repository, 'scripts/release.mjs'), join(folder, 'scripts/release.mjs'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'labrun', version: '1.2.3' }));
  const release = (...args: string[]) => capture([process.execPath, join(folder, 'scripts/release.mjs'), ...args]);
  await git('init', '--quiet');
  expect((await release()).stderr).toMatch(/Cannot release v1\.2\.3: say with which key/);
  expect((await release('--key', 'k')).stderr).toMatch(/changes that are not committed/);
  await git('add', '.');
  await git('commit', '--quiet', '-m', 'all');
  await git('tag', 'v1.2.2');
  expect(await release('--key', 'k')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/has no tag "v1\.2\.3"/),
  });
});

interface Bom {
  readonly components: readonly {
    readonly name: string;
    readonly version: string;
    readonly hashes?: readonly { readonly content: string }[];
    readonly licenses?: readonly unknown[];
  }[];
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly version: string }>>;
}

/** A folder as a release makes it before it signs, and a key for this test alone. */
async function aRelease(): Promise<{ folder: string; key: string; signers: string }> {
  const work = scratchFolder();
  const folder = join(work, 'release');
  mkdirSync(folder);
  writeFileSync(join(folder, 'labrun.tgz'), 'a package');
  writeFileSync(join(folder, 'labrun.cdx.json'), '{}');
  const key = join(work, 'key');
  const made = await capture(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'someone', '-f', key]);
  expect(made.code, made.stderr).toBe(0);
  const signers = join(work, 'signers');
  writeFileSync(signers, `labrun-release namespaces="labrun-release" ${readFileSync(`${key}.pub`, 'utf8')}`);
  return { folder, key, signers };
}
