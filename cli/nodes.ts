import { call } from '../base/channel/client.ts';
import type { NodeView, QuarantineView } from '../proto/gen/labrun/v1/nodes.ts';
import { type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { nodeJson } from './json.ts';
import { localTimes } from './local-times.ts';
import { counted, momentText, type Printer, stateText } from './print.ts';
import { tableText } from './table.ts';

/** Shows the machines and what they offer. */
export async function nodes(
  _: readonly string[],
  options: HeadOptions & { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  return withHead(options, async (head) => {
    const answer = await call(head.nodes, head.nodes.list, {}, { metadata: head.metadata });
    if (options.json) print.json({ nodes: answer.nodes.map(nodeJson) });
    else if (answer.nodes.length > 0) {
      print.line(nodesTable(answer.nodes, print));
      for (const { name, trouble } of answer.nodes)
        if (trouble !== '') print.line(print.colour.yellow(`${name} takes no jobs: ${trouble}`));
      for (const node of answer.nodes) for (const line of keptLines(node)) print.line(print.colour.yellow(line));
      for (const { name, quarantine } of answer.nodes)
        if (quarantine) print.line(print.colour.yellow(`${name} is quarantined: ${quarantineText(name, quarantine)}`));
      const asRoot = answer.nodes.filter(({ jobsAccount }) => jobsAccount === 'root').map(({ name }) => name);
      if (asRoot.length > 0)
        print.note(`Jobs run as root on ${asRoot.join(', ')}: name another account as runAs in the agent's settings`);
    } else print.note('No node has come yet: start one with "labrun agent start"');
    return exitCodes.done;
  });
}

function nodesTable(all: readonly NodeView[], print: Printer): string {
  const columns = [
    { head: 'NODE', cuts: true },
    { head: 'STATE' },
    { head: 'CPUS', align: 'right' },
    { head: 'RUNNING', align: 'right' },
    { head: 'YIELDS' },
    { head: 'FINDS BY' },
    { head: 'FREEZES BY' },
    { head: 'JOBS AS', cuts: true },
    { head: 'ISOLATES' },
    { head: 'OFFERS', cuts: true },
  ] as const;
  const rows = all.map((node) => [
    node.name,
    stateText(print, node.state),
    `${node.free?.cpus ?? 0}/${node.total?.cpus ?? 0}`,
    String(node.running),
    node.yielding,
    node.tracking,
    node.freezing,
    accountText(node, print),
    node.isolation,
    node.capabilities.map(({ name, version }) => (version === '' ? name : `${name} ${version}`)).join(', '),
  ]);
  return tableText(print, columns, rows);
}

/** Who keeps jobs from a node, or gets some of it; nothing while jobs get all. */
function keptLines({ name, drained, yield: told }: NodeView): string[] {
  const lines: string[] = [];
  if (drained) {
    const reason = drained.reason === '' ? '' : `: "${drained.reason}"`;
    lines.push(`${name} is drained by ${drained.by} since ${momentText(drained.sinceMs)}${reason}`);
  }
  if (told && told.text !== '') lines.push(`${name} ${localTimes(told.text)}`);
  return lines;
}

/** What speaks against a node, when it is tried again, and how to have it back sooner. */
function quarantineText(name: string, told: QuarantineView): string {
  const { evidence, batch, message, canariesFailed, triedAgainAtMs } = told;
  const where = batch === '' ? '' : ` (${batch}${message === '' ? '' : `: ${message}`})`;
  const again =
    triedAgainAtMs === undefined ? 'one tries it now' : `one tries it from ${momentText(triedAgainAtMs)} on`;
  const since = canariesFailed === 0 ? '' : `; ${counted(canariesFailed, 'job')} that tried it failed`;
  return `${evidence}${where}${since}; ${again} ("labrun undrain ${name}" frees it at once)`;
}

/** The account that jobs run as, and whether the agent beside them is root. */
function accountText({ jobsAccount, agentIsRoot }: NodeView, print: Printer): string {
  if (jobsAccount === 'root') return print.colour.red('root');
  return agentIsRoot ? `${jobsAccount} (agent: root)` : jobsAccount;
}
