// Faults that the test asks for, to be met by the next requests.

export class Faults {
  #kinds;
  #list = [];
  hit = {};

  constructor(kinds) {
    this.#kinds = kinds;
  }

  // Replaces whatever was asked for before. `count` is how many requests it hits (1), `after` how
  // many it lets pass before that (0).
  set(faults) {
    const list = [faults].flat().map((fault) => ({ count: 1, after: 0, ...fault }));
    const unknown = list.find(({ kind }) => !this.#kinds.includes(kind));
    if (unknown) {
      throw new Error(`unknown fault kind ${unknown.kind}`);
    }
    this.#list = list;
    this.hit = {};
  }

  // The fault of one of these kinds that hits this request, if any.
  take(...kinds) {
    const fault = this.#list.find(({ kind }) => kinds.includes(kind));
    if (!fault || fault.after-- > 0) {
      return undefined;
    }
    if (--fault.count === 0) {
      this.#list.splice(this.#list.indexOf(fault), 1);
    }
    this.#count(fault.kind);
    return fault;
  }

  // Whether a fault without a count, which stays on until it is switched off, is on.
  on(kind) {
    const on = this.#list.some((fault) => fault.kind === kind);
    if (on) {
      this.#count(kind);
    }
    return on;
  }

  #count(kind) {
    this.hit[kind] = (this.hit[kind] ?? 0) + 1;
  }
}
