import type { Clock, Timer } from '../../base/clock.ts';

/** What people in desktop sessions are to be told; the number is another for each. */
export interface Notice {
  /** Empty for nothing. */
  readonly text: string;
  readonly number: number;
}

/** What goes on at this machine, as far as people at it want to hear of it. */
export interface Scene {
  /** "paused": there is work, and it is stopped. */
  readonly kind: 'idle' | 'working' | 'paused';
  /** Whose work it is. */
  readonly users: readonly string[];
  /** Why it is paused. */
  readonly why: string;
  /** Somebody asked for it: they know. */
  readonly asked: boolean;
}

export interface NoticesPorts {
  readonly clock: Clock;
  /** Whether anybody wants to hear. */
  wanted(): boolean;
  scene(): Scene;
  show(text: string): void;
}

/** At most one notice in so many milliseconds; what has changed meanwhile is told together, or not when it changed back. */
const everyMs = 60_000;
/** Most names in one notice. */
const namesMax = 3;

/** Tells when work starts and stops at this machine, now and then. What ran already when it was made is no news. */
export class Notices {
  readonly #ports: NoticesPorts;
  #last: Scene['kind'];
  #shownMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(ports: NoticesPorts) {
    this.#ports = ports;
    this.#last = ports.scene().kind;
  }

  /** Something may be different. */
  look(): void {
    const { clock, wanted, scene, show } = this.#ports;
    this.#timer?.cancel();
    const now = scene();
    if (now.kind === this.#last) return;
    if (!wanted() || now.asked) {
      this.#last = now.kind;
      return;
    }
    const waitMs = this.#shownMs + everyMs - clock.monotonicMs();
    if (waitMs > 0) {
      this.#timer = clock.setTimer(waitMs, () => this.look());
      return;
    }
    const text = noticeOf(this.#last, now);
    this.#last = now.kind;
    this.#shownMs = clock.monotonicMs();
    show(text);
  }

  close(): void {
    this.#timer?.cancel();
  }
}

function noticeOf(before: Scene['kind'], { kind, users, why }: Scene): string {
  if (kind === 'idle') return 'labrun: no job runs on this machine any more';
  if (kind === 'paused') return `labrun: jobs on this machine have been stopped${why === '' ? '' : `: ${why}`}`;
  if (before === 'paused') return 'labrun: jobs on this machine go on';
  const names = users.length > namesMax ? [...users.slice(0, namesMax), 'others'] : users;
  return `labrun: a job of ${names.join(', ')} runs on this machine now; "labrun pause" stops it`;
}
