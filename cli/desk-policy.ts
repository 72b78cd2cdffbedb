import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call } from '../base/channel/client.ts';
import { RefusedError } from '../base/errors.ts';
import { type Desk, type DeskCommandOptions, withDesk } from './desk-connect.ts';
import { exitCodes } from './exit.ts';
import type { Printer } from './print.ts';
import { openEditor } from './terminal.ts';

/** Prints the policy of the machine's owner. */
export async function showPolicy(_: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  const { yaml } = await withDesk(options, getPolicy);
  if (options.json) print.json({ policy: yaml });
  else if (yaml === '') print.note('The default; docs/desk.md says what that is');
  else print.line(yaml);
  return exitCodes.done;
}

/** Takes a policy from a file, or from standard input; an empty one is the default again. */
export async function setPolicy(
  [file = '']: readonly string[],
  options: DeskCommandOptions,
  print: Printer,
): Promise<number> {
  const yaml = readFileSync(file === '-' ? 0 : file, 'utf8');
  await withDesk(options, ({ client, prove }) => call(client, client.setPolicy, { yaml }, { metadata: prove() }));
  if (options.json) print.json({ policy: yaml });
  else print.line(yaml.trim() === '' ? 'the default holds again' : 'the new policy holds');
  return exitCodes.done;
}

/** Opens the policy in an editor, again and again until it is right or left as it was. */
export async function editPolicy(_: readonly string[], options: DeskCommandOptions, print: Printer): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'labrun-policy-'));
  const file = join(folder, 'policy.yaml');
  try {
    const { yaml } = await withDesk(options, getPolicy);
    writeFileSync(file, yaml === '' ? policyStart : yaml);
    for (let before = readFileSync(file, 'utf8'); ; ) {
      await openEditor(file);
      const text = readFileSync(file, 'utf8');
      if (text === before) {
        print.note('Nothing was changed');
        return exitCodes.done;
      }
      before = text;
      try {
        return await setPolicy([file], options, print);
      } catch (error) {
        if (!(error instanceof RefusedError) || error.refusal.code !== 'invalid') throw error;
        writeFileSync(file, `${error.message.replaceAll(/^/gm, '# ')}\n${text.replaceAll(/^# .*\n/gm, '')}`);
        before = readFileSync(file, 'utf8');
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const policyStart = `# What is done on this machine while you are at it. These are the defaults.
#onActivity: throttle        # nothing, throttle or pause
#throttleTo: half            # or a number of cores
#onMemoryPressure: pause
#onGpuUse: pause
#idle: {resume: 5m, newWork: 15m}
#ownJobsGoOn: true
#hours: [{days: [mon, tue, wed, thu, fri], from: "9:00", to: "18:00", do: pause}]
`;

function getPolicy({ client, prove }: Desk): Promise<{ readonly yaml: string }> {
  return call(client, client.getPolicy, {}, { metadata: prove() });
}
