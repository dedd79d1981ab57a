import type { Hex } from "@iexec-ts/poco";
import type { Head } from "../api.ts";

const HISTORY = 256;
/** A node that stands at an older block for this many looks in a row has really gone back, whatever its load balancer does. */
const STRIKES = 3;

/** What one node last said; mutable, owned by the head line. */
export interface Follower {
  readonly name: string;
  /** Reachable and on our chain. */
  readonly usable: boolean;
  height: bigint | undefined;
  hash: Hex | undefined;
}

/**
 * Decides which block is the newest, from what several nodes say, and below which height no answer counts any more.
 *
 * A higher block always wins. The node that showed the newest block may replace it (a reorg) or go back behind it, if what it shows is not
 * an ancestor we know; a node that merely stands at a known older block is behind, until it has said so three times and nobody is ahead.
 */
export class HeadLine {
  #current: Head | undefined;
  #source: Follower | undefined;
  #floor = 0n;
  #strikes = 0;
  readonly #hashes = new Map<bigint, Hex>();
  readonly #followers: readonly Follower[];

  constructor(followers: readonly Follower[]) {
    this.#followers = followers;
  }

  get current(): Head | undefined {
    return this.#current;
  }

  /** The highest block anything has been told about. */
  get floor(): bigint {
    return this.#floor;
  }

  /** May this node answer a read? */
  isLevel(follower: Follower): boolean {
    return follower.usable && follower.height !== undefined && follower.height >= this.#floor;
  }

  /** An answer mentioned a block: no later answer may come from below it. */
  raiseFloor(follower: Follower, number: bigint): void {
    if (number <= this.#floor) return;
    this.#floor = number;
    if (follower.height === undefined || follower.height < number) follower.height = number;
  }

  /** Nobody has stood at the floor for too long: take the best there is. Returns the head to announce. */
  lower(): void {
    const best = this.#followers.reduce<bigint | undefined>((highest, { usable, height }) => {
      if (!usable || height === undefined) return highest;
      return highest === undefined || height > highest ? height : highest;
    }, undefined);
    if (best === undefined || best >= this.#floor) return;
    this.#floor = best;
    this.#source = undefined;
    this.#current = undefined;
  }

  /** Takes in what a node shows as its newest block. True when it becomes the head. */
  observe(follower: Follower, head: Head): boolean {
    const before = follower.height;
    follower.height = head.number;
    follower.hash = head.hash;
    const current = this.#current;
    if (current === undefined) return head.number >= this.#floor && this.#accept(follower, head);
    if (head.number > current.number) {
      // A floor above the current head means that a receipt arrived before its block: a lower block is news, but no node below may answer.
      return this.#accept(follower, head);
    }
    if (head.number === current.number) {
      if (head.hash === current.hash) {
        if (follower === this.#source) this.#strikes = 0;
        return false;
      }
      return this.#leads(follower) && this.#accept(follower, head);
    }
    const wentBack = follower === this.#source || (before !== undefined && before > head.number);
    if (!wentBack || this.#anotherAtFloor(follower)) return false;
    return this.#wentBack(follower, head);
  }

  #wentBack(follower: Follower, head: Head): boolean {
    if (!this.#leads(follower)) return false;
    const known = this.#hashes.get(head.number);
    this.#strikes += 1;
    const replaced = known !== undefined && known !== head.hash;
    if (!replaced && this.#strikes < STRIKES) {
      // Keep the follower's former height out of the reads: it stays behind until it says otherwise.
      return false;
    }
    this.#floor = head.number;
    return this.#accept(follower, head);
  }

  #leads(follower: Follower): boolean {
    return follower === this.#source || this.#source === undefined || !this.#source.usable;
  }

  #anotherAtFloor(follower: Follower): boolean {
    return this.#followers.some((other) => other !== follower && this.isLevel(other));
  }

  #accept(follower: Follower, head: Head): boolean {
    for (const number of this.#hashes.keys())
      if (number > head.number || number + BigInt(HISTORY) < head.number) this.#hashes.delete(number);
    this.#hashes.set(head.number, head.hash);
    this.#current = head;
    this.#source = follower;
    this.#strikes = 0;
    if (head.number > this.#floor) this.#floor = head.number;
    return true;
  }
}
