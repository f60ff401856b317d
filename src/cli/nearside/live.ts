/** A part of the screen that is drawn again and again. */
export interface LiveDisplay {
  show(block: string, line: string): void;
  clear(): void;
}

/** ANSI: up so many lines, to the first column, and everything from there on removed. */
const over = (lines: number): string => `\u001b[${lines}A\r\u001b[J`;

/** @param isTerminal whether escape sequences mean something to whoever reads `write` */
export function liveDisplay(write: (text: string) => void, isTerminal: boolean): LiveDisplay {
  let drawn = 0;
  let last: string | undefined;
  const clear = () => {
    if (drawn > 0) write(over(drawn));
    drawn = 0;
  };
  return {
    show(block, line) {
      if (isTerminal) {
        clear();
        write(`${block}\n`);
        drawn = block.split("\n").length;
      } else if (line !== last) {
        write(`${line}\n`);
        last = line;
      }
    },
    clear,
  };
}
