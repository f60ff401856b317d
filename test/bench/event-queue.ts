interface Event {
  readonly at: number;
  readonly happen: () => void;
}

/** Simulated time: a binary heap of what is going to happen. */
export class EventQueue {
  readonly #heap: Event[] = [];

  add(at: number, happen: () => void): void {
    const heap = this.#heap;
    const event = { at, happen };
    let place = heap.length;
    heap.push(event);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.at <= at) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = event;
  }

  /** Until nothing is left to happen. */
  run(): void {
    for (let event = this.#take(); event !== undefined; event = this.#take()) event.happen();
  }

  #take(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || first === undefined || heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && right.at < below.at) {
        below = right;
        child++;
      }
      if (below.at >= last.at) break;
      heap[place] = below;
      place = child;
    }
    heap[place] = last;
    return first;
  }
}
