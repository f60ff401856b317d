import { once } from "node:events";
import { type Server, createServer } from "node:net";

import { HOST } from "./state-folder.ts";
import { UserError } from "./user-error.ts";

/** The option of `npm start` that chooses a port, and the port; 0 is any free one. */
export type WantedPort = readonly [option: string, port: number];

/** Ports as they will be: free, and all different. @throws UserError naming the option that can't be had */
export async function freePorts(...wanted: readonly WantedPort[]): Promise<number[]> {
  for (const [index, [option, port]] of wanted.entries()) {
    const [other] = wanted.slice(0, index).find(([, taken]) => port !== 0 && taken === port) ?? [];
    if (other === undefined) continue;
    throw new UserError(
      `--${other} and --${option} are both ${port}. Each needs a port of its own.`,
    );
  }
  const probes: Server[] = [];
  try {
    const free = new Map<WantedPort, number>();
    // Chosen ones first, so that none is given away as any free one; held together, so that all differ.
    for (const one of wanted.toSorted(([, a], [, b]) => b - a)) {
      const probe = await listen(one);
      probes.push(probe);
      free.set(one, portOf(probe) ?? one[1]);
    }
    return wanted.map((one) => free.get(one) ?? one[1]);
  } finally {
    await Promise.all(probes.map((probe) => new Promise((resolve) => probe.close(resolve))));
  }
}

/** The port if it is free, or any free one for 0. @throws UserError */
export async function freePort(port: number, option = "edge-port"): Promise<number> {
  const [free = port] = await freePorts([option, port]);
  return free;
}

async function listen([option, port]: WantedPort): Promise<Server> {
  const probe = createServer();
  try {
    probe.listen(port, HOST);
    await once(probe, "listening");
    return probe;
  } catch {
    const other = port + 10 <= 65_535 ? port + 10 : port - 10;
    throw new UserError(
      `Port ${port} is taken. Stop what listens there, or choose another: npm start -- --${option} ${other}`,
    );
  }
}

function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : undefined;
}
