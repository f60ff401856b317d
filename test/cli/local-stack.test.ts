import { readFile, stat } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { adminTokenFile, keptAdminToken } from "../../src/cli/admin-token.ts";
import { freePorts } from "../../src/cli/local-stack.ts";
import { wipeState } from "../../src/cli/state-lock.ts";
import { type TemporaryFolder, temporaryFolder } from "./support.ts";

let temporary: TemporaryFolder;
let taken: Server;
let port: number;
beforeAll(async () => {
  temporary = await temporaryFolder();
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const address = taken.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterAll(async () => {
  await new Promise((resolve) => taken.close(resolve));
  await temporary.remove();
});

describe("the ports of the local stack", () => {
  it("are any two free ones for 0", async () => {
    const [edge, control] = await freePorts(0, 0);
    expect(edge).toBeGreaterThan(0);
    expect(control).toBeGreaterThan(0);
    expect(edge).not.toBe(control);
  });

  it.each([
    ["--edge-port", () => freePorts(port, 0)],
    ["--control-port", () => freePorts(0, port)],
  ])("that are taken are refused with %s", async (option, find) => {
    await expect(find()).rejects.toThrow(
      new RegExp(`^Port ${port} is taken\\..*: npm start -- ${option} \\d+$`),
    );
  });

  it("are not the same", async () => {
    await expect(freePorts(18_787, 18_787)).rejects.toThrow("are both 18787");
  });
});

describe("the admin token", () => {
  it("stays the same in a state folder, for its owner's eyes only, until the state is wiped", async () => {
    const folder = path.join(temporary.folder, "state");
    const token = await keptAdminToken(folder);
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(await keptAdminToken(folder)).toBe(token);
    expect(await readFile(adminTokenFile(folder), "utf8")).toBe(`${token}\n`);
    expect((await stat(adminTokenFile(folder))).mode & 0o777).toBe(0o600);
    await wipeState(folder);
    expect(await keptAdminToken(folder)).not.toBe(token);
  });
});
