// When a server that went down is started again, and when it is given up.

/** So many ends within `WINDOW_MS` and it is given up. */
export const MOST_ENDS = 5;
/** The same for a server that was never ready: it would hardly be at the next attempt. */
export const MOST_FAILED_STARTS = 2;
export const WINDOW_MS = 3 * 60_000;
const DELAYS_MS = [250, 2_000, 5_000, 15_000];

/** Remembers a server's ends. */
export class Backoff {
  private ends: number[] = [];
  private wasReady = false;

  /** `now` tells milliseconds. */
  constructor(private readonly now: () => number = Date.now) {}

  /** The server was ready. */
  ready(): void {
    this.wasReady = true;
  }

  /** The server ended by itself: milliseconds to wait before the next start, or undefined to give up. */
  ended(): number | undefined {
    const now = this.now();
    this.ends = [...this.ends.filter((time) => now - time < WINDOW_MS), now];
    if (this.ends.length >= (this.wasReady ? MOST_ENDS : MOST_FAILED_STARTS)) return undefined;
    return DELAYS_MS[Math.min(this.ends.length, DELAYS_MS.length) - 1];
  }

  /** Somebody asked for a restart: what was before does not count any more. */
  forget(): void {
    this.ends = [];
    this.wasReady = false;
  }
}
