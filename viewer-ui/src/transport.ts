/** What carries questions and answers: a server beside the page, or the kernel of a notebook. */

export interface Transport {
  onMessage: (data: string | ArrayBuffer) => void;
  /** Nobody answers any more; the sentence says so. It tries again by itself. */
  onLost: (told: string) => void;
  /** It takes longer than usual, or no longer. */
  onWait: (told: string) => void;
  start(): void;
  send(data: string | ArrayBuffer): void;
  /** What is read by name: `history`, `maps`, and `columns/`, `groups/`, `maps/`, `curves/` with a name. */
  read(path: string): Promise<ArrayBuffer>;
  /** See at once whether anybody is there. */
  now(): void;
  end(): void;
}
