import { expect, it } from 'vitest';
import { Notices, type Scene } from '../../../node-agent/desk/notices.ts';
import { ManualClock } from '../../kit/manual-clock.ts';

const idle: Scene = { kind: 'idle', users: [], why: '', asked: false };
const working: Scene = { ...idle, kind: 'working', users: ['ada'] };
const paused: Scene = { ...working, kind: 'paused', why: 'memory is short' };

function aBoard(first: Scene = idle) {
  const clock = new ManualClock();
  const shown: string[] = [];
  let scene = first;
  let wanted = true;
  const board = new Notices({ clock, scene: () => scene, wanted: () => wanted, show: (text) => shown.push(text) });
  const become = (next: Scene) => {
    scene = next;
    board.look();
  };
  return { board, clock, shown, become, want: (value: boolean) => (wanted = value) };
}

it('notices tell when work begins, stops, goes on and ends', () => {
  const { shown, become, clock } = aBoard();
  for (const scene of [working, working, paused, working, idle]) {
    become(scene);
    clock.advance(60_000);
  }
  expect(shown).toEqual([
    'labrun: a job of ada runs on this machine now; "labrun pause" stops it',
    'labrun: jobs on this machine have been stopped: memory is short',
    'labrun: jobs on this machine go on',
    'labrun: no job runs on this machine any more',
  ]);
});

it('notices come at most once a minute, and what changed back meanwhile is none', () => {
  const { shown, become, clock } = aBoard();
  become(working);
  for (let at = 0; at < 50; at += 1) {
    become(idle);
    become(working);
  }
  clock.advance(120_000);
  expect(shown).toHaveLength(1);
  become(idle);
  become(working);
  become(idle);
  expect(shown).toHaveLength(3 - 1);
  become(working);
  clock.advance(59_999);
  expect(shown).toHaveLength(2);
  clock.advance(1);
  expect(shown).toHaveLength(3);
});

it('what somebody asked for, what nobody wants to hear and what ran before are no notices', () => {
  const { shown, become, clock, want } = aBoard(working);
  become(working);
  become({ ...paused, asked: true });
  want(false);
  become(working);
  become(idle);
  want(true);
  clock.advance(120_000);
  expect(shown).toEqual([]);
});

it('a board that is closed says nothing later', () => {
  const { board, shown, become, clock } = aBoard();
  become(working);
  become(idle);
  board.close();
  clock.advance(120_000);
  expect(shown).toHaveLength(1);
});
