import type { Command } from 'commander';
import { act, type Finish } from './act.ts';

/** Commands about who belongs to the cluster. */
export function addAccess(program: Command, finish: Finish): void {
  program
    .command('login <HEAD>')
    .description('get a certificate for a token, and speak to that head from now on')
    .option(
      '--token <token>',
      'from "labrun token create --user"; "-" reads it from standard input (also: LABRUN_TOKEN)',
    )
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./login.ts')).login));
  program
    .command('logout')
    .description('forget the certificate on this machine')
    .option('--json', 'one JSON object')
    .action(act(finish, async () => (await import('./login.ts')).logout));
  asking(program.command('whoami').description('whom the head takes you for')).action(
    act(finish, async () => (await import('./admin.ts')).whoAmI),
  );
  addTokens(program, finish);
  addMembers(program, finish);
  addDrains(program, finish);
  addNamespaces(program, finish);
  asking(program.command('audit').description('who did what'))
    .option('--since <number>', 'begin at this entry')
    .action(act(finish, async () => (await import('./audit.ts')).audit));
}

function addTokens(program: Command, finish: Finish): void {
  const token = program.command('token').description('what lets workstations and people in, once');
  asking(token.command('create').description('make one; it is shown only now'))
    .option('--node', 'for a workstation')
    .option('--user <name>', 'for a person, who gets this name')
    .option('--admin', 'the person may do everything')
    .option('--owner <user>', 'with --node: who sits there')
    .option('--expires <time>', 'how long it works: 30m, 12h (default: 1h)')
    .option('--uses <number>', 'how often it works (default: once)')
    .action(act(finish, async () => (await import('./token.ts')).createToken));
  asking(token.command('list').description('those that still work')).action(
    act(finish, async () => (await import('./token.ts')).listTokens),
  );
  asking(token.command('revoke <ID>').description('make one useless')).action(
    act(finish, async () => (await import('./token.ts')).revokeToken),
  );
}

function addMembers(program: Command, finish: Finish): void {
  const user = program.command('user').description('people of the cluster');
  asking(user.command('list').description('everyone who has logged in')).action(
    act(finish, async () => (await import('./members.ts')).listUsers),
  );
  asking(user.command('remove <NAME>').description('take their certificates away, at once')).action(
    act(finish, async () => (await import('./members.ts')).removeUser),
  );
  const node = program.command('node').description('workstations of the cluster (see also: nodes)');
  asking(node.command('remove <NODE>').description('take its certificate away, at once; its jobs wait again')).action(
    act(finish, async () => (await import('./members.ts')).removeNode),
  );
  asking(node.command('owner <NODE> [USER]').description('say who sits there; nobody, without USER')).action(
    act(finish, async () => (await import('./members.ts')).ownNode),
  );
}

function addDrains(program: Command, finish: Finish): void {
  asking(program.command('drain <NODE>').description('keep new jobs from a node; what runs there goes on'))
    .option('--reason <text>', 'why, for those whose jobs wait')
    .action(act(finish, async () => (await import('./drain.ts')).drain));
  asking(
    program.command('undrain <NODE>').description('let a node have jobs again, also one that is quarantined'),
  ).action(act(finish, async () => (await import('./drain.ts')).undrain));
}

function addNamespaces(program: Command, finish: Finish): void {
  const namespace = program.command('namespace').description('whose batches are where, and who may see them');
  asking(namespace.command('list').description('those you may read')).action(
    act(finish, async () => (await import('./namespace.ts')).listNamespaces),
  );
  for (const [name, description, shared] of [
    ['share', 'let a user submit to it', true],
    ['unshare', 'no longer', false],
  ] as const) {
    asking(namespace.command(`${name} <NAMESPACE> <USER>`).description(description)).action(
      act(finish, async () => (await import('./namespace.ts')).shareNamespace(shared)),
    );
  }
  for (const [name, description, readable] of [
    ['open', 'let every user read it', true],
    ['close', 'let its owner and members alone read it', false],
  ] as const) {
    asking(namespace.command(`${name} <NAMESPACE>`).description(description)).action(
      act(finish, async () => (await import('./namespace.ts')).openNamespace(readable)),
    );
  }
}

function asking(command: Command): Command {
  return command
    .option('--data <folder>', 'on the head itself: its folder, whose socket needs no login')
    .option('--json', 'one JSON object');
}
