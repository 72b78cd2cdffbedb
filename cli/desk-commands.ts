import type { Command } from 'commander';
import { act, type Finish } from './act.ts';

/** Commands for the person at a workstation: they speak to the agent there, and need no head. */
export function addDesk(program: Command, finish: Finish): void {
  // Words after these commands are taken, for them to say what to write instead.
  atDesk(program.command('pause').description('stop what labrun runs on this machine').allowExcessArguments())
    .option('--for <time>', 'such as 30m or 1h30m10s (default: as long as the machine allows, 4h)')
    .option('--until <when>', '"tomorrow", or "away": until you have left')
    .option('--reason <text>', 'for the people whose jobs wait')
    .option('--wait', 'stay, and let everything go on at Ctrl-C')
    .action(act(finish, async () => (await import('./pause.ts')).pause));
  atDesk(program.command('resume').description('end your pause of this machine'))
    .option('--all', 'those of other people, too')
    .action(act(finish, async () => (await import('./pause.ts')).resume));
  atDesk(program.command('presence').description('who is at this machine, signal by signal')).action(
    act(finish, async () => (await import('./desk.ts')).presence),
  );
  const desk = atDesk(
    program.command('desk').description('this machine, live, for the person who sits at it').allowExcessArguments(),
  );
  desk.action(act(finish, async () => (await import('./desk-live.ts')).deskLive));
  atDesk(desk.command('status').description('what runs here, whose, since when, until when')).action(
    act(finish, async () => (await import('./desk.ts')).deskStatus),
  );
  atDesk(
    desk.command('helper').description('run in a desktop session, and tell the agent when somebody acts in it'),
  ).action(act(finish, async () => (await import('./desk-helper.ts')).deskHelper));
  const policy = desk.command('policy').description('what is done while you are there');
  atDesk(policy.command('show', { isDefault: true }).description('print it').allowExcessArguments()).action(
    act(finish, async () => (await import('./desk-policy.ts')).showPolicy),
  );
  atDesk(policy.command('set <FILE>').description('take it from a file; "-" is standard input')).action(
    act(finish, async () => (await import('./desk-policy.ts')).setPolicy),
  );
  atDesk(policy.command('edit').description('open it in your editor')).action(
    act(finish, async () => (await import('./desk-policy.ts')).editPolicy),
  );
}

function atDesk(command: Command): Command {
  return command
    .option('--data <folder>', "the agent's own folder (also: LABRUN_DESK; default: /var/lib/labrun-agent)")
    .option('--json', 'one JSON object');
}
